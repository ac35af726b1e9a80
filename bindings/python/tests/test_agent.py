"""Starting, stopping, and what is in between."""

import gzip
import os
import sys
import tempfile
import threading
import time
import unittest
import warnings

import sondage
from tests.programs import BURN, profiles, python

exec(BURN)


class Running(unittest.TestCase):
    def tearDown(self):
        sondage.stop()

    def test_a_profile_is_handed_out_and_counted(self):
        self.assertFalse(sondage.is_running())
        self.assertIsNone(sondage.flush())
        self.assertEqual(sondage.stats(), {})
        sondage.start(push=[], hz=250)
        self.assertTrue(sondage.is_running())
        burn()
        self.assertTrue(gzip.decompress(sondage.flush()))
        stats = sondage.stats()
        self.assertGreater(stats["samples"], 10)
        self.assertEqual(stats["flushes"], 1)

    def test_a_second_start_changes_nothing(self):
        sondage.start(push=[], hz=50)
        sondage.start(push=[], hz=100)
        sondage.flush()
        self.assertEqual(sondage.stats()["interval_nanos"], 20_000_000)

    def test_threads_that_ask_while_it_stops_do_not_hang_it(self):
        ended = threading.Event()

        def ask():
            while not ended.is_set():
                sondage.is_running(), sondage.stats()

        threads = [threading.Thread(target=ask) for _ in range(2)]
        [thread.start() for thread in threads]
        for _ in range(20):
            sondage.start(push=[])
            sondage.stop()
        ended.set()
        [thread.join() for thread in threads]

    def test_a_wrong_argument_is_named_with_what_is_allowed(self):
        wrong = [
            (dict(hz=0), r"^hz is .*5000"),
            (dict(hz="fast"), r'^hz is "fast"; allowed: a whole number'),
            (dict(interval=-1.0), "^interval is"),
            (dict(interval=0.001), "^interval is"),
            (dict(push="gopher://x"), "^push"),
            (dict(service_name="x" * 2000), "^service_name"),
            (dict(labels={"__x": "1"}), "^labels"),
            (dict(memory_limit="lots"), "^memory_limit"),
            (dict(participation=2), "^participation"),
            (dict(proxy="always"), "^proxy"),
        ]
        for arguments, message in wrong:
            with self.subTest(**arguments), self.assertRaisesRegex(ValueError, message):
                sondage.start(**arguments)
            self.assertFalse(sondage.is_running())
        with self.assertRaisesRegex(TypeError, "rate"):
            sondage.start(rate=1)

    def test_every_argument_of_its_own_type_is_taken(self):
        with tempfile.TemporaryDirectory() as folder:
            sondage.start(
                service_name="shop, % and =",
                push=["file:" + folder, "file:" + os.path.join(folder, "other")],
                hz=49,
                wall=False,
                interval=2.5,
                labels={"region": "eu=1,2", "n": 3},
                inlines=True,
                control=False,
                participation=1.0,
                exit_timeout=1.5,
                file_age=3600.0,
                file_bytes="2GiB",
                file_count=1,
                memory_limit="32MiB",
                symbol_memory_limit=8 << 20,
                max_threads=100,
                max_depth=64,
                max_label_sets=100,
            )
            burn(0.1)
            profile = gzip.decompress(sondage.flush())
            burn(0.1)
            sondage.stop()
            self.assertIn(b"shop, %25 and =", profile)
            self.assertIn(b"eu=1,2", profile)
            # The second profile takes the place of the first.
            self.assertEqual(len(os.listdir(os.path.join(folder, "other"))), 1)

    def test_stop_may_be_called_at_any_time(self):
        sondage.stop()
        for _ in range(3):
            sondage.start(push=[])
            sondage.stop()
            sondage.stop()
        self.assertFalse(sondage.is_running())

    def test_the_environment_lies_below_arguments(self):
        code = """
import sondage
sondage.start(hz=50)
sondage.flush()
print(sondage.stats()["interval_nanos"])
"""
        ended = python(code, SONDAGE_HZ="25", SONDAGE_PUSH="none")
        self.assertEqual(ended.stdout.strip(), "20000000")
        ended = python(code.replace("hz=50", ""), SONDAGE_HZ="25", SONDAGE_PUSH="none")
        self.assertEqual(ended.stdout.strip(), "40000000")

    def test_a_wrong_variable_is_an_error_and_an_unknown_one_a_warning(self):
        ended = python("import sondage; sondage.start()", check=False, SONDAGE_HZ="0")
        self.assertIn("ValueError: SONDAGE_HZ is", ended.stderr)
        ended = python("import sondage; sondage.start(push=[])", SONDAGE_HERTZ="1")
        self.assertIn("RuntimeWarning: SONDAGE_HERTZ is unknown", ended.stderr)

    def test_disabled_by_the_environment_nothing_runs_and_nothing_is_patched(self):
        code = """
import os, threading, sondage
before = os._exit
sondage.start()
assert not sondage.is_running() and os._exit is before, os._exit
assert len(os.listdir("/proc/self/task")) == 1
"""
        python(code, SONDAGE_ENABLED="false")

    def test_the_service_is_called_like_the_program(self):
        code = """
import gzip, sys, sondage
sys.argv = ["/srv/shop.py"]
sondage.start(push=[])
print(b"shop" in gzip.decompress(sondage.flush()))
"""
        self.assertEqual(python(code).stdout.strip(), "True")


