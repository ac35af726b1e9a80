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

    def until_shown(self, least, threads, shown):
        """Runs threads until more than `least` seconds of them are shown, five times at most: where
        the machine stands still as they start or end, nobody looks at them."""
        for _ in range(5):
            seconds = shown(self.during(*threads()))
            if seconds > least:
                break
        self.assertGreater(seconds, least)

    def test_a_thread_that_sleeps_is_shown_where_it_does_with_its_labels(self):
        # Where the machine stands still as the thread starts or ends, nobody looks at it.
        for _ in range(5):
            begun = time.monotonic()
            samples = self.during(threading.Thread(target=sleeps, args=(1.5,)))
            share = self.waited(samples, "sleeps") / (time.monotonic() - begun)
            self.assertLess(share, 1.05)
            if share > 0.67:
                break
        self.assertGreater(share, 0.67)
        found = [s for s in samples if "sleeps" in s.names and s.values["wall"] > 0]
        self.assertEqual({s.labels.get("job") for s in found}, {"sleep"})
        self.assertFalse([s for s in found if "[waiting for the GIL]" in s.names])

    def test_a_thread_that_waits_for_another_is_shown_in_its_own_function(self):
        def threads():
            event = threading.Event()
            waiting = threading.Thread(target=waits_for, args=(event,))
            return waiting, threading.Timer(1.5, event.set)

        self.until_shown(1.0, threads, lambda samples: self.waited(samples, "waits_for"))

    def test_threads_that_compete_are_shown_waiting_for_the_gil(self):
        def threads():
            until = time.monotonic() + 1.5
            return [threading.Thread(target=spin, args=(until,)) for _ in range(4)]

        def shown(samples):
            gil = [s for s in samples if s.names[:1] == ["[waiting for the GIL]"]]
            return self.waited(gil, "spin")

        self.until_shown(1.5, threads, shown)


if __name__ == "__main__":
    unittest.main()
