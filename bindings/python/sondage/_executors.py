"""Labels that follow functions into the threads of a ThreadPoolExecutor.

asyncio.to_thread copies its context by itself; executors do not.
"""

import functools

from . import _sondage
from ._imports import WhenImported


class Propagation:
    """ThreadPoolExecutor.submit, and so map and run_in_executor, hands labels over."""

    def __init__(self):
        self._executor = self._submit = self._original = None
        self._awaited = WhenImported("concurrent.futures.thread", self._install)

    def _install(self, module):
        self._executor = module.ThreadPoolExecutor
        self._original = original = self._executor.submit

        @functools.wraps(original)
        def submit(self, fn, /, *args, **kwargs):
            return original(self, _sondage.propagate(fn), *args, **kwargs)

        self._submit = self._executor.submit = submit

    def remove(self):
        self._awaited.remove()
        if self._executor is not None and self._executor.submit is self._submit:
            self._executor.submit = self._original