class Traces(unittest.TestCase):
    def test_import_leaves_no_thread_no_handler_and_no_heavy_module(self):
        code = """
import os, signal, sys
handlers = [signal.getsignal(number) for number in range(1, 65)]
masks = open("/proc/self/status").read().split("SigCgt:")[1].split()[0]
before = set(sys.modules)
import sondage
assert len(os.listdir("/proc/self/task")) == 1
assert handlers == [signal.getsignal(number) for number in range(1, 65)]
assert masks == open("/proc/self/status").read().split("SigCgt:")[1].split()[0]
new = set(sys.modules) - before
print(sorted(new))
assert all(name.startswith("sondage") for name in new), new
"""
        python(code)

    def test_stop_gives_everything_back(self):
        state = lambda: (
            len(os.listdir("/proc/self/task")),
            _status("SigCgt"),
            _status("SigIgn"),
            os._exit,
            {name: getattr(threading, name, None) for name in _STARTERS},
            list(sys.meta_path),
        )
        before = state()
        sondage.start(push=[])
        self.assertNotEqual(before, state())
        sondage.stop()
        # The kernel lists a thread a moment longer than it can be waited for.
        end = time.monotonic() + 5
        while before != state() and time.monotonic() < end:
            time.sleep(0.01)
        self.assertEqual(before, state())

    def test_what_somebody_else_changed_meanwhile_stays_and_goes_on_working(self):
        sondage.start(push=[])
        name = next(name for name in _STARTERS if hasattr(threading, name))
        ours = getattr(threading, name)
        theirs = lambda *args, **kwargs: ours(*args, **kwargs)
        setattr(threading, name, theirs)
        try:
            sondage.stop()
            self.assertIs(getattr(threading, name), theirs)
            ran = []
            thread = threading.Thread(target=ran.append, args=(1,))
            thread.start()
            thread.join()
            self.assertEqual(ran, [1])
        finally:
            setattr(threading, name, ours.original)

    def test_a_short_program_leaves_its_profile_at_its_end(self):
        with tempfile.TemporaryDirectory() as folder:
            code = BURN + "import sondage; sondage.start(); burn()"
            ended = python(code, SONDAGE_PUSH="file:" + folder)
            self.assertEqual((ended.stdout, ended.stderr), ("", ""))
            self.assertEqual(len(profiles(folder)), 1)

    def test_a_warning_that_is_an_error_to_the_program_does_not_fail_it(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            os.environ["SONDAGE_HERTZ"] = "1"
            try:
                sondage.start(push=[])
                self.assertTrue(sondage.is_running())
            finally:
                del os.environ["SONDAGE_HERTZ"]
                sondage.stop()


_STARTERS = ("_start_joinable_thread", "_start_new_thread")


def _status(field):
    with open("/proc/self/status") as status:
        return next(line for line in status if line.startswith(field))


if __name__ == "__main__":
    unittest.main()
