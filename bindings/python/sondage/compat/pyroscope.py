"""The interface of the package pyroscope-io, by Sondage.

    import sondage.compat.pyroscope as pyroscope

    pyroscope.configure(application_name="shop", server_address="http://pyroscope:4040")

Tags become labels of the context: they follow tasks of asyncio, where pyroscope-io's belong to
threads. What has no meaning here is taken, with a warning where it was given.
"""

import contextlib
import logging
import sys
import warnings

import sondage

LOGGER = logging.getLogger("pyroscope")

# Arguments of pyroscope-io whose effect Sondage has anyway, or has not; by what to say of them.
_WITHOUT_EFFECT = {
    "cpu_implementation": "there is one engine, and it is chosen by SONDAGE_ENGINE",
    "gil_only": "CPU time without the interpreter's lock is counted, too",
    "line_no": "lines are those of the instruction",
    "mem_enable_mem_domain": "memory is set up by sondage.start()",
    "mem_heap_sample_size": "memory is set up by sondage.start()",
    "mem_max_nframe": "memory is set up by sondage.start()",
    "native": "native frames are always shown",
    "report_pid": "profiles are those of one process anyway",
    "report_thread_id": "threads have no label of their own",
    "report_thread_name": "threads are in each profile by their name",
}

# Some of them as they are by default: these are not worth a warning.
_DEFAULTS = {
    "gil_only": (True, False),
    "native": (None,),
    "report_pid": (False,),
    "report_thread_id": (False,),
    "report_thread_name": (False, True),
}


def configure(
    app_name=None,
    application_name=None,
    server_address="http://localhost:4040",
    basic_auth_username="",
    basic_auth_password="",
    enable_logging=False,
    sample_rate=100,
    oncpu=True,
    tags=None,
    tenant_id="",
    http_headers=None,
    upload_interval=10,
    mem_enabled=False,
    cpu_enabled=True,
    **others,
):
    """Starts profiling; whether it could. A profiler that runs already is replaced."""
    LOGGER.disabled = not enable_logging
    _warn_of(others, mem_enabled)
    settings = {
        "service_name": application_name or app_name,
        "push": _target(server_address),
        "hz": sample_rate,
        "wall": not oncpu or None,
        "labels": dict(tags or {}),
        "tenant": tenant_id or None,
        "interval": float(upload_interval),
        "enabled": None if cpu_enabled else False,
    }
    settings.update(_credentials(basic_auth_username, basic_auth_password, http_headers or {}))
    sondage.stop()
    try:
        sondage.start(**settings)
    except (ValueError, RuntimeError, OSError) as error:
        LOGGER.error("%s", error)
        warnings.warn(f"profiling is off: {error}", RuntimeWarning, stacklevel=2)
        return False
    return True


def shutdown():
    """Stops profiling; whether anything ran."""
    ran = sondage.is_running()
    sondage.stop()
    return ran


@contextlib.contextmanager
def tag_wrapper(tags):
    """Labels for a block."""
    with sondage.labels(tags):
        yield


def add_thread_tag(key, value):
    """Sets a label of the current context, until it is removed."""
    sondage.set_label(key, value)
    return True


def remove_thread_tag(key, value):
    """Takes a label out, if it has this value."""
    if sondage.current_labels().get(key) != str(value):
        return False
    sondage.clear_label(key)
    return True


def runtime_name():
    """The implementation of Python: `cpython`."""
    return sys.implementation.name


def runtime_version():
    """The version of Python: `3.12.1`."""
    return ".".join(str(part) for part in sys.implementation.version[:3])


def _target(address):
    """`http://…` as a target of Sondage, which says what is spoken."""
    return address if address.startswith("pyroscope+") else "pyroscope+" + address


def _credentials(user, password, headers):
    """Credentials from the arguments and from the headers that are known."""
    found = {}
    if user or password:
        found["basic_auth"] = f"{user}:{password}"
    for name, value in headers.items():
        if name.lower() == "x-scope-orgid":
            found["tenant"] = value
        elif name.lower() == "authorization" and value.startswith("Bearer "):
            found["token"] = value[len("Bearer ") :]
        else:
            _warn(f"the header {name} is not sent")
    if "token" in found:
        found.pop("basic_auth", None)
    return found


def _warn_of(others, mem_enabled):
    """Names every argument that has no effect."""
    for name, value in others.items():
        if value in _DEFAULTS.get(name, ()):
            continue
        reason = _WITHOUT_EFFECT.get(name, "it is unknown")
        _warn(f"{name} has no effect: {reason}")
    if mem_enabled:
        _warn("mem_enabled has no effect: memory is set up by sondage.start()")


def _warn(message):
    warnings.warn(f"sondage.compat.pyroscope: {message}", RuntimeWarning, stacklevel=4)
