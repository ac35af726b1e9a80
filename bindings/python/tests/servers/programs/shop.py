"""A WSGI application of two routes."""

import os

import flask
from burning import alpha, beta, burn

import sondage
import sondage.integrations.flask

if os.environ.get("START_IN") != "config":
    sondage.start()

app = flask.Flask(__name__)
sondage.integrations.flask.instrument(app)


@app.get("/alpha/<int:number>")
def get_alpha(number: int) -> dict:
    return {"pid": os.getpid(), "cpu": burn(alpha)}


@app.get("/beta/<int:number>")
def get_beta(number: int) -> dict:
    return {"pid": os.getpid(), "cpu": burn(beta)}
