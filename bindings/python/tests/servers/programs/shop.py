"""A WSGI application of two routes, each with a function of its own that burns CPU time."""

import os
import time

import flask

import sondage
import sondage.integrations.flask

if os.environ.get("START_IN") != "config":
    sondage.start()

app = flask.Flask(__name__)
sondage.integrations.flask.instrument(app)

#: CPU time that one request burns.
BURN = 0.02


def alpha() -> int:
    """Burns a little, under a name that the profile must have."""
    return sum(n * n for n in range(2000))


def beta() -> int:
    """The same work as `alpha`, under another name."""
    return sum(n * n for n in range(2000))


def burn(work) -> dict:
    """Calls `work` until it has used its CPU time, and lets other greenlets and threads in."""
    begin = time.thread_time()
    used = 0.0
    while used < BURN:
        slice_begin = time.thread_time()
        work()
        used += time.thread_time() - slice_begin
        time.sleep(0)
    return {"pid": os.getpid(), "cpu": time.thread_time() - begin}


@app.get("/alpha/<int:number>")
def get_alpha(number: int) -> dict:
    return burn(alpha)


@app.get("/beta/<int:number>")
def get_beta(number: int) -> dict:
    return burn(beta)
