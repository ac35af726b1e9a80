"""Labels that frameworks know: the route of a request, the name of a task, the span of a trace.

One module a framework, none of which is a dependency:

=================  =========================================  ==================
module             what to do                                 labels
=================  =========================================  ==================
``django``         add its ``middleware`` to ``MIDDLEWARE``   ``route, method``
``flask``          ``instrument(app)``                        ``route, method``
``starlette``      ``app.add_middleware(Middleware)``, also   ``route, method``
                   for FastAPI
``wsgi, asgi``     ``Middleware(app, route)``                 ``route, method``
``celery``         ``instrument()``                           ``task``
``opentelemetry``  ``add_span_processor(ProfileIds())``       span and trace ids
=================  =========================================  ==================

A route is a template, such as ``/orders/{id}``, never a URL: the number of its values is the number
of routes in the program. A request without a route has ``route=[none]``.
"""
