"""Interpreters whose frames cannot be read: which those are, and how they are profiled."""

import functools
import os
import shutil
import sys
import tempfile
import unittest

import sondage
from sondage import _selftest, _sondage
from tests.programs import BURN, profiles, python, run

COMMAND = os.path.join(os.path.dirname(sys.executable), "sondage")

REASON = "its frames are laid out otherwise"

# The start of every program: its interpreter is refused, and its stacks are summed up by function.
REFUSED = (
    BURN
    + f"""
import collections, json, os, random, sys, threading, warnings
import sondage, sondage._selftest
sondage._selftest.run = lambda: {REASON!r}
warnings.simplefilter("ignore", RuntimeWarning)

def started(**settings):
    sondage.start(**{{"push": [], **settings}})

def seen(kind="cpu"):
    "The profile since the last flush: nanoseconds by function, wherever it is on the stack."
    from sondage import _sondage
    profile, folded = f"{{os.getpid()}}.pb.gz", f"{{os.getpid()}}.folded"
    with open(profile, "wb") as file:
        file.write(sondage.flush())
    _sondage.command(["sondage", "convert", profile, folded, "--type", kind], None, None)
    functions = {{}}
    with open(folded) as file:
        for line in file:
            stack, value = line.rsplit(" ", 1)
            for name in set(stack.split(";")):
                functions[name] = functions.get(name, 0) + int(value)
            functions["all"] = functions.get("all", 0) + int(value)
    return functions

def until_seen(work, part, kind="cpu"):
    # Works until each function is seen with this part of what it has spent, ten times at most:
    # whoever takes the stacks may rest for a second at the start and at the end. `work` returns
    # the seconds spent by function. Returns the seconds seen and those spent.
    shown, spent = collections.Counter(), collections.Counter()
    for _ in range(10):
        spent.update(work())
        shown.update({{name: nanos / 1e9 for name, nanos in seen(kind).items()}})
        if all(shown[name] > part * spent[name] for name in spent):
            break
    return shown, spent

def own_thread():
    for task in os.listdir("/proc/self/task"):
        with open("/proc/self/task/" + task + "/comm") as name:
            if name.read().strip() == "sondage-stacks":
                return task

def own_cpu():
    with open("/proc/self/task/" + own_thread() + "/schedstat") as times:
        return int(times.read().split()[0])
"""
)


def refused(code, **environment):
    ended = python(REFUSED + code, **environment)
    if ended.stderr:
        raise AssertionError(ended.stderr)
    return ended.stdout


class Refusal(unittest.TestCase):
    def test_each_single_wrong_offset_is_refused(self):
        def found(name, offset):
            # Not a lambda, whose frame would be on the stack that is checked.
            return _selftest.run(functools.partial(_sondage.check_layout, changed=(name, offset)))

        self.assertIsNone(_selftest.run())
        tried, passed = 0, []
        for name, offset in _sondage.layout_offsets():
            if offset == 65535:  # This version has no such thing.
                continue
            self.assertIsNone(found(name, offset), name)
            wrong = {offset + step for step in (-16, -8, -4, 4, 8, 16)} | {0}
            for other in wrong - {offset}:
                if 0 <= other < 65535:
                    tried += 1
                    if found(name, other) is None:
                        passed.append((name, offset, other))
        self.assertGreater(tried, 100)
        self.assertEqual(passed, [])


class Told(unittest.TestCase):
    def test_one_line_says_what_takes_the_stacks_and_why(self):
        code = REFUSED.replace('warnings.simplefilter("ignore", RuntimeWarning)', "")
        code += "started(); started(); print(json.dumps(sondage.stats()))"
        ended = python(code)
        lines = [line for line in ended.stderr.splitlines() if "Sondage" in line]
        self.assertEqual(len(lines), 1, ended.stderr)
        self.assertRegex(lines[0], r"\(python-thread\).*" + REASON + "$")
        self.assertIn('"engine": "python-thread"', ended.stdout)
        self.assertIn(REASON, ended.stdout)


