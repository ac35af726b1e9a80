"""gunicorn, uWSGI and uvicorn, with the application loaded before or after they fork."""

import pytest
from profiles import Profiles
from server import PROMPT, Server

GUNICORN = ["gunicorn", "--bind", "127.0.0.1:PORT", "--workers", "2", "--graceful-timeout", "20"]
UVICORN = ["-k", "uvicorn_worker.UvicornWorker"]
UWSGI = ["uwsgi", "--http-socket", "127.0.0.1:PORT", "--master", "--processes", "2"]
UWSGI += ["--die-on-term", "--need-app", "--disable-logging"]

SETUPS = {
    "gunicorn sync": [*GUNICORN, "shop:app"],
    "gunicorn sync preload": [*GUNICORN, "--preload", "shop:app"],
    "gunicorn gthread": [*GUNICORN, "-k", "gthread", "--threads", "4", "shop:app"],
    "gunicorn gthread preload": [
        *GUNICORN, "-k", "gthread", "--threads", "4", "--preload", "shop:app"
    ],
    "gunicorn gevent": [*GUNICORN, "-k", "gevent", "shop:app"],
    "gunicorn gevent preload": [*GUNICORN, "-k", "gevent", "--preload", "shop:app"],
    "gunicorn config": [*GUNICORN, "-c", "starting.py", "shop:app"],
    "gunicorn uvicorn": [*GUNICORN, *UVICORN, "async_shop:app"],
    "gunicorn uvicorn preload": [*GUNICORN, *UVICORN, "--preload", "async_shop:app"],
    "gunicorn asgi": [*GUNICORN, "-k", "asgi", "async_shop:app"],
    "uwsgi": [*UWSGI, "--module", "shop:app"],
    "uwsgi lazy": [*UWSGI, "--lazy-apps", "--module", "shop:app"],
}  # fmt: skip


@pytest.mark.parametrize("setup", SETUPS)
def test_each_worker_delivers_a_profile_with_the_right_routes(setup, tmp_path):
    def route_of(name: str) -> str:
        return (
            f"/{name}/{{number}}" if "async_shop:app" in SETUPS[setup] else f"/{name}/<int:number>"
        )

    start_in = "config" if setup.endswith("config") else "app"
    with Server(SETUPS[setup], tmp_path, START_IN=start_in) as server:
        burnt = server.load(workers=2)
        duration = server.terminate()
    assert duration < PROMPT, server.output.read_text()

    profiles = Profiles(tmp_path / "profiles")
    assert profiles.processes() >= set(burnt), server.output.read_text()
    for worker, cpu in burnt.items():
        seen = sum(profiles.cpu("route", route_of(name), worker) for name in ("alpha", "beta"))
        assert 0.6 * cpu < seen < 1.5 * cpu + 0.1, (worker, cpu, seen)

    by_route = profiles.functions("route")
    for name, other in (("alpha", "beta"), ("beta", "alpha")):
        functions = by_route[route_of(name)]
        assert functions[name] > 0.2, functions
        assert other not in functions, "samples of the other route have this route's label"
