"""CPU time by function, out of what profilers upload."""

import collections
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parents[2] / "bindings/python/tests"))

import pprof  # noqa: E402: found by the line above

CPU_TYPES = ["cpu", "cpu-time"]


def profiles(path, body):
    """The pprof files that a request to `path` carries, and nothing for other requests."""
    body = unpacked(body)
    if path.startswith("/push.v1.PusherService/Push"):
        for number, series in pprof.fields(body):
            for key, sample in pprof.fields(series) if number == 1 else ():
                if key == 2:
                    yield dict(pprof.fields(sample))[1]
    elif path.startswith("/profiling/v1/input"):
        boundary = body.split(b"\r\n", 1)[0]
        for part in body.split(boundary):
            head, _, content = part.partition(b"\r\n\r\n")
            if b".pprof" in head:
                yield unpacked(content[:-2])


def unpacked(body):
    """A body without its compression."""
    if body[:2] == b"\x1f\x8b":
        import gzip

        return gzip.decompress(body)
    if body[:4] == b"\x28\xb5\x2f\xfd":
        import zstandard

        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return body


def by_function(profile, pattern):
    """Sums CPU time by the innermost match of `pattern` in the names of a stack; "" is for none."""
    sums = collections.Counter()
    for sample in pprof.read(profile):
        value = next((sample.values[kind] for kind in CPU_TYPES if kind in sample.values), 0)
        sums[innermost(sample.names, pattern)] += value
    return sums


def innermost(names, pattern):
    """The first match of `pattern` in names from leaf to root, or ""."""
    return next((found[0] for name in names if (found := pattern.search(name))), "")
