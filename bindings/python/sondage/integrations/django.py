"""Labels for Django, 4.2 and later, and so for Django REST framework::

MIDDLEWARE = ["sondage.integrations.django.middleware", ...]
"""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Callable

from ._request import UNMATCHED, Body, request_labels, set_route

try:
    from asgiref.sync import iscoroutinefunction
    from django.utils.decorators import sync_and_async_middleware
except ImportError as error:
    raise ImportError("sondage.integrations.django needs Django 4.2 or later") from error


@sync_and_async_middleware
def middleware(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Labels requests with ``method`` and ``route``, the template of the URL pattern.

    Django resolves the URL after the middlewares that stand below this one have seen the request:
    what they do before that has ``route=[none]``.
    """
    asynchronous = iscoroutinefunction(get_response)
    labelled = _asynchronous(get_response) if asynchronous else _synchronous(get_response)
    # An asynchronous one is called without a detour over a thread.
    labelled.process_view = _process_view_async if asynchronous else _process_view
    return labelled


def _synchronous(get_response: Callable[[Any], Any]) -> Any:
    def labelled(request: Any) -> Any:
        with request_labels(UNMATCHED, request.method):
            return _stream_labelled(request, get_response(request))

    return labelled


def _asynchronous(get_response: Callable[[Any], Any]) -> Any:
    async def labelled(request: Any) -> Any:
        with request_labels(UNMATCHED, request.method):
            return _stream_labelled(request, await get_response(request))

    return labelled


def _process_view(request: Any, view: Any, args: Any, kwargs: Any) -> None:
    set_route(_route(request))


async def _process_view_async(request: Any, view: Any, args: Any, kwargs: Any) -> None:
    set_route(_route(request))


def _route(request: Any) -> str:
    match = request.resolver_match
    # Django's templates have no slash in front; that of the root is empty.
    return UNMATCHED if match is None else f"/{match.route}"


def _stream_labelled(request: Any, response: Any) -> Any:
    """Labels what the server asks for after the middlewares have returned."""
    is_file = getattr(response, "file_to_stream", None) is not None
    if not getattr(response, "streaming", False) or is_file:
        return response
    parts = response.streaming_content
    if response.is_async:
        response.streaming_content = _body_async(request, parts)
    else:
        response.streaming_content = Body(parts)
    return response


async def _body_async(request: Any, parts: AsyncIterable[Any]) -> AsyncIterator[Any]:
    labels = request_labels(_route(request), request.method)
    iterator = parts.__aiter__()
    while True:
        with labels:
            try:
                part = await iterator.__anext__()
            except StopAsyncIteration:
                return
        yield part
