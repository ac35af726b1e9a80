"""What the labels of a request are, whichever framework answers it."""

from collections.abc import Iterable, Iterator
from typing import Any, Optional

import sondage

#: The route of a request that no route matches, and of one whose route is not known yet.
UNMATCHED = "[none]"

#: Any client can invent methods; the others are ``[other]``.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


def request_labels(route: Optional[str], method: Optional[str]) -> sondage.labels:
    """The labels of a request; a WebSocket has no method."""
    labels = {"route": route or UNMATCHED}
    if method is not None:
        labels["method"] = method if method in _METHODS else "[other]"
    return sondage.labels(labels)


def set_route(route: Optional[str]) -> None:
    """The route of the current request is known now."""
    sondage.set_label("route", route or UNMATCHED)


class Body:
    """A response's body whose parts are made under the labels that were current when it was.

    Servers ask for the parts after the application has returned.
    """

    def __init__(self, parts: Iterable[Any]) -> None:
        self._next = sondage.propagate(iter(parts).__next__)
        close = getattr(parts, "close", None)
        if close is not None:
            self.close = sondage.propagate(close)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self._next()
