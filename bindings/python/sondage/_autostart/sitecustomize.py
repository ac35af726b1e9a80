"""Starts the profiler before a program does anything, as the SONDAGE_* variables say.

This folder is put on PYTHONPATH by `python -m sondage` and `sondage record`; Python imports this
module from it at every start, also of the programs that the program starts. It must run, and do no
harm, in any version and any implementation of Python.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _package():
    """The package beside this folder, where the program's own interpreter has none."""
    try:
        import sondage
    except ImportError:
        from importlib import util

        folder = os.path.dirname(_HERE)
        place = os.path.join(folder, "__init__.py")
        spec = util.spec_from_file_location("sondage", place, submodule_search_locations=[folder])
        sondage = sys.modules["sondage"] = util.module_from_spec(spec)
        try:
            spec.loader.exec_module(sondage)
        except BaseException:
            del sys.modules["sondage"]
            raise
    return sondage


def _start():
    try:
        if sys.version_info < (3, 9) or sys.implementation.name != "cpython":
            raise RuntimeError("it needs CPython 3.9 or later")
        _package()
        from sondage import _door

        _door.start()
    except Exception as error:
        _tell(error)


def _tell(error):
    """Says why Python's own frames will be missing: to `sondage record`, which says it at its end,
    or at once."""
    directory = os.environ.get("SONDAGE_RECORD_DIR")
    if not directory:
        sys.stderr.write("sondage: this Python program is not profiled: %s\n" % error)
        return
    version = ".".join(str(part) for part in sys.version_info[:2])
    line = "Python %s: its code is not recorded, only the interpreter: %s\n" % (version, error)
    try:
        # One of each kind is enough.
        with open(os.path.join(directory, "python-%s.failed" % version), "w") as file:
            file.write(line)
    except OSError:
        pass


def _chain():
    """Imports the sitecustomize that would have been imported without this one."""
    sys.path[:] = [place for place in sys.path if os.path.abspath(place) != _HERE]
    own = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
        sys.modules["sitecustomize"] = own


_start()
_chain()
