"""Threads: from their first instant, without a frame of ours."""

import sys
import threading
import traceback
import unittest

import sondage
from tests.programs import BURN, python

exec(BURN)


class Threads(unittest.TestCase):
    def setUp(self):
        sondage.start(push=[], hz=250)

    def tearDown(self):
        sondage.stop()

    def test_a_new_thread_has_no_frame_of_the_profiler_on_its_stack(self):
        stacks = []
        thread = threading.Thread(target=lambda: stacks.append(traceback.extract_stack()))
        thread.start()
        thread.join()
        names = [frame.name for frame in stacks[0]]
        self.assertEqual(names[:3], ["_bootstrap", "_bootstrap_inner", "run"])

    def test_threads_that_live_for_milliseconds_are_seen(self):
        def work():
            burn(0.02)

        sondage.flush()
        before = sondage.stats()
        for _ in range(25):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        sondage.flush()
        after = sondage.stats()
        used = after["host_cpu"] - before["host_cpu"]
        sampled = after["sampled_cpu"] - before["sampled_cpu"]
        self.assertGreater(sampled / used, 0.6, (sampled, used))

    def test_subclasses_daemons_and_arguments_work_as_before(self):
        class Worker(threading.Thread):
            def run(self):
                self.outcome = (self.name, self.daemon)

        worker = Worker(name="worker", daemon=True)
        worker.start()
        worker.join(10)
        self.assertEqual(worker.outcome, ("worker", True))
        self.assertFalse(worker.is_alive())

    def test_an_exception_in_a_thread_is_told_as_ever(self):
        told = []
        hook, threading.excepthook = threading.excepthook, told.append
        try:
            thread = threading.Thread(target=lambda: 1 / 0)
            thread.start()
            thread.join()
        finally:
            threading.excepthook = hook
        self.assertIs(told[0].exc_type, ZeroDivisionError)

    def test_somebody_who_stands_for_the_starting_function_already_is_left_alone(self):
        code = """
import threading
name = next(n for n in ("_start_joinable_thread", "_start_new_thread") if hasattr(threading, n))
native = getattr(threading, name)
def green(*args, **kwargs):
    return native(*args, **kwargs)
setattr(threading, name, green)
import sondage
sondage.start(push=[])
assert getattr(threading, name) is green
sondage.stop()
assert getattr(threading, name) is green
"""
        python(code)


if __name__ == "__main__":
    unittest.main()
