"""In place of the profiler: the service runs as it is, and is looked at from outside."""


def start(**_settings):
    """Starts nothing."""
