"""The server: two processes, forked after the application was loaded."""

workers = 2
worker_class = "uvicorn_worker.UvicornWorker"
preload_app = True
accesslog = None
loglevel = "warning"
control_socket_disable = True
