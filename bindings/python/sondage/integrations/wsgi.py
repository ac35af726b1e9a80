"""Labels for any WSGI application."""

import io
from collections.abc import Iterable
from typing import Any, Callable, Optional

from ._request import Body, request_labels

Environ = dict[str, Any]
Application = Callable[..., Iterable[bytes]]


class Middleware:
    """A WSGI application that labels the requests of another one with ``route`` and ``method``.

    ``route`` is given the request's environ and returns the route's template, or ``None``. It must
    not return the path: each value is a label that is kept for as long as the process lives. ::

        application = Middleware(application, lambda environ: routes.match(environ).template)
    """

    def __init__(self, app: Application, route: Callable[[Environ], Optional[str]]) -> None:
        self._app = app
        self._route = route

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        with request_labels(self._route(environ), environ["REQUEST_METHOD"]):
            parts = self._app(environ, start_response)
            return parts if _is_ready(parts, environ) else Body(parts)


def _is_ready(parts: Iterable[bytes], environ: Environ) -> bool:
    """Whether nothing is computed when the server asks for the parts.

    Servers send the parts of a list, and files, more quickly if they get these as they are.
    """
    wrapper = environ.get("wsgi.file_wrapper")
    is_wrapper = isinstance(wrapper, type) and isinstance(parts, wrapper)
    # uWSGI's wrapper is a function that returns the file.
    return is_wrapper or isinstance(parts, (list, tuple, io.IOBase))
