"""Starts one profiler in this process. Uploads go to the sink whose port is in SINK_PORT."""

import os


class Nothing:
    """No profiler; also the form that the others have."""

    def stop(self):
        """Ends profiling; what was recorded has been handed over when this returns."""

    def stats(self):
        """What the profiler says of itself, if anything."""
        return {}


class Sondage(Nothing):
    def __init__(self, engine, **settings):
        import sondage

        self.sondage = sondage
        sondage.start(engine=engine, push=f"pyroscope+http://127.0.0.1:{port()}",
                      service_name="load", **settings)

    def stop(self):
        self.sondage.flush()
        self.final = self.sondage.stats()
        self.sondage.stop()

    def stats(self):
        return self.final


class Pyroscope(Nothing):
    def __init__(self, implementation):
        import pyroscope

        self.pyroscope = pyroscope
        chosen = getattr(pyroscope.ProfilerImplementation, implementation)
        pyroscope.configure(application_name="load", server_address=f"http://127.0.0.1:{port()}",
                            cpu_implementation=chosen)

    def stop(self):
        self.pyroscope.shutdown()


class Datadog(Nothing):
    """With `stack_only`, the sampler alone; otherwise as it comes: memory, locks, exceptions too."""

    def __init__(self, stack_only):
        os.environ |= {"DD_TRACE_AGENT_URL": f"http://127.0.0.1:{port()}",
                       "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
                       "DD_PROFILING_UPLOAD_INTERVAL": "10"}
        if stack_only:
            os.environ |= {"DD_PROFILING_MEMORY_ENABLED": "false",
                           "DD_PROFILING_LOCK_ENABLED": "false",
                           "DD_PROFILING_EXCEPTION_ENABLED": "false"}
        from ddtrace.profiling import Profiler

        self.profiler = Profiler()
        self.profiler.start()

    def stop(self):
        self.profiler.stop(flush=True)


ENGINES = {
    "none": Nothing,
    # py-spy watches from outside, so nothing starts in here.
    "py-spy": Nothing,
    "sondage-timer": lambda: Sondage("timer"),
    "sondage-perf": lambda: Sondage("perf"),
    "sondage-process": lambda: Sondage("process"),
    "sondage": lambda: Sondage("auto"),
    "sondage-memory": lambda: Sondage("auto", memory=True),
    "pyroscope": lambda: Pyroscope("PySpy"),
    "pyroscope-stack": lambda: Pyroscope("Stack"),
    "ddtrace-stack": lambda: Datadog(stack_only=True),
    "ddtrace": lambda: Datadog(stack_only=False),
}


def start(name):
    """The engine, started."""
    return ENGINES[name]()


def port():
    return int(os.environ["SINK_PORT"])