class Profiled(unittest.TestCase):
    SHARES = """
spent = {"one": 0, "two": 0}
def spend(name, seconds):
    begun = time.thread_time()
    burn(seconds)
    spent[name] += time.thread_time() - begun
# At random: rounds of one length could keep step with the samples.
def one():
    spend("one", 0.03 * random.uniform(0.5, 1.5))
def two():
    spend("two", 0.01 * random.uniform(0.5, 1.5))
def work():
    for _ in range(40):
        one()
        two()
started()
threads = [threading.Thread(target=work) for _ in range(2)]
[thread.start() for thread in threads]
work()
[thread.join() for thread in threads]
functions = seen()
both = functions["one"] + functions["two"]
print(functions["one"] / both - spent["one"] / sum(spent.values()), both / 1e9, sum(spent.values()))
"""

    def test_the_shares_of_functions_are_those_of_their_cpu_time(self):
        error, shown, spent = map(float, refused(self.SHARES).split())
        self.assertLess(abs(error), 0.15)
        self.assertGreater(shown / spent, 0.7)
        self.assertLess(shown / spent, 1.02)

    def test_nothing_is_counted_twice(self):
        code = """
clocks = []
def spend(seconds):
    burn(seconds)
    clocks.append(time.thread_time())
def work():
    spend(0.6)
    ended = threading.Thread(target=spend, args=(0.005,))
    ended.start()
    ended.join()
def together():
    clocks.clear()
    threads = [threading.Thread(target=work) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return {"burn": sum(clocks)}
begun = time.process_time()
started(hz=250)
sondage.flush()
shown, spent = until_seen(together, 0.7)
used = time.process_time() - begun
stats = sondage.stats()
print(used, stats["host_cpu"] / 1e9, stats["sampled_cpu"] / 1e9, stats["unsampled_cpu"] / 1e9,
      stats["dropped_cpu"] / 1e9, shown["all"], shown["burn"], spent["burn"])
"""
        figures = map(float, refused(code).split())
        used, host, sampled, unsampled, dropped, shown, burnt, spent = figures
        self.assertEqual(dropped, 0)
        self.assertLess(host, used + 0.3)
        self.assertAlmostEqual(sampled + unsampled, host, delta=0.25 * host)
        self.assertAlmostEqual(shown, host, delta=0.25 * host)
        self.assertLess(burnt, 1.05 * spent)
        self.assertGreater(burnt, 0.7 * spent)

    def test_threads_and_code_without_the_lock_have_their_own_cpu_time(self):
        code = """
import hashlib
data = bytes(1 << 20)
used = {}
def hashes():
    end = time.thread_time() + 0.5
    while time.thread_time() < end:
        hashlib.sha256(data)
    used["hashes"] = time.thread_time()
def computes():
    burn(0.5)
    used["computes"] = time.thread_time()
def together():
    threads = [threading.Thread(target=target, name=target.__name__) for target in (hashes, computes)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return used
started()
shown, spent = until_seen(together, 0.7)
print(*(shown[name] / spent[name] for name in spent))
import gzip
text = gzip.open(f"{os.getpid()}.pb.gz").read()
assert b"python-thread" in text and b"MainThread" in text and b"timer" not in text
"""
        shares = list(map(float, refused(code).split()))
        self.assertEqual(len(shares), 2)
        for share in shares:
            self.assertGreater(share, 0.7)
            self.assertLess(share, 1.05)

    def test_waiting_is_charged_to_who_waits_and_is_no_sample(self):
        code = """
def waits():
    begun = time.monotonic()
    time.sleep(0.7)
    return {"waits": time.monotonic() - begun}
begun = time.monotonic()
started(wall=True)
shown, waited = until_seen(waits, 0.65, "wall")
print(shown["waits"], waited["waits"], time.monotonic() - begun)
waits()
print(seen("samples").get("waits", 0))
"""
        shown, waited, elapsed, samples = map(float, refused(code).split())
        self.assertGreater(shown, 0.65 * waited)
        # A gap before it may be charged to it, and nothing twice.
        self.assertLess(shown, elapsed)
        self.assertLess(samples, 10)

    def test_no_object_lives_longer_for_it(self):
        code = """
import gc, weakref
class Thing: pass
def holds(seconds):
    thing = Thing()
    burn(seconds)
    return weakref.ref(thing)
def works():
    begun = time.thread_time()
    for _ in range(300):
        assert holds(0.002)() is None
    return {"holds": time.thread_time() - begun}
gc.disable()
started(hz=1000)
burn(0.05)
shown, spent = until_seen(works, 0.2)
assert shown["holds"] > 0.2 * spent["holds"], (shown, spent)
"""
        refused(code)

    def test_it_takes_a_hundredth_of_a_core_at_most(self):
        code = """
def naps():
    while not end.is_set():
        time.sleep(0.001)
def deep(levels):
    deep(levels - 1) if levels else naps()
end = threading.Event()
threads = [threading.Thread(target=deep, args=(100,)) for _ in range(40)]
[thread.start() for thread in threads]
started(hz=1000)
time.sleep(0.3)
before, begun = own_cpu(), time.monotonic()
time.sleep(2)
print((own_cpu() - before) / 1e9 / (time.monotonic() - begun))
end.set()
[thread.join() for thread in threads]
"""
        self.assertLess(float(refused(code)), 0.03)

    def test_while_profiling_is_off_nothing_is_taken_and_nothing_told_later(self):
        code = """
import subprocess
def ctl(word):
    command = "import sys; from sondage.__main__ import command; sys.exit(command())"
    subprocess.run([sys.executable, "-c", command, "ctl", "set", str(os.getpid()), word], check=True,
                   stdout=subprocess.DEVNULL)
def off():
    burn(0.5)
def on():
    begun = time.thread_time()
    burn(1)
    return {"on": time.thread_time() - begun}
started(control=True)
ctl("--off")
assert not sondage.is_running()
off()
ctl("--on")
# A while passes before it is seen that profiling is on again.
shown, spent = until_seen(on, 0.4)
assert "off" not in shown, shown
print(shown["on"], spent["on"])
"""
        shown, spent = map(float, refused(code).split())
        self.assertGreater(shown, 0.4 * spent)
        self.assertLess(shown, spent + 0.1)


