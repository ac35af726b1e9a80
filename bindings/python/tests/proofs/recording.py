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


class Recording:
    """The samples so far. `spin` calls a function until time is up and flushes in between."""

    def __init__(self):
        self.samples = []
        self.stats = {}

    def spin(self, seconds, step):
        """Calls `step` again and again for this many seconds of wall time."""
        end, flush = time.monotonic() + seconds, time.monotonic() + FLUSH
        while (now := time.monotonic()) < end:
            step()
            if now >= flush:
                self.flush()
                flush = now + FLUSH

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
