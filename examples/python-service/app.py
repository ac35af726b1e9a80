"""A shop over HTTP. All that the profiler needs is in the three lines that name it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import sondage
from fastapi import FastAPI, Response
from pydantic import BaseModel
from shop import archive, quotes, search, signature
from sondage.integrations.starlette import Middleware

# gunicorn loads this module before it forks its workers; each of them is profiled all the same.
sondage.start(service_name="python-service")

app = FastAPI()
app.add_middleware(Middleware)

signers = ThreadPoolExecutor(2, thread_name_prefix="signer")


class Order(BaseModel):
    """What a customer wants."""

    products: list[int]


@app.get("/search")
def get_search(q: str) -> list[str]:
    """In the framework's thread pool, under the interpreter's lock."""
    return search.find(q)


@app.get("/export/{day}")
def get_export(day: int) -> Response:
    """In the framework's thread pool, without the lock."""
    body, checksum = archive.export(day)
    return Response(body, headers={"checksum": checksum}, media_type="application/zlib")


@app.get("/quotes/{product}")
async def get_quote(product: int) -> dict[str, float]:
    """On the event loop, by tasks that take turns with those of other requests."""
    return await quotes.quote(product)


@app.post("/checkout")
async def checkout(order: Order) -> dict[str, str]:
    """On the event loop, and in a thread pool of our own: labels go along."""
    total = sum([(await quotes.quote(product))["EUR"] for product in order.products])
    signed = {"products": order.products, "total": total}
    loop = asyncio.get_running_loop()
    return {"receipt": await loop.run_in_executor(signers, signature.sign, signed)}
