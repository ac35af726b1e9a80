"""The profilers: what makes a program run under each, and what it leaves.

Programs and Sondage lie in BENCH_PLACE, other profilers in BENCH_PEERS.
"""

import os
import pathlib
import sys

import profiles
from runtimes import ROOT

sys.path.append(str(ROOT / "bench/python"))

from sink import Sink  # noqa: E402, F401: found by the line above

PLACE = pathlib.Path(os.environ["BENCH_PLACE"])
PEERS = pathlib.Path(os.environ["BENCH_PEERS"])
CLASSES = PLACE / "classes"
LIBRARY = PLACE / "libsondage_jvm.so"
JAR = PLACE / "sondage.jar"


class Nothing:
    """No profiler; also the form that the others have.

    A run (see turns.py) says at which rate samples are taken, and whether they are uploaded, as
    people would have them, or left in the run's folder for `stacks`.
    """

    title = "none"
    # What a program must load to ask the profiler for its counters, and where it finds how.
    library = None
    classes = ()

    def is_there(self):
        """Whether it is built."""
        return True

    def named(self, runtime):
        """Its name in a table."""
        return self.title

    def flags(self, run):
        """Flags of `java`."""
        return []

    def environment(self, run):
        """Variables of the process."""
        return {}

    def stacks(self, run):
        """The stacks that a run has left."""
        return []


class EmptyAgent(Nothing):
    """An agent that does nothing: what Java itself needs for agents that are jars."""

    title = "an empty jar"

    def flags(self, run):
        return [f"-javaagent:{PLACE}/empty.jar"]


class Sondage(Nothing):
    title = "Sondage, -agentpath"
    library = LIBRARY
    classes = (PLACE / "native",)

    def is_there(self):
        return LIBRARY.exists()

    def flags(self, run):
        return [f"-agentpath:{LIBRARY}"]

    def environment(self, run):
        common = {"SONDAGE_HZ": str(run.hz), "SONDAGE_SERVICE": "load"}
        if run.uploads:
            push = f"pyroscope+http://127.0.0.1:{run.sink.port}"
            return {**common, "SONDAGE_PUSH": push, "SONDAGE_INTERVAL": "10s"}
        # Tables of truth need their rate, whatever it costs.
        return {**common, "SONDAGE_PUSH": f"file:{run.folder}", "SONDAGE_INTERVAL": "10m",
                "SONDAGE_BUDGET": "1"}

    def stacks(self, run):
        return profiles.of_pprof(run.folder)


class SondageJar(Sondage):
    title = "Sondage, sondage.jar"
    library = None
    classes = ()

    def is_there(self):
        return JAR.exists()

    def flags(self, run):
        return [f"-javaagent:{JAR}"]


class AsyncProfiler(Nothing):
    """`walker` is how it reads stacks: `vm` by itself, `fp` by AsyncGetCallTrace."""

    def __init__(self, title, walker):
        self.title, self.walker = title, walker

    def flags(self, run):
        form = "jfr" if run.uploads else "collapsed,threads"
        options = (f"start,event=ctimer,interval={1000 / run.hz:g}ms,cstack={self.walker},"
                   f"file={run.folder / 'profile'},{form}")
        return [f"-agentpath:{PEERS}/libasyncProfiler.so={options}"]

    def stacks(self, run):
        return profiles.of_folded(run.folder / "profile")


class Pyroscope(Nothing):
    """It can only upload."""

    title = "pyroscope-java 2.9.2"

    def flags(self, run):
        return [f"-javaagent:{PEERS}/agent-2.9.2.jar"]

    def environment(self, run):
        return {"PYROSCOPE_APPLICATION_NAME": "load", "PYROSCOPE_UPLOAD_INTERVAL": "10s",
                "PYROSCOPE_PROFILING_INTERVAL": f"{1000 // run.hz}ms",
                "PYROSCOPE_SERVER_ADDRESS": f"http://127.0.0.1:{run.sink.port}"}


class Jfr(Nothing):
    """By CPU time from 25 on. As people have it, it records by default.jfc; else samples alone."""

    title = "JFR"

    def named(self, runtime):
        return f"JFR, {'CPUTimeSample' if runtime.version >= 25 else 'ExecutionSample'}"

    def flags(self, run):
        file = run.folder / "profile.jfr"
        start = f"-XX:StartFlightRecording=filename={file},dumponexit=true,settings="
        if not run.uploads:
            settings = run.folder / "samples.jfc"
            settings.write_text(self.settings(run))
            return [start + str(settings)]
        if run.runtime.version < 25:
            return [start + "default"]
        return [f"{start}default,jdk.CPUTimeSample#enabled=true,"
                f"jdk.CPUTimeSample#throttle={1000 // run.hz}ms"]

    @staticmethod
    def settings(run):
        milliseconds = 1000 // run.hz
        if run.runtime.version >= 25:
            events = {"jdk.CPUTimeSample": ("throttle", f"{milliseconds}ms")}
        else:
            period = ("period", f"{milliseconds} ms")
            events = {"jdk.ExecutionSample": period, "jdk.NativeMethodSample": period}
        text = "".join(
            f'<event name="{event}"><setting name="enabled">true</setting>'
            f'<setting name="{name}">{value}</setting></event>'
            for event, (name, value) in events.items())
        return ('<?xml version="1.0" encoding="UTF-8"?>'
                f'<configuration version="2.0">{text}</configuration>')

    def stacks(self, run):
        return profiles.of_jfr(run.runtime.jfr, run.folder / "profile.jfr")


ENGINES = {
    "none": Nothing(),
    "empty-jar": EmptyAgent(),
    "sondage": Sondage(),
    "sondage-jar": SondageJar(),
    "async-profiler": AsyncProfiler("async-profiler 4.6", "vm"),
    "async-profiler-asgct": AsyncProfiler("async-profiler 4.6, AsyncGetCallTrace", "fp"),
    "pyroscope": Pyroscope(),
    "jfr": Jfr(),
}
