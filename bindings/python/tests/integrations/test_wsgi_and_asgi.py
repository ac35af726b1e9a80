import asyncio
import io

import sondage
from sondage.integrations import asgi, wsgi


def environ(path="/orders/17", method="GET"):
    return {"PATH_INFO": path, "REQUEST_METHOD": method}


def test_a_wsgi_request_has_the_labels_that_the_program_knows():
    def application(environ, start_response):
        return [repr(sondage.current_labels()).encode()]

    labelled = wsgi.Middleware(application, lambda environ: "/orders/{id}")
    body = labelled(environ(method="PURGE"), None)
    assert eval(body[0]) == {"route": "/orders/{id}", "method": "[other]"}
    assert sondage.current_labels() == {}


def test_a_wsgi_body_that_is_made_later_is_labelled_and_closed():
    closed = []

    def application(environ, start_response):
        sondage.set_label("user", "seven")
        return parts()

    def parts():
        try:
            yield sondage.current_labels()
            yield sondage.current_labels()
        finally:
            closed.append(sondage.current_labels())

    body = wsgi.Middleware(application, lambda environ: None)(environ(), None)
    labels = {"route": "[none]", "method": "GET", "user": "seven"}
    assert next(body) == labels
    assert sondage.current_labels() == {}
    assert next(body) == labels
    body.close()
    assert closed == [labels]


def test_servers_get_lists_and_files_as_they_are():
    class Wrapper:
        def __iter__(self):
            return iter(())

    request = {**environ(), "wsgi.file_wrapper": Wrapper}
    for parts in ([b"a"], (b"a",), io.BytesIO(b"a"), Wrapper()):
        labelled = wsgi.Middleware(lambda *_, parts=parts: parts, lambda environ: None)
        assert labelled(request, None) is parts


def test_an_asgi_request_is_labelled_and_the_lifespan_is_not():
    seen = {}

    async def application(scope, receive, send):
        await asyncio.sleep(0)
        seen[scope["type"]] = sondage.current_labels()

    labelled = asgi.Middleware(application, lambda scope: "/orders/{id}")

    async def main():
        for scope in (
            {"type": "http", "method": "GET"},
            {"type": "websocket"},
            {"type": "lifespan"},
        ):
            await labelled(scope, None, None)
            assert sondage.current_labels() == {}

    asyncio.run(main())
    assert seen == {
        "http": {"route": "/orders/{id}", "method": "GET"},
        "websocket": {"route": "/orders/{id}"},
        "lifespan": {},
    }
