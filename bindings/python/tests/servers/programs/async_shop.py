"""An ASGI application of two routes, one on the event loop and one in threads."""

import os

from burning import alpha, beta, burn, burn_async
from fastapi import FastAPI

import sondage
from sondage.integrations.starlette import Middleware

sondage.start()

app = FastAPI()
app.add_middleware(Middleware)


@app.get("/alpha/{number}")
async def get_alpha(number: int) -> dict:
    return {"pid": os.getpid(), "cpu": await burn_async(alpha)}


@app.get("/beta/{number}")
def get_beta(number: int) -> dict:
    return {"pid": os.getpid(), "cpu": burn(beta)}
