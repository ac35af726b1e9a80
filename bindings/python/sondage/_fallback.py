"""Stacks that a thread of Python takes, where no signal handler can read the interpreter's frames.

The thread sees the others only when it gets the interpreter's lock: a program that rarely gives it
up is seen where it does. CPU time is that of each thread's clock, whoever is seen when.
"""

import atexit
import sys

from . import _sondage

# Seconds that its start and its end are waited for: it takes microseconds.
_PATIENCE = 1


def _native(name):
    """A function of `_thread`, also where gevent has put one for greenlets in its place."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original("_thread", name)
    import _thread

    return getattr(_thread, name)


class Thread:
    """The thread, which `threading` does not know of."""

    def __init__(self):
        self._start()
        # After the last profile: what was registered before runs later.
        atexit.register(self._stop)

    def _start(self):
        allocate_lock = _native("allocate_lock")
        locks = begun, self._end, self._ended = [allocate_lock() for _ in range(3)]
        for lock in locks:
            lock.acquire()
        _native("start_new_thread")(_run, tuple(locks))
        # From now on it bears the profiler's name, and a fork is not warned of it.
        begun.acquire(True, _PATIENCE)

    def _stop(self):
        end, self._end = self._end, None
        if end is not None:
            end.release()
            self._ended.acquire(True, _PATIENCE)

    def process_forked(self):
        """In a child, where the parent's thread is not: starts one."""
        self._start()

    def remove(self):
        atexit.unregister(self._stop)
        self._stop()


def _run(begun, end, ended):
    try:
        stacks, pause = _sondage.Stacks(), 0
        begun.release()
        while not end.acquire(True, pause):
            pause = stacks.take()
        del stacks
    finally:
        ended.release()
