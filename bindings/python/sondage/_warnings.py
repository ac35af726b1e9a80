"""Python's warning that a process with threads forks, where all of them are the profiler's.

Since 3.12, os.fork warns that threads of the parent may hold locks that the child waits for. The
profiler's thread holds none that anybody waits for, and a program that has no other threads has
nothing to heed; one that has is warned as ever.
"""

import os
import sys
import warnings

_MESSAGE = r"This process \(pid=\d+\) is multi-threaded, use of \w+\(\) may lead to deadlocks"

# The entry of `warnings.filters` while the last fork had nothing to warn of.
_filter = None


def before_fork():
    """Silences the warning for the fork that comes, or lets it speak again."""
    global _filter
    if sys.version_info < (3, 12):
        return
    quiet = _all_ours()
    if quiet and (_filter is None or _filter not in warnings.filters):
        warnings.filterwarnings("ignore", message=_MESSAGE, category=DeprecationWarning)
        _filter = warnings.filters[0]
    elif not quiet and _filter is not None:
        if _filter in warnings.filters:
            warnings.filters.remove(_filter)
            getattr(warnings, "_filters_mutated", getattr(warnings, "_filters_mutated_lock_held", int))()
        _filter = None


def _all_ours():
    """Whether every thread but the calling one is the profiler's."""
    others = 0
    try:
        for task in os.listdir("/proc/self/task"):
            with open("/proc/self/task/" + task + "/comm") as name:
                others += not name.read().startswith("sondage")
            if others > 1:
                return False
    except OSError:
        return False
    return True
