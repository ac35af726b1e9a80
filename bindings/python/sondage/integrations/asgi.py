"""Labels for any ASGI application."""

from collections.abc import Awaitable, MutableMapping
from typing import Any, Callable, Optional

from ._request import request_labels

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]


class Middleware:
    """An ASGI application that labels the requests of another one with ``route`` and ``method``.

    ``route`` is given the scope of a request or WebSocket and returns the route's template, or
    ``None``. It must not return the path: each value is a label that is kept for as long as the
    process lives. ::

        app = Middleware(app, lambda scope: routes.match(scope).template)
    """

    def __init__(self, app: Application, route: Callable[[Scope], Optional[str]]) -> None:
        self._app = app
        self._route = route

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        with request_labels(self._route(scope), scope.get("method")):
            await self._app(scope, receive, send)
