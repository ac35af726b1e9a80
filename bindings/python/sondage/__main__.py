"""`python -m sondage app.py`: runs a program under the profiler; and the `sondage` command."""

import os
import sys

USAGE = """\
usage: python -m sondage [-m MODULE | -c CODE | FILE] [ARGUMENTS...]

Runs a Python program, and the Python programs that it starts, under the profiler, as the
SONDAGE_* variables say. Everything else is as without it.
"""


def command():
    """The `sondage` command: record, report, convert, push, ctl, doctor."""
    import signal

    from . import _sondage

    # Ctrl-C ends the command, or is the recorded program's; the interpreter has no part in it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    folder = os.path.dirname(os.path.abspath(__file__))
    library = os.path.join(folder, "libsondage.so")
    library = library if os.path.exists(library) else None
    return _sondage.command(sys.argv, library, autostart())


def autostart():
    """The folder whose sitecustomize starts the profiler."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "_autostart")


def _interpreter_options():
    """The options that this interpreter was given, before `-m sondage`."""
    given = getattr(sys, "orig_argv", None)  # Since 3.10.
    if given is None:
        import subprocess

        return subprocess._args_from_interpreter_flags()
    # What is before the program's own arguments ends with `-m sondage`, `-msondage` or
    # `-um sondage`.
    options = given[1 : len(given) - len(sys.argv) + 1]
    last = options.pop()
    if not last.startswith("-"):
        last = options.pop() + last
    flags = last[: -len("msondage")]
    return options if flags == "-" else [*options, flags]


def run(arguments):
    """Replaces this process by the interpreter that runs the program: so `sys.argv`, `sys.path`,
    `__main__`, tracebacks and exit codes are its own affair."""
    if not arguments or arguments[0] in ("-h", "--help"):
        (sys.stdout if arguments else sys.stderr).write(USAGE)
        return 0 if arguments else 2
    if sys.flags.isolated or sys.flags.ignore_environment or sys.flags.no_site:
        sys.stderr.write("sondage: not with -I, -E or -S: call sondage.start() in the program\n")
        return 2
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = autostart() + (os.pathsep + path if path else "")
    os.execv(sys.executable, [sys.executable, *_interpreter_options(), *arguments])


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
