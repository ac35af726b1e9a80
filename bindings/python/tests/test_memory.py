"""Profiles of memory: what is allocated and what is in use, by function."""

import os
import pathlib
import subprocess
import tempfile
import unittest

from tests import pprof
from tests.programs import python

HERE = pathlib.Path(__file__).parent

# Blocks of 4,033 bytes by `orders`, and of 1,033 by `carts`.
SHOP = """
import ctypes, os, sys, threading, time
import sondage

def orders(kept, first, last):
    for at in range(first, last):
        kept[at] = bytes(4000)

def carts(kept, first, last):
    for at in range(first, last):
        kept[at] = bytes(1000)

def allocator(domain):
    table = (ctypes.c_void_p * 5)()
    ctypes.pythonapi.PyMem_GetAllocator(domain, ctypes.byref(table))
    return list(table)

def allocators():
    return [allocator(domain) for domain in range(3)]
"""

ORDER = 4033
CART = 1033


class Profile:
    """The samples of one profile of memory."""

    def __init__(self, path):
        self.samples = pprof.read(path.read_bytes())

    def of(self, name, labels=None):
        """Sums over the stacks of the function's lines: objects and bytes, allocated and held.

        The leaf may be a function of another tool that was put before ours.
        """
        sums = {}
        for sample in self.samples:
            lines = [frame for frame in sample.frames if frame.file] or sample.frames
            labelled = labels is None or labels.items() <= sample.labels.items()
            if lines and lines[0].name == name and labelled:
                for key, value in sample.values.items():
                    sums[key] = sums.get(key, 0) + value
        keys = ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")
        return tuple(sums.get(key, 0) for key in keys)


    def stacks(self, name):
        """The distinct stacks that a function is in, each as the names of its frames."""
        return {tuple(sample.names) for sample in self.samples if name in sample.names}


