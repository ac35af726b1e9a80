"""Sales as compressed files: the work is done in C, without the interpreter's lock."""

import hashlib
import random
import zlib

_ROWS = 20_000


def _day_of_sales() -> bytes:
    """A day as CSV, made once: it is the compressing that is to be seen."""
    numbers = random.Random(7)
    rows = (f"{n},{numbers.randrange(300)},{numbers.randrange(1, 9)}\n" for n in range(_ROWS))
    return "".join(rows).encode()


_SALES = _day_of_sales()


def export(day: int) -> tuple[bytes, str]:
    """A day's sales, compressed, and their checksum."""
    text = b"day %d\n" % day + _SALES
    return zlib.compress(text, 6), checksum(text)


def checksum(text: bytes) -> str:
    """SHA-256, of ten copies: one would be too quick to be seen."""
    digest = hashlib.sha256()
    for _ in range(10):
        digest.update(text)
    return digest.hexdigest()
