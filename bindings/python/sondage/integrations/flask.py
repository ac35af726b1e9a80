"""Labels for Flask, 2.0 and later."""

from typing import Any

from . import wsgi
from ._request import set_route


def instrument(app: Any) -> None:
    """Labels the requests of a Flask application with ``route`` and ``method``.

    The route is that of the URL rule, such as ``/orders/<int:id>``. To be called once, before the
    first request. Functions that were registered with ``before_request`` before run unlabelled.
    """
    from flask import request

    def label() -> None:
        rule = request.url_rule
        set_route(None if rule is None else rule.rule)

    app.wsgi_app = wsgi.Middleware(app.wsgi_app, lambda environ: None)
    app.before_request(label)
