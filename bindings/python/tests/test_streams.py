"""Standard streams without a buffer, whose long writes signals cut short."""

import subprocess
import sys
import unittest

from tests.programs import python

SIZE = 4 << 20

# Starts the profiler, and writes more than a pipe holds.
WRITES = f"""
import sondage, sys
sondage.start(push=[], hz=1000, engine="perf", budget=1)
for _ in range(20):
    sys.stdout.write("x" * {SIZE})
print(sys.stdout.buffer, file=sys.stderr)
sondage.stop()
assert "write" not in sys.stdout.buffer.__dict__
"""


class Unbuffered(unittest.TestCase):
    def test_no_byte_is_lost_where_a_signal_cuts_a_write_short(self):
        command = [sys.executable, "-u", "-c", WRITES]
        program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        arrived = 0
        # In small parts, slower than what is written: the pipe is full most of the time.
        while part := program.stdout.read1(16_384):
            arrived += len(part)
        error = program.stderr.read()
        program.stdout.close()
        program.stderr.close()
        self.assertEqual(program.wait(), 0, error)
        self.assertIn(b"FileIO", error)
        self.assertEqual(arrived, 20 * SIZE)

    def test_streams_are_given_back_and_those_of_others_left(self):
        code = """
import io, sondage, sys
buffered = io.TextIOWrapper(io.BufferedWriter(sys.stderr.buffer))
sys.stderr = buffered
sondage.start(push=[])
assert "write" in sys.stdout.buffer.__dict__
print("é" * 3)
assert sys.stdout.buffer.write(memoryview(b"ab")) == 2
assert sys.stderr is buffered
sondage.stop()
assert "write" not in sys.stdout.buffer.__dict__
sys.stdout = None
sondage.start(push=[])
sondage.stop()
"""
        ended = python(None, "-u", "-c", code, PYTHONIOENCODING="utf-8")
        self.assertEqual(ended.stdout, "é" * 3 + "\nab")


if __name__ == "__main__":
    unittest.main()
