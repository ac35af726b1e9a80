"""Receipts that nobody can forge."""

import hashlib
import json


def sign(order: dict) -> str:
    """A slow hash of an order: OpenSSL's work, without the interpreter's lock."""
    text = json.dumps(order, sort_keys=True).encode()
    return hashlib.pbkdf2_hmac("sha256", text, b"the shop's secret", 5_000).hex()
