"""Waiting time, with `wall=True`: in which function a thread waits, and when for the GIL."""

import threading
import time
import unittest

import sondage

from . import pprof


def spin(until):
    n = 0
    while time.monotonic() < until:
        n = (n * 31 + 7) % 65537


def sleeps(seconds):
    with sondage.labels(job="sleep"):
        time.sleep(seconds)


def waits_for(event):
    event.wait()


class Waiting(unittest.TestCase):
    def setUp(self):
        sondage.start(push=[], interval=3600, wall=True)
        self.addCleanup(sondage.stop)

    def during(self, *threads):
        """Runs threads; the samples taken meanwhile."""
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return pprof.read(sondage.flush())

    def waited(self, samples, function):
        """Seconds that passed without CPU time in a function."""
        return sum(s.values["wall"] - s.values["cpu"] for s in samples if function in s.names) / 1e9

    def test_a_thread_that_sleeps_is_shown_where_it_does_with_its_labels(self):
        samples = self.during(threading.Thread(target=sleeps, args=(1.5,)))
        self.assertGreater(self.waited(samples, "sleeps"), 1.0)
        self.assertLess(self.waited(samples, "sleeps"), 2.0)
        found = [s for s in samples if "sleeps" in s.names and s.values["wall"] > 0]
        self.assertEqual({s.labels.get("job") for s in found}, {"sleep"})
        self.assertFalse([s for s in found if "[waiting for the GIL]" in s.names])

    def test_a_thread_that_waits_for_another_is_shown_in_its_own_function(self):
        event = threading.Event()
        timer = threading.Timer(1.5, event.set)
        samples = self.during(threading.Thread(target=waits_for, args=(event,)), timer)
        self.assertGreater(self.waited(samples, "waits_for"), 1.0)

    def test_threads_that_compete_are_shown_waiting_for_the_gil(self):
        until = time.monotonic() + 1.5
        threads = [threading.Thread(target=spin, args=(until,)) for _ in range(4)]
        samples = self.during(*threads)
        gil = [s for s in samples if s.names[:1] == ["[waiting for the GIL]"]]
        self.assertGreater(self.waited(gil, "spin"), 1.5)


if __name__ == "__main__":
    unittest.main()
