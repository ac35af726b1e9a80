"""The load: a fixed mix of requests over kept-alive connections, from a process of its own.

usage: load.py PORT SECONDS. Prints a table; fails when a request did.
"""

import http.client
import json
import random
import sys
import threading
import time
from collections import defaultdict

CONNECTIONS = 8

#: Route, weight in the mix, and how to make a request: path and body.
MIX = [
    ("GET /search", 3, lambda n: (f"/search?q=smal+gren+hamer{n % 7}", None)),
    ("GET /export/{day}", 2, lambda n: (f"/export/{n % 365}", None)),
    ("GET /quotes/{product}", 4, lambda n: (f"/quotes/{n % 300}", None)),
    ("POST /checkout", 2, lambda n: ("/checkout", {"products": [n % 300, n % 7]})),
]


def client(port: int, until: float, seed: int, latencies: dict, errors: dict) -> None:
    """One connection, which asks again as soon as it is answered."""
    chance = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    weights = [weight for _, weight, _ in MIX]
    while time.monotonic() < until:
        route, _, make = chance.choices(MIX, weights)[0]
        path, body = make(chance.randrange(10_000))
        begin = time.monotonic()
        try:
            text = None if body is None else json.dumps(body)
            headers = {"content-type": "application/json"}
            connection.request(route.split()[0], path, text, headers)
            answer = connection.getresponse()
            answer.read()
            failed = answer.status != 200
        except (OSError, http.client.HTTPException):
            connection.close()
            failed = True
        errors[route] += failed
        latencies[route].append(time.monotonic() - begin)


def main() -> int:
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    # A dict for each client: adding to a shared one is not atomic.
    results = [(defaultdict(list), defaultdict(int)) for _ in range(CONNECTIONS)]
    until = time.monotonic() + seconds
    clients = [
        threading.Thread(target=client, args=(port, until, seed, *result))
        for seed, result in enumerate(results)
    ]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    failures = 0
    print(f"{'route':24}{'requests':>9}{'errors':>8}{'p50 ms':>9}{'p99 ms':>9}")
    for route, _, _ in MIX:
        taken = sorted(1000 * t for latencies, _ in results for t in latencies[route]) or [0.0]
        errors = sum(errors[route] for _, errors in results)
        p50, p99 = taken[len(taken) // 2], taken[len(taken) * 99 // 100]
        print(f"{route:24}{len(taken):9}{errors:8}{p50:9.1f}{p99:9.1f}")
        failures += errors
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
