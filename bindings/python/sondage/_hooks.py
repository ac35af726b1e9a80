"""What is changed in the standard library while a profiler runs, and given back when it stops.

Whatever somebody else has changed meanwhile stays as it is: our callables go on working.
"""

import _thread
import atexit
import os
import threading

from . import _signals, _sondage, _streams, _uwsgi, _warnings

_installed = []
_at_fork = False


class _Replacement:
    """An attribute of a module that another object stands for."""

    def __init__(self, module, name, replacement):
        self.module, self.name, self.replacement = module, name, replacement
        self.original = getattr(module, name)
        setattr(module, name, replacement)

    def remove(self):
        if getattr(self.module, self.name, None) is self.replacement:
            setattr(self.module, self.name, self.original)


class _AtExit:
    """The end of the interpreter."""

    def __init__(self):
        atexit.register(_sondage.finish)

    def remove(self):
        atexit.unregister(_sondage.finish)


def install(propagate_executors=True, task_names=False):
    """Installs everything, in place of what an earlier start has installed."""
    remove()
    if _sondage.needs_stacks():
        from . import _fallback

        _installed.append(_fallback.Thread())
    _installed.append(_AtExit())
    _installed.append(_Replacement(os, "_exit", _sondage.Exit(os._exit)))
    _installed.append(_signals.RaisedAgain())
    _installed.append(_streams.WholeWrites())
    start_thread = _start_thread()
    if start_thread is not None:
        _installed.append(start_thread)
    if propagate_executors:
        from . import _executors

        _installed.append(_executors.Propagation())
    if task_names:
        from . import _tasks

        _installed.append(_tasks.Names())
    global _at_fork
    if not _at_fork:
        _at_fork = True  # It cannot be taken back, and does nothing where no profiler runs.
        os.register_at_fork(before=_warnings.before_fork, after_in_child=_process_forked)
        _uwsgi.after_fork(_process_forked)


def _process_forked():
    _sondage.process_forked()
    for change in _installed:
        if hasattr(change, "process_forked"):
            change.process_forked()


def remove():
    """Takes everything back."""
    while _installed:
        _installed.pop().remove()


def _start_thread():
    """The function by which `threading` starts threads, unless somebody else stands for it already:
    gevent's starts greenlets, which are no threads."""
    for name in ("_start_joinable_thread", "_start_new_thread"):  # The first since 3.13.
        original = getattr(threading, name, None)
        if original is not None:
            if original is not getattr(_thread, name.replace("_start", "start", 1)):
                return None
            return _Replacement(threading, name, _sondage.StartThread(original))
    return None
