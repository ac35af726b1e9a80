import flask
import pytest

import sondage
import sondage.integrations.flask


@pytest.fixture
def client():
    app = flask.Flask(__name__)
    sondage.integrations.flask.instrument(app)

    @app.before_request
    def before():
        flask.g.before = sondage.current_labels()

    @app.get("/orders/<int:number>")
    def order(number):
        assert flask.g.before == sondage.current_labels()
        return sondage.current_labels()

    @app.post("/orders/<int:number>")
    async def pay(number):
        return sondage.current_labels()

    @app.get("/fails")
    def fails():
        raise KeyError("deliberate")

    @app.errorhandler(Exception)
    def failed(error):
        return sondage.current_labels(), getattr(error, "code", 500)

    @app.get("/stream")
    def stream():
        return flask.Response(repr(sondage.current_labels()) for _ in range(2))

    shop = flask.Blueprint("shop", __name__, url_prefix="/shop/<town>")

    @shop.get("/")
    def town(town):
        return sondage.current_labels()

    app.register_blueprint(shop)
    return app.test_client()


@pytest.mark.parametrize(
    "method, path, route",
    [
        ("GET", "/orders/17", "/orders/<int:number>"),
        ("POST", "/orders/17", "/orders/<int:number>"),
        ("GET", "/fails", "/fails"),
        ("GET", "/shop/lyon/", "/shop/<town>/"),
        ("GET", "/nowhere/17", "[none]"),
        ("DELETE", "/orders/17", "[none]"),
    ],
)
def test_the_route_is_the_rule_and_never_the_url(client, method, path, route):
    answer = client.open(path, method=method)
    assert answer.json == {"route": route, "method": method}
    assert sondage.current_labels() == {}


def test_the_parts_of_a_stream_are_made_under_the_route(client):
    parts = list(client.get("/stream").iter_encoded())
    assert [eval(part) for part in parts] == 2 * [{"route": "/stream", "method": "GET"}]
    assert sondage.current_labels() == {}
