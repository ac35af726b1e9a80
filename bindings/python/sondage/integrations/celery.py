"""Labels for Celery, 5.2 and later."""

from typing import Any

import sondage

try:
    from celery.signals import task_postrun, task_prerun
except ImportError as error:
    raise ImportError("sondage.integrations.celery needs Celery 5.2 or later") from error

#: The attribute of a running task's request that holds its labels.
_LABELS = "_sondage_labels"


def instrument() -> None:
    """Labels the tasks of every Celery application of this process with ``task``, their name.

    To be called where the application is made. It holds in each kind of pool, for tasks that run
    inside others, and for retries.
    """
    task_prerun.connect(_begin, weak=False, dispatch_uid="sondage")
    task_postrun.connect(_end, weak=False, dispatch_uid="sondage")


def _begin(task: Any, **_: Any) -> None:
    labels = sondage.labels(task=task.name)
    # The request is that of one run; Celery takes it from a stack of the thread or greenlet.
    setattr(task.request, _LABELS, labels)
    labels.__enter__()


def _end(task: Any, **_: Any) -> None:
    labels = getattr(task.request, _LABELS, None)
    if labels is not None:
        labels.__exit__(None, None, None)
