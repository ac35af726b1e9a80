"""Records what happens in a `with` block and hands its samples out."""

import contextlib
import pathlib
import sys
import time

sys.path.append(str(pathlib.Path(__file__).parents[1]))

import pprof  # noqa: E402: found by the line above
import sondage  # noqa: E402

# The agent puts profiles together as they come; a pause this long keeps its tables small.
FLUSH = 5.0

# Seconds that are added at most, on a machine that stands still at times, until there is enough.
LONGER = 60.0


class Recording:
    """The samples so far. `spin` calls a function until time is up and flushes in between."""

    def __init__(self):
        self.samples = []
        self.stats = {}

    def spin(self, seconds, step, enough=lambda: True):
        """Calls `step` again and again as long as `lasting` says."""
        goes_on = self.lasting(seconds, enough)
        while goes_on():
            step()

    def lasting(self, seconds, enough=lambda: True):
        """A function that says whether to go on: for this many seconds of wall time, and then until
        there are `enough` samples. It flushes in between."""
        begun = time.monotonic()
        end, flush, latest = begun + seconds, begun + FLUSH, begun + seconds + LONGER

        def goes_on():
            nonlocal end, flush
            now = time.monotonic()
            if now >= min(end, flush):
                self.flush()
                flush = now + FLUSH
            if now >= end:
                end = now if now >= latest or enough() else now + 1
            return now < end

        return goes_on

    def flush(self):
        profile = sondage.flush()
        if profile:
            self.samples += pprof.read(profile)

    def count(self):
        return sum(sample.values["samples"] for sample in self.samples)


@contextlib.contextmanager
def recording(**settings):
    """Profiles the block at the rate that is asked for, whatever it costs, with nothing written and
    nothing sent."""
    sondage.start(push=[], interval=3600, budget=1, **settings)
    record = Recording()
    try:
        yield record
    finally:
        record.flush()
        record.stats = sondage.stats()
        sondage.stop()
