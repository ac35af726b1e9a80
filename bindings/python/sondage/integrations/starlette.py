"""Labels for Starlette, 0.19 and later, and so for FastAPI::

app.add_middleware(sondage.integrations.starlette.Middleware)
"""

import functools
from typing import Any, Optional

from . import asgi
from ._request import set_route

try:
    from starlette.routing import Mount, Route, WebSocketRoute
except ImportError as error:
    raise ImportError("sondage.integrations.starlette needs Starlette or FastAPI") from error

#: Where a scope says which part of the template the mounts above have matched.
_MOUNTED = "sondage.mounted"


class Middleware(asgi.Middleware):
    """Labels requests and WebSockets with ``route``, the template of the path, and ``method``.

    Mounted applications are covered, each with the path it is mounted at. What a mounted
    application has no route for is labelled with the mount, such as ``/static/{path:path}``.
    Middlewares outside of this one are not labelled; those inside, and ``BaseHTTPMiddleware`` even
    after the response, have ``route=[none]`` until the router has found the route.
    """

    def __init__(self, app: asgi.Application) -> None:
        super().__init__(app, lambda scope: None)
        _announce_routes()

    async def __call__(self, scope: asgi.Scope, receive: Any, send: Any) -> None:
        if _MOUNTED in scope:
            # In a mounted application that has the middleware too.
            await self._app(scope, receive, send)
            return
        scope[_MOUNTED] = ""
        await super().__call__(scope, receive, send)


@functools.cache
def _announce_routes() -> None:
    """Lets routes set the label when the router hands a request to them.

    The router calls ``handle`` of the route it has found, which is the first moment at which
    anybody knows it. Matching beforehand would do the router's work twice, and would not see
    through middlewares around mounted applications.
    """
    classes = [Route, WebSocketRoute, Mount]
    try:
        from fastapi.routing import APIRoute
    except ImportError:
        pass
    else:
        # Versions that keep included routers nested have a method of its own here.
        if "handle" in vars(APIRoute):
            classes.append(APIRoute)
    for route in classes:
        route.handle = _announcing(route.handle)


def _announcing(handle: Any) -> Any:
    # No coroutine of its own: it would stand on every stack.
    @functools.wraps(handle)
    def announcing(self: Any, scope: asgi.Scope, receive: Any, send: Any) -> Any:
        mounted = scope.get(_MOUNTED)
        if mounted is not None:
            if isinstance(self, Mount):
                scope[_MOUNTED] = mounted + self.path
                set_route(mounted + self.path + "/{path:path}")
            else:
                set_route(mounted + (_included_path(self, scope) or self.path))
        return handle(self, scope, receive, send)

    return announcing


def _included_path(route: Any, scope: asgi.Scope) -> Optional[str]:
    """The path of a route of a router that was included under a prefix.

    FastAPI keeps it in the scope (as of 0.165); up to 0.128 the route has it.
    """
    fastapi = scope.get("fastapi")
    context = fastapi.get("effective_route_context") if isinstance(fastapi, dict) else None
    if getattr(context, "original_route", None) is not route:
        return None
    return getattr(context, "path", None)
