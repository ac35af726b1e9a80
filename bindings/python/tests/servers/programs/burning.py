"""Two functions that burn CPU time under names of their own, which a profile must have."""

import asyncio
import time

#: CPU time that one call of `burn` uses.
BURN = 0.03


def alpha() -> int:
    """A little work."""
    return sum(n * n for n in range(2000))


def beta() -> int:
    """The same work."""
    return sum(n * n for n in range(2000))


def burn(work) -> float:
    """Calls `work` until it has used its CPU time, and lets other threads and greenlets in."""
    used = 0.0
    while used < BURN:
        used += step(work)
        time.sleep(0)
    return used


async def burn_async(work) -> float:
    """The same, letting other tasks in."""
    used = 0.0
    while used < BURN:
        used += step(work)
        await asyncio.sleep(0)
    return used


def step(work) -> float:
    """Calls `work` once; the CPU time that it used."""
    begin = time.thread_time()
    work()
    return time.thread_time() - begin
