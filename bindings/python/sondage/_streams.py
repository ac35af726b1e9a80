"""Standard streams without a buffer, as `python -u` and PYTHONUNBUFFERED make them.

A signal may end a long `write` early, with the number of bytes that it has written. CPython's text
streams expect that of nobody: over an unbuffered file they take what is missing for written. So
while a profiler sends signals, such a file writes until all is written.
"""

import io
import sys


class WholeWrites:
    """`write` of the files under `sys.stdout` and `sys.stderr`, where they have no buffer."""

    def __init__(self):
        self._changed = []
        for stream in (sys.stdout, sys.stderr):
            file = getattr(stream, "buffer", None)
            if type(file) is io.FileIO and "write" not in file.__dict__:
                file.write = _whole(file.write)
                self._changed.append((file, file.write))

    def remove(self):
        for file, write in self._changed:
            if file.__dict__.get("write") is write:
                del file.write


def _whole(write):
    def whole_write(data, /):
        written = write(data)
        size = memoryview(data).nbytes
        if written is None or written >= size:
            return written
        rest = memoryview(data).cast("B")
        while written < size:
            more = write(rest[written:])
            if more is None:  # It would block, where that is not wanted.
                break
            written += more
        return written

    return whole_write
