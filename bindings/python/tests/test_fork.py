"""Processes that come from one that is profiled: each hands in a profile of its own."""

import os
import sys
import tempfile
import unittest

from tests.programs import BURN, profiles, python

POOL = """
import multiprocessing, sondage
{burn}
def work(_):
    burn()
    return os.getpid()

if __name__ == "__main__":
    multiprocessing.set_start_method({method!r})
    {start}
    with multiprocessing.Pool(2) as pool:
        workers = pool.map(work, range(4), chunksize=2)
        pool.close()
        pool.join()
    print(*sorted({{*workers, os.getpid()}}))
"""


class Forked(unittest.TestCase):
    def left_by(self, code, **environment):
        """The output of a program, and the processes whose profiles it left."""
        with tempfile.TemporaryDirectory() as folder:
            ended = python("import os\n" + BURN + code, SONDAGE_PUSH="file:" + folder, **environment)
            self.assertEqual(ended.stderr, "")
            return ended.stdout.split(), profiles(folder)

    def test_a_forked_child_that_ends_by_underscore_exit_hands_its_profile_in(self):
        code = """
import sondage
sondage.start()
child = os.fork()
burn()
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
print(os.getpid(), child)
"""
        output, found = self.left_by(code)
        self.assertEqual(found, set(output))

    def test_a_forked_child_that_does_not_use_the_profiler_is_profiled_from_its_start(self):
        code = """
import sondage, sys
sondage.start()
for _ in range(3):
    if os.fork() == 0:
        burn()
        sys.exit()
for _ in range(3):
    print(os.wait()[0])
burn()
print(os.getpid())
"""
        output, found = self.left_by(code)
        self.assertEqual(found, set(output))

    def test_a_child_that_is_forked_after_stop_is_not_profiled(self):
        code = """
import sondage
sondage.start()
burn()
sondage.stop()
child = os.fork()
burn()
if child == 0:
    os._exit(len(os.listdir("/proc/self/task")) - 1)
assert os.waitpid(child, 0)[1] == 0
print(os.getpid())
"""
        output, found = self.left_by(code)
        self.assertEqual(found, set(output))

    def test_threads_of_the_parent_and_a_busy_profiler_do_not_hang_a_fork(self):
        code = """
import sondage, threading
sondage.start(hz=250, interval=0.1)
stop = threading.Event()
def spin():
    while not stop.is_set():
        with sondage.labels(a="1"):
            burn(0.001)
def flush():
    while not stop.is_set():
        sondage.flush()
threads = [threading.Thread(target=target) for target in (spin, spin, flush)]
[thread.start() for thread in threads]
for _ in range(50):
    child = os.fork()
    if child == 0:
        with sondage.labels(b="2"):
            burn(0.005)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
[thread.join() for thread in threads]
print("ended")
"""
        # Its own threads are worth a warning since 3.12.
        output, _ = self.left_by(code, PYTHONWARNINGS="ignore::DeprecationWarning")
        self.assertEqual(output, ["ended"])


class Warned(unittest.TestCase):
    FORK = """
import os, threading, sys
{before}
if os.fork() == 0:
    os._exit(0)
os.wait()
{after}
"""

    def told(self, before, after=""):
        code = self.FORK.format(before=before, after=after)
        return "multi-threaded" in python(code, SONDAGE_PUSH="none").stderr

    def test_a_program_without_threads_is_not_warned_of_the_profiler_s(self):
        self.assertFalse(self.told("import sondage; sondage.start()"))

    def test_a_program_with_threads_is_warned_as_ever(self):
        thread = "end = threading.Event(); threading.Thread(target=end.wait).start()"
        bare = self.told(thread, "end.set()")
        self.assertEqual(bare, sys.version_info >= (3, 12))
        both = "import sondage; sondage.start(); os.fork() or os._exit(0); os.wait(); " + thread
        self.assertEqual(self.told(both, "end.set()"), bare)


class Multiprocessing(unittest.TestCase):
    def workers(self, method, start, command):
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as place:
            program = os.path.join(place, "pool.py")
            with open(program, "w") as file:
                code = POOL.format(burn=BURN, method=method, start=start)
                file.write("import os\n" + code)
            ended = python(None, *command, program, SONDAGE_PUSH="file:" + folder)
            return set(ended.stdout.split()), profiles(folder)

    def test_workers_that_are_forked_hand_their_profiles_in(self):
        processes, found = self.workers("fork", "sondage.start()", [])
        self.assertEqual(found, processes)

    def test_workers_are_profiled_however_they_start_where_the_program_was_started_so(self):
        for method in ("fork", "spawn", "forkserver"):
            with self.subTest(method=method):
                processes, found = self.workers(method, "", ["-m", "sondage"])
                # The server of forkserver and the tracker of resources are processes, too.
                self.assertLessEqual(processes, found)


if __name__ == "__main__":
    unittest.main()
