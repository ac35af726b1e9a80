"""Memory, waiting time and locks: what profiles beside CPU time say."""

import unittest

import jvm


def total(samples, kind, name):
    """The sum of a value over the stacks that have a function."""
    return sum(s.values.get(kind, 0) for s in samples if name in s.names)


class Memory(unittest.TestCase):
    def test_what_is_allocated_and_what_is_in_use_is_right_and_labelled(self):
        ended = jvm.run("Memory", environment={"SONDAGE_HEAP": "64KiB"})
        self.assertEqual(ended.errors, "")
        samples = [s for s in ended.samples if "alloc_space" in s.values]
        for name, allocated, used in [("Memory.dropped", 100e6, 0), ("Memory.kept", 40e6, 40e6)]:
            self.assertAlmostEqual(total(samples, "alloc_space", name) / allocated, 1, delta=0.2)
            self.assertAlmostEqual(total(samples, "inuse_space", name), used, delta=8e6)
        kept = [s for s in samples if "Memory.kept" in s.names]
        self.assertEqual({s.labels.get("phase") for s in kept}, {"kept"})
        # The list itself grows, too.
        for sample in (s for s in kept if s.names[0] == "Memory.kept"):
            self.assertEqual((sample.frames[0].file, sample.frames[0].line), ("Memory.java", 17))
            self.assertEqual(sample.names[-1], "Memory.main")

    def test_nothing_is_sampled_unless_it_is_asked_for(self):
        ended = jvm.run("Memory")
        self.assertEqual(len(ended.profiles), 1)


class Wall(unittest.TestCase):
    def test_a_thread_that_waits_is_shown_where_it_waits(self):
        # Where the machine stands still as the wait begins or ends, nobody looks at it.
        for _ in range(5):
            ended = jvm.run("Locks", environment={"SONDAGE_WALL": "on"})
            self.assertEqual(ended.errors, "")
            idle = [s for s in ended.samples if "Locks.idle" in s.names]
            share = total(idle, "wall", "Locks.idle") / int(ended.output.split()[2])
            self.assertLess(share, 1.2)
            if share > 0.8:
                break
        self.assertGreater(share, 0.8)
        self.assertEqual({s.labels["thread"] for s in idle}, {"idle"})


class Locks(unittest.TestCase):
    def test_waits_for_monitors_and_locks_are_right_and_labelled(self):
        ended = jvm.run("Locks", environment={"SONDAGE_LOCKS": "1ms"})
        self.assertEqual(ended.errors, "")
        samples = [s for s in ended.samples if "delay" in s.values]
        waited = dict(zip(["Locks.monitor", "Locks.lock"], map(int, ended.output.split())))
        for name, nanos in waited.items():
            self.assertAlmostEqual(total(samples, "delay", name) / nanos, 1, delta=0.15)
            self.assertGreater(total(samples, "contentions", name), 20)
            labels = {s.labels.get("kind") for s in samples if name in s.names}
            self.assertEqual(labels, {"contended"})
        self.assertEqual(total(samples, "delay", "Locks.idle"), 0, "that is no lock")


if __name__ == "__main__":
    unittest.main()
