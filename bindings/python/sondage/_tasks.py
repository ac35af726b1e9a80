"""Tasks of asyncio that carry their name as the label `task`."""

import functools
import threading

from . import _sondage
from ._imports import WhenImported

# The name that a task is about to be given: until 3.12, asyncio gives it after the task is made,
# and so after it has copied its context.
_given = threading.local()


class Names:
    """The event loops of asyncio label the tasks that they make.

    The name that a program gives, or that of the coroutine: names that asyncio makes up, `Task-12`,
    say nothing and never end. uvloop's loops are their own and are left alone.
    """

    def __init__(self):
        self._replaced = []
        self._awaited = WhenImported("asyncio", self._install)

    def _install(self, asyncio):
        self._replace(asyncio.BaseEventLoop, _labeled)
        groups = getattr(asyncio, "TaskGroup", None)  # Since 3.11.
        for place in filter(None, (asyncio, asyncio.tasks, groups)):
            self._replace(place, _named)

    def _replace(self, place, wrap):
        original = place.create_task
        place.create_task = replacement = wrap(original)
        self._replaced.append((place, replacement, original))

    def remove(self):
        self._awaited.remove()
        for place, replacement, original in self._replaced:
            if place.create_task is replacement:
                place.create_task = original


def _named(original):
    @functools.wraps(original)
    def create_task(*args, **kwargs):
        _given.name = kwargs.get("name")
        try:
            return original(*args, **kwargs)
        finally:
            _given.name = None

    return create_task


def _labeled(original):
    @functools.wraps(original)
    def create_task(self, coro, **kwargs):
        name = kwargs.get("name") or getattr(_given, "name", None)
        name = name or getattr(coro, "__qualname__", None)
        context = kwargs.get("context")
        if name is None:
            return original(self, coro, **kwargs)
        if context is not None:
            context.run(_sondage.set_label, "task", name)
            return original(self, coro, **kwargs)
        # The task copies the current context when it is made.
        with _sondage.labels({"task": name}):
            return original(self, coro, **kwargs)

    return create_task
