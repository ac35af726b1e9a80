"""A configuration of gunicorn that starts the profiler in the process that forks the workers."""

import sondage

sondage.start()
