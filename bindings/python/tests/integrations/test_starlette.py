import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.testclient import TestClient

import sondage
from sondage.integrations.starlette import Middleware


def synchronous(request):
    return JSONResponse(sondage.current_labels())


async def asynchronous(request):
    await asyncio.sleep(0.001)
    return JSONResponse(sondage.current_labels())


async def stream(request):
    async def parts():
        for _ in range(2):
            await asyncio.sleep(0)
            yield repr(sondage.current_labels()) + "\n"

    return StreamingResponse(parts())


async def socket(websocket):
    await websocket.accept()
    await websocket.send_json(sondage.current_labels())
    await websocket.close()


async def foreign(scope, receive, send):
    await JSONResponse(sondage.current_labels())(scope, receive, send)


lifespans = []


@asynccontextmanager
async def lifespan(app):
    lifespans.append(sondage.current_labels())
    yield


def starlette(*middlewares):
    shop = [Route("/{id}", asynchronous), WebSocketRoute("/{id}/live", socket)]
    app = Starlette(
        routes=[
            Route("/orders/{id:int}", synchronous),
            Route("/async/{id}", asynchronous),
            Route("/stream", stream),
            Mount("/shops/{town}", app=GZipMiddleware(Router(shop))),
            Mount("/foreign", app=foreign),
            Host("{tenant}.example.org", Router([Route("/hosted/{id}", asynchronous)])),
        ],
        lifespan=lifespan,
    )
    for middleware in middlewares:
        app.add_middleware(middleware)
    app.add_middleware(Middleware)
    return app


def fastapi():
    app = FastAPI()
    app.add_middleware(Middleware)
    items = APIRouter(prefix="/items")
    nested = APIRouter(prefix="/parts")

    @app.get("/orders/{id}")
    def order(id: int):
        return sondage.current_labels()

    @items.get("/{id}")
    async def item(id: int):
        return sondage.current_labels()

    @nested.get("/{name}")
    def part(name: str):
        return sondage.current_labels()

    @items.websocket("/live/{id}")
    async def live(websocket, id: int):
        await socket(websocket)

    items.include_router(nested)
    app.include_router(items, prefix="/api/{version}")
    below = FastAPI()
    below.add_middleware(Middleware)

    @below.get("/users/{id}")
    async def user(id: int):
        return sondage.current_labels()

    app.mount("/below", below)
    return app


@pytest.mark.parametrize(
    "path, route",
    [
        ("/orders/17", "/orders/{id:int}"),
        ("/async/17", "/async/{id}"),
        ("/shops/lyon/17", "/shops/{town}/{id}"),
        ("/foreign/17/18", "/foreign/{path:path}"),
        ("http://seven.example.org/hosted/17", "/hosted/{id}"),
    ],
)
def test_the_route_of_starlette_is_the_template_and_never_the_url(path, route):
    assert TestClient(starlette()).get(path).json() == {"route": route, "method": "GET"}


@pytest.mark.parametrize(
    "path, route",
    [
        ("/orders/17", "/orders/{id}"),
        ("/api/v1/items/17", "/api/{version}/items/{id}"),
        ("/api/v1/items/parts/wheel", "/api/{version}/items/parts/{name}"),
        ("/below/users/17", "/below/users/{id}"),
    ],
)
def test_the_route_of_fastapi_has_the_prefixes_of_routers_and_mounts(path, route):
    assert TestClient(fastapi()).get(path).json() == {"route": route, "method": "GET"}


def test_what_no_route_matches_has_one_label_and_the_lifespan_none():
    seen = []

    class Watching:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            try:
                await self.app(scope, receive, send)
            finally:
                seen.append((scope["type"], sondage.current_labels().get("route")))

    with TestClient(starlette(Watching)) as client:
        assert client.get("/nowhere/17").status_code == 404
        assert client.get("/shops/lyon/17/18").status_code == 404
        assert client.put("/async/17").status_code == 405
    http = [route for kind, route in seen if kind == "http"]
    assert http == ["[none]", "/shops/{town}/{path:path}", "/async/{id}"]
    assert ("lifespan", None) in seen
    assert lifespans[-1] == {}


def test_websockets_and_streams_are_labelled_to_their_end():
    client = TestClient(starlette())
    with client.websocket_connect("/shops/lyon/17/live") as websocket:
        assert websocket.receive_json() == {"route": "/shops/{town}/{id}/live"}
    lines = client.get("/stream").text.splitlines()
    assert [eval(line) for line in lines] == 2 * [{"route": "/stream", "method": "GET"}]


def test_a_middleware_that_moves_the_endpoint_to_another_task_changes_nothing():
    class Moving(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            return await call_next(request)

    answer = TestClient(starlette(Moving)).get("/orders/17")
    assert answer.json()["route"] == "/orders/{id:int}"


def test_many_requests_at_once_keep_their_routes_apart():
    async def main():
        transport = httpx.ASGITransport(starlette())
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            paths = [f"/{kind}/{n}" for n in range(50) for kind in ("async", "orders")]
            answers = await asyncio.gather(*(client.get(path) for path in paths))
        return [answer.json()["route"] for answer in answers]

    routes = asyncio.run(main())
    assert routes == 50 * ["/async/{id}", "/orders/{id:int}"]


def test_an_application_without_the_middleware_is_left_alone():
    app = Starlette(routes=[Route("/orders/{id}", asynchronous)])
    assert TestClient(app).get("/orders/17").json() == {}
