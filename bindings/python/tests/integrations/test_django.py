import asyncio

import pytest

pytest.importorskip("django")

import django_site  # noqa: E402, F401
from django.test import AsyncClient, Client  # noqa: E402

import sondage  # noqa: E402

ROUTES = {
    "/": "/",
    "/orders/17/": "/orders/<int:number>/",
    "/async/17/": "/async/<int:number>/",
    "/api/items/red-shoes/": "/api/items/<slug:name>/",
    "/api/old/17": "/api/old/(?P<n>[0-9]+)$",
    "/nowhere/17/": "[none]",
}


@pytest.mark.parametrize("path", ROUTES)
def test_the_route_is_the_pattern_and_never_the_url(path):
    labels = {"route": ROUTES[path], "method": "GET"}
    answer = Client().get(path)
    assert answer.json() == labels
    assert eval(answer["after"]) == labels
    assert sondage.current_labels() == {}


@pytest.mark.parametrize("path", ROUTES)
def test_the_same_holds_under_asgi_through_threads_and_tasks(path):
    async def main():
        answer = await AsyncClient().get(path)
        assert sondage.current_labels() == {}
        return answer

    labels = {"route": ROUTES[path], "method": "GET"}
    answer = asyncio.run(main())
    assert answer.json() == labels
    assert eval(answer["after"]) == labels


def test_many_requests_at_once_keep_their_routes_apart():
    async def main():
        client = AsyncClient()
        paths = [path for path in ROUTES for _ in range(8)]
        answers = await asyncio.gather(*(client.get(path) for path in paths))
        return [(path, answer.json()["route"]) for path, answer in zip(paths, answers)]

    assert all(route == ROUTES[path] for path, route in asyncio.run(main()))


def test_the_parts_of_a_stream_are_made_under_the_route():
    labels = {"route": "/stream/", "method": "GET"}
    parts = list(Client().get("/stream/").streaming_content)
    assert [eval(part) for part in parts] == 2 * [labels]

    async def main():
        answer = await AsyncClient().get("/stream-async/")
        parts = [part async for part in answer.streaming_content]
        assert sondage.current_labels() == {}
        return parts

    labels["route"] = "/stream-async/"
    assert [eval(part) for part in asyncio.run(main())] == 2 * [labels]