class Left(unittest.TestCase):
    def test_stop_leaves_no_thread_and_start_takes_no_signal(self):
        code = """
def caught():
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("SigCgt"))
        return int(line.split()[1], 16) & ~0x180000000  # The C library's own, once there are threads.
def timers():
    with open("/proc/self/timers") as timers:
        return timers.read()
before = caught()
for _ in range(3):
    started()
    burn(0.05)
    assert own_thread() and caught() == before and not timers()
    assert len(threading.enumerate()) == 1
    sondage.stop()
    latest = time.monotonic() + 30  # It has left Python and is on its way out.
    while len(os.listdir("/proc/self/task")) > 1:
        assert time.monotonic() < latest
"""
        refused(code)

    def test_forked_children_profile_themselves(self):
        code = """
started(push="file:" + os.environ["FOLDER"])
def parent():
    burn(1)
def child():
    burn(1)
def working(function):
    # Whoever takes the stacks rests a hundred times as long as that took: the whole second where
    # the machine was busy with something else.
    for _ in range(10):
        function()
        functions = seen()
        if functions.get(function.__name__, 0) > 0.2e9:
            break
    return functions
if os.fork() == 0:
    while not sondage.stats()["engine"]:  # Its agent is still starting.
        time.sleep(0.01)
    time.sleep(0.1)
    functions = working(child)
    assert sondage.stats()["engine"] == "python-thread"
    assert functions.get("child", 0) > 0.2e9 and "parent" not in functions, functions
    child()
    os._exit(0)
functions = working(parent)
assert os.wait()[1] == 0
assert functions.get("parent", 0) > 0.2e9 and "child" not in functions, functions
if os.fork() == 0:
    sondage.stop()
    end = time.monotonic() + 5
    while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < end:
        time.sleep(0.01)
    os._exit(len(os.listdir("/proc/self/task")) - 1)
assert os.wait()[1] == 0
sondage.stop()
"""
        with tempfile.TemporaryDirectory() as folder:
            refused(code, FOLDER=folder)
            self.assertGreaterEqual(len(profiles(folder)), 2)

    def test_a_program_that_ends_hands_its_last_profile_in(self):
        for end in ("", "sys.exit()", "os._exit(0)", "1 / 0"):
            with self.subTest(end=end), tempfile.TemporaryDirectory() as folder:
                code = REFUSED + f"started(push='file:{folder}'); burn(0.1); {end}"
                ended = python(code, check=False)
                self.assertEqual(len(profiles(folder)), 1, ended.stderr)


class Recorded(unittest.TestCase):
    # Each process works for longer than whoever takes the stacks may rest at its start and end.
    WORKS = """
import os
def works():
    burn(3)
    print(time.thread_time(), flush=True)
if os.fork() == 0:
    works()
    os._exit(0)
works()
os.wait()
"""

    def test_sondage_record_uses_it_too(self):
        with tempfile.TemporaryDirectory() as folder:
            package = os.path.join(folder, "sondage")
            shutil.copytree(os.path.dirname(sondage.__file__), package)
            with open(os.path.join(package, "_selftest.py"), "w") as file:
                file.write(f"def run():\n    return {REASON!r}\n")
            program = os.path.join(folder, "program.py")
            with open(program, "w") as file:
                file.write(BURN + self.WORKS)
            output = os.path.join(folder, "profile.folded")
            command = [COMMAND, "record", "-o", output, "--", sys.executable, program]
            ended = run(command, PYTHONPATH=folder)
            self.assertIn(REASON, ended.stderr)
            self.assertIn("2 processes", ended.stderr)
            with open(output) as file:
                works = [line for line in file if ";works;" in line]
            shown = sum(int(line.rsplit(" ", 1)[1]) for line in works) / 1e9
            spent = list(map(float, ended.stdout.split()))
            self.assertEqual(len(spent), 2)
            self.assertGreater(shown / sum(spent), 0.6)
            self.assertLess(shown / sum(spent), 1.05)


if __name__ == "__main__":
    unittest.main()
