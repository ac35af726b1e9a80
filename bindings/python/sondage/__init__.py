"""Sondage: the profiler you embed.

    import sondage

    sondage.start(service_name="shop", push="pyroscope+http://pyroscope:4040")

    with sondage.labels(route="/checkout"):
        ...
"""

try:
    from . import _sondage
except ImportError as error:
    import sys

    if sys.implementation.name == "cpython":
        raise
    raise ImportError(f"sondage needs CPython, and this is {sys.implementation.name}") from error

from ._sondage import clear_label, current_labels, flush, is_running, labels, propagate, set_label

__all__ = [
    "clear_label",
    "current_labels",
    "flush",
    "is_running",
    "labels",
    "propagate",
    "set_label",
    "start",
    "stats",
    "stop",
]

__version__ = _sondage.__version__


def start(
    *,
    service_name=None,
    push=None,
    hz=None,
    wall=None,
    interval=None,
    memory=None,
    labels=None,
    engine=None,
    enabled=None,
    signals=None,
    inlines=None,
    python_internals=None,
    token=None,
    token_file=None,
    basic_auth=None,
    basic_auth_file=None,
    tenant=None,
    otlp_headers_file=None,
    datadog_key_file=None,
    trace_ids=None,
    client_cert_file=None,
    client_key_file=None,
    ca_file=None,
    proxy=None,
    control=None,
    budget=None,
    participation=None,
    pull_token_file=None,
    exit_timeout=None,
    file_age=None,
    file_bytes=None,
    file_count=None,
    spool=None,
    spool_limit=None,
    memory_limit=None,
    symbol_memory_limit=None,
    max_threads=None,
    max_depth=None,
    max_label_sets=None,
    propagate_executors=True,
    task_names=False,
):
    """Starts profiling this process and those that it forks.

    Everything has a default, and a variable of the environment below the argument: SONDAGE_HZ,
    SONDAGE_PUSH and so on. Where a profiler runs already, nothing happens; one that was started
    from outside (by `sondage record` excepted) gives way to the program's own.

    :param service_name: the first label of every profile; by default the program's name.
    :param push: targets: a str, or several in a list; by default ./sondage-profiles.
    :param hz: samples a second of CPU time, for each thread; 1 to 5000, by default 100.
    :param wall: whether waiting time is recorded too.
    :param interval: seconds between two profiles; by default 10.
    :param memory: whether to profile memory too: what is allocated and what is in use; or the bytes
        between two samples on average, by default 512 KiB.
    :param file_age: how long a directory of profiles keeps them, in seconds or as "30d"; by default
        7 days. `file_bytes` and `file_count` bound what it keeps of one service, too: the oldest go.
    :param budget: the share of the program's CPU time that the profiler may use before it samples
        less often; by default 0.01.
    :param labels: labels of the whole process, as a dict.
    :param propagate_executors: whether functions that are handed to a ThreadPoolExecutor run under
        the labels of who hands them over.
    :param task_names: whether tasks of asyncio get the label `task`: their name, where one was
        given, or that of their coroutine.
    :raises ValueError: for a wrong value; names the argument and what is allowed.
    :raises RuntimeError: where this process, kernel or build does not allow it.
    :raises OSError: where a thread or a file cannot be had.
    """
    settings = locals().copy()
    options = {name: settings.pop(name) for name in ("propagate_executors", "task_names")}
    if labels is not None:
        settings["labels"] = dict(labels)
    _start(settings, options, False)


def _start(settings, options, by_door):
    if _sondage.start(settings, _program(), by_door):
        from . import _hooks

        _hooks.install(**options)


def _program():
    """The program's name, where it has one that tells more than the interpreter's."""
    import os
    import sys

    name = (getattr(sys, "argv", None) or [""])[0]
    if name == "-m":  # Until the module is found.
        words = getattr(sys, "orig_argv", [])
        name = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
    folder, name = os.path.split(name)
    if name == "__main__.py":
        name = os.path.basename(folder)
    name = name[:-3] if name.endswith(".py") else name
    return None if name in ("", "-", "-c") else name


def stop():
    """Stops profiling: the last profile goes to the targets, and nothing is left behind, neither a
    thread nor a signal handler. Without a profiler nothing happens."""
    if _sondage.stop():
        from . import _hooks

        _hooks.remove()


def stats():
    """What the profiler has done, lost and cost so far, as of the last flush; CPU times are in
    nanoseconds. Empty where none runs."""
    import json

    return json.loads(_sondage.stats() or "{}")
