"""uWSGI, which forks its workers in C: `os.register_at_fork` does not hear of it."""

import sys

from ._imports import WhenImported


def after_fork(then):
    """Has `then` called in each worker that uWSGI forks from now on, if this process is uWSGI's."""
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None:
        return
    if "uwsgidecorators" not in sys.modules:
        before = getattr(uwsgi, "post_fork_hook", None)

        def hook():
            then()
            if before is not None:
                before()

        uwsgi.post_fork_hook = hook
    # That module puts a hook of its own in the place of any other.
    WhenImported("uwsgidecorators", lambda module: module.postfork_chain.append(then))
