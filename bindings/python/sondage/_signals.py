"""Signals by which a process ends itself.

uvicorn and others stop gracefully at SIGTERM, put the default back, and raise the signal again so
that the process dies of it: without an exit function, and without a handler that could still do
anything.
"""

import functools
import os

from . import _sondage
from ._imports import WhenImported


class RaisedAgain:
    """`signal.raise_signal` and `os.kill` deliver the last profile before a signal that ends the
    process that sends it."""

    def __init__(self):
        self._replaced = []
        self._awaited = WhenImported("signal", self._install)

    def _install(self, module):
        ending = (module.SIGTERM, module.SIGINT, module.SIGHUP, module.SIGQUIT)

        def ends(number):
            # The first process of a container has no default, and a blocked signal waits.
            return (number in ending and module.getsignal(number) == module.SIG_DFL
                    and os.getpid() != 1 and number not in module.pthread_sigmask(module.SIG_BLOCK, ()))

        raise_signal, kill = module.raise_signal, os.kill
        raise_last, kill_last = _sondage.Exit(raise_signal), _sondage.Exit(kill)

        @functools.wraps(raise_signal)
        def raise_signal_(number, /):
            return (raise_last if ends(number) else raise_signal)(number)

        # As all functions of the module that are not built in.
        raise_signal_.__module__ = module.__name__

        @functools.wraps(kill)
        def kill_(process, number, /):
            last = process == os.getpid() and ends(number)
            return (kill_last if last else kill)(process, number)

        self._replace(module, "raise_signal", raise_signal_)
        self._replace(os, "kill", kill_)

    def _replace(self, module, name, replacement):
        self._replaced.append((module, name, getattr(module, name), replacement))
        setattr(module, name, replacement)

    def remove(self):
        self._awaited.remove()
        for module, name, original, replacement in self._replaced:
            if getattr(module, name) is replacement:
                setattr(module, name, original)