class Memory(unittest.TestCase):
    def run_shop(self, code, **environment):
        """The output of a program, and the profiles of memory of each process, in order."""
        with tempfile.TemporaryDirectory() as folder:
            ended = python(SHOP + code, SONDAGE_PUSH="file:" + folder,
                           SONDAGE_INTERVAL="10m", **environment)
            self.assertEqual(ended.stderr, "")
            found = sorted(pathlib.Path(folder).glob("*-heap*.pb.gz"), key=order)
            profiles = {}
            for path in found:
                process = path.name.split("-heap")[0].rsplit("-", 2)[1]
                profiles.setdefault(process, []).append(Profile(path))
            return ended.stdout.split(), profiles

    def shop(self, code, **environment):
        """The profiles of a program of one process."""
        _, profiles = self.run_shop(code, **environment)
        self.assertEqual(len(profiles), 1, profiles)
        return next(iter(profiles.values()))

    def assert_holds(self, profile, name, count, size):
        """Exactly so many blocks are in use, beside a few small ones of the loop."""
        _, _, objects, space = profile.of(name)
        self.assertTrue(count <= objects <= count + 3, (name, objects))
        self.assertTrue(count * size <= space <= count * size + 100, (name, space))

    def assert_allocated(self, profile, name, count, size):
        """At least so many blocks were allocated; a number of the loop has at most 32 bytes."""
        objects, space, _, _ = profile.of(name)
        self.assertTrue(count <= objects <= 3 * count + 3, (name, objects))
        self.assertTrue(count * size <= space <= count * (size + 64) + 100, (name, space))

    HALF_DROPPED = """
sondage.start(memory=1)
kept = [None] * 3000
orders(kept, 0, 1000)
carts(kept, 1000, 3000)
sondage.flush()
kept[:500] = [None] * 500
kept[1000:2000] = [None] * 1000
sondage.stop()
"""

    def assert_half_dropped(self, profiles):
        first, last = profiles
        self.assert_allocated(first, "orders", 1000, ORDER)
        self.assert_allocated(first, "carts", 2000, CART)
        self.assert_holds(first, "orders", 1000, ORDER)
        self.assert_holds(first, "carts", 2000, CART)
        self.assert_holds(last, "orders", 500, ORDER)
        self.assert_holds(last, "carts", 1000, CART)
        self.assertEqual(last.of("orders")[:2], (0, 0))

    def test_every_block_is_counted_where_it_was_allocated_until_it_is_freed(self):
        self.assert_half_dropped(self.shop(self.HALF_DROPPED))

    def test_other_allocators_below_make_no_difference(self):
        for kind in ("malloc", "debug", "pymalloc_debug", "malloc_debug"):
            with self.subTest(kind):
                self.assert_half_dropped(self.shop(self.HALF_DROPPED, PYTHONMALLOC=kind))

    def test_estimates_from_few_samples_are_right_within_their_noise(self):
        first, last = self.shop("""
sondage.start(memory=65536)
kept = [None] * 60000
orders(kept, 0, 20000)
carts(kept, 20000, 60000)
sondage.flush()
kept[:10000] = [None] * 10000
sondage.stop()
""")
        # Some 1,230 and 630 samples: the noise is 2.9 and 4 %.
        for profile, name, count, size in (
            (first, "orders", 20000, ORDER),
            (first, "carts", 40000, CART),
            (last, "orders", 10000, ORDER),
        ):
            _, _, objects, space = profile.of(name)
            self.assertAlmostEqual(space / (count * size), 1, delta=0.2)
            self.assertAlmostEqual(objects / count, 1, delta=0.2)

    def test_without_memory_the_allocators_are_untouched_and_a_stop_puts_them_back(self):
        output, _ = self.run_shop("""
before = allocators()
sondage.start()
assert allocators() == before
sondage.stop()
sondage.start(memory=True)
during = allocators()
assert during[0] == before[0] and during[1] != before[1] and during[2] != before[2]
sondage.stop()
assert allocators() == before
print(sondage.stats())
""")
        self.assertEqual(output[0], "{}")

    def test_a_hundred_starts_and_stops_leave_nothing_behind(self):
        profiles = self.shop("""
before = allocators()
kept = [None] * 1000
for round in range(100):
    sondage.start(memory=1)
    orders(kept, 0, 10)
    sondage.stop()
    assert allocators() == before
sondage.start(memory=1)
carts(kept, 0, 10)
sondage.stop()
""")
        self.assertEqual(len(profiles), 101)
        for profile in profiles[:-1]:
            self.assert_holds(profile, "orders", 10, ORDER)
        self.assertEqual(profiles[-1].of("orders"), (0, 0, 0, 0))

    def test_labels_of_the_context_stand_on_allocations(self):
        (profile,) = self.shop("""
sondage.start(memory=1)
kept = [None] * 100
with sondage.labels(route="/orders"):
    orders(kept, 0, 50)
with sondage.labels(route="/carts"):
    orders(kept, 50, 60)
sondage.stop()
""")
        self.assertEqual(profile.of("orders", {"route": "/orders"})[3] // ORDER, 50)
        self.assertEqual(profile.of("orders", {"route": "/carts"})[3] // ORDER, 10)
        self.assert_holds(profile, "orders", 60, ORDER)

    def test_threads_that_allocate_at_once_lose_nothing(self):
        (profile,) = self.shop("""
sys.setswitchinterval(1e-5)
sondage.start(memory=1)
kept = [[None] * 500 for _ in range(8)]
def work(own):
    for _ in range(20):
        orders(own, 0, 500)
threads = [threading.Thread(target=work, args=(own,)) for own in kept]
for thread in threads: thread.start()
for thread in threads: thread.join()
stats = sondage.stats()["memory"]
assert stats["contended"] == 0 and stats["untracked"] == 0, stats
sondage.stop()
""")
        _, _, objects, space = profile.of("orders")
        self.assertEqual(space // ORDER, 8 * 500)
        self.assertLess(objects, 8 * 500 + 30)
        self.assert_allocated(profile, "orders", 8 * 500 * 20, ORDER)

    def test_a_storm_of_a_million_blocks_is_counted_to_the_last(self):
        (profile,) = self.shop("""
sondage.start(memory=1)
kept = [None] * 1000
for _ in range(1000):
    orders(kept, 0, 1000)
sondage.stop()
""")
        self.assert_allocated(profile, "orders", 1_000_000, ORDER)
        self.assert_holds(profile, "orders", 1000, ORDER)

    def test_a_forked_child_shows_what_it_inherited_and_what_it_allocates(self):
        output, profiles = self.run_shop("""
sondage.start(memory=1)
kept = [None] * 1000
orders(kept, 0, 100)
sondage.flush()
carts(kept, 100, 200)
child = os.fork()
if child == 0:
    sondage.flush()
    kept[:50] = [None] * 50
    carts(kept, 300, 310)
    sondage.stop()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
sondage.stop()
print(os.getpid(), child)
""")
        parent, child = (profiles[number] for number in output)
        self.assert_holds(parent[-1], "orders", 100, ORDER)
        self.assert_holds(parent[-1], "carts", 100, CART)
        before, after = child[0], child[-1]
        held = [one.of("[allocated before the fork]") for one in (before, after)]
        self.assertEqual([one[:2] for one in held], [(0, 0)] * 2)
        self.assertGreaterEqual(held[0][3], 100 * (ORDER + CART))
        self.assertLessEqual(held[1][3], held[0][3] - 50 * ORDER)
        self.assertEqual(after.of("orders"), (0, 0, 0, 0))
        self.assert_holds(after, "carts", 10, CART)

    def test_tracemalloc_starts_and_stops_before_and_after_us(self):
        steps = {
            "ours": ("sondage.start(memory=1)", "sondage.stop()"),
            "theirs": ("tracemalloc.start()", "tracemalloc.stop()"),
        }
        for first, second in (("ours", "theirs"), ("theirs", "ours")):
            for ends_first, ends_last in ((first, second), (second, first)):
                with self.subTest(f"{first} starts, {ends_first} ends first"):
                    profiles = self.shop(f"""
import tracemalloc
kept = [None] * 3000
{steps[first][0]}
carts(kept, 0, 100)
{steps[second][0]}
orders(kept, 1000, 1100)
{steps[ends_first][1]}
carts(kept, 0, 100)
orders(kept, 1000, 1100)
{steps[ends_last][1]}
carts(kept, 0, 100)
orders(kept, 1000, 1100)
sondage.start(memory=1)
carts(kept, 0, 100)
orders(kept, 1000, 1100)
sondage.stop()
kept.clear()
""")
                    # Where tracemalloc was before us and went first, it took our functions along.
                    if not (first == "theirs" and ends_first == "theirs"):
                        self.assert_holds(profiles[0], "orders", 100, ORDER)
                    self.assert_holds(profiles[-1], "carts", 100, CART)
                    self.assert_holds(profiles[-1], "orders", 100, ORDER)
                    # What is between our hook and the caller is walked rightly, and left out.
                    for profile in profiles:
                        self.assertLessEqual(profile.stacks("orders"), {("orders", "<module>")})

    def test_where_another_tool_has_taken_the_allocators_no_profile_tells_of_leaks(self):
        profiles = self.shop("""
import tracemalloc
tracemalloc.start()
kept = [None] * 1000
sondage.start(memory=1)
orders(kept, 0, 100)
tracemalloc.stop()
sondage.flush()
end = time.thread_time() + 0.3
while time.thread_time() < end:
    kept[:] = [None] * 1000
sondage.flush()
error = sondage.stats()["memory"]["error"]
assert "another tool" in error, error
sondage.stop()
""")
        self.assertEqual(len(profiles), 1)
        self.assert_holds(profiles[0], "orders", 100, ORDER)

    def test_a_tool_that_puts_its_functions_before_ours_is_left_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            layer = os.path.join(folder, "layer.so")
            source = str(HERE / "layer.c")
            subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", layer, source], check=True)
            profiles = self.shop(f"""
layer = ctypes.CDLL({layer!r})
kept = [None] * 3000
bare = allocators()
sondage.start(memory=1)
orders(kept, 0, 100)
layer.layer_install()
theirs = allocators()
orders(kept, 100, 200)
kept[:50] = [None] * 50
sondage.stop()
assert allocators() == theirs, "their functions stay the first"
for at in range(1000): kept[at] = None
sondage.start(memory=1)
carts(kept, 0, 100)
sondage.stop()
assert allocators() == theirs
calls = layer.layer_calls()
carts(kept, 0, 100)
assert layer.layer_calls() >= calls + 100
layer.layer_remove()
orders(kept, 0, 100)
sondage.start(memory=1)
carts(kept, 0, 100)
sondage.stop()
assert allocators() == bare
for _ in range(20):
    sondage.start(memory=1)
    layer.layer_install()
    sondage.stop()
    layer.layer_remove()
""")
        self.assert_holds(profiles[0], "orders", 150, ORDER)
        for profile in profiles[1:3]:
            self.assert_holds(profile, "carts", 100, CART)
            self.assert_allocated(profile, "carts", 100, CART)


def order(path):
    """Files of one process, in the order in which they were written."""
    return path.stat().st_mtime_ns
