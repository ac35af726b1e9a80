"""Others who use the same signals, stacks and interpreters: everybody goes on working."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import textwrap
import unittest

TESTS = pathlib.Path(__file__).parent

PRELUDE = f"""
import sys
sys.path.append({str(TESTS)!r})
import time, threading, signal, faulthandler, ctypes
import pprof, sondage

def burn(seconds):
    until = time.process_time() + seconds
    n = 0
    while time.process_time() < until:
        n = (n * 31 + 7) % 65537

def seen(name="burn"):
    "Seconds of CPU time with this function since the last call."
    samples = pprof.read(sondage.flush())
    return sum(s.values["cpu"] for s in samples if name in s.names) / 1e9

def start(**settings):
    sondage.start(push=[], interval=3600, **settings)
"""


def run(code, python=sys.executable, **environment):
    """Runs `code` after the prelude; returns how it ended."""
    program = PRELUDE + textwrap.dedent(code)
    return subprocess.run([python, "-c", program], capture_output=True, text=True, timeout=120,
                          env=os.environ | environment)


class Coexistence(unittest.TestCase):
    def assert_runs(self, code, **options):
        result = run(code, **options)
        self.assertEqual((result.returncode, result.stderr), (0, ""), result.stdout)

    def test_stacks_are_whole_when_faulthandler_comes_before_or_after_us(self):
        for first in ("faulthandler.enable(); start()", "start(); faulthandler.enable()"):
            with self.subTest(first):
                self.assert_runs(f"{first}\nburn(0.5)\nassert seen() > 0.2\nsondage.stop()\nburn(0.1)")

    def test_a_crash_of_the_host_is_told_by_faulthandler_and_kills_as_it_would_without_us(self):
        for first in ("faulthandler.enable(); start()", "start(); faulthandler.enable()",
                      "faulthandler.enable(); start(); burn(0.2); sondage.stop()"):
            with self.subTest(first):
                result = run(f"{first}\nburn(0.2)\nctypes.string_at(0)")
                self.assertEqual(result.returncode, -signal.SIGSEGV)
                self.assertIn("Fatal Python error: Segmentation fault", result.stderr)

    def test_a_crash_is_told_once_after_a_second_start_under_faulthandler(self):
        again = "start(); faulthandler.enable(); burn(0.1); "
        for case in (again + "sondage.stop(); start()",
                     again + "child = __import__('os').fork(); "
                     "child and sys.exit(__import__('os').waitpid(child, 0)[1])"):
            with self.subTest(case):
                result = run(f"{case}\nburn(0.1)\nctypes.string_at(0)")
                self.assertIn(result.returncode, (-signal.SIGSEGV, signal.SIGSEGV))
                self.assertEqual(result.stderr.count("Fatal Python error"), 1, result.stderr)

    def test_a_crash_without_faulthandler_kills_by_the_same_signal(self):
        result = run("start()\nburn(0.2)\nctypes.string_at(0)")
        self.assertEqual((result.returncode, result.stderr), (-signal.SIGSEGV, ""))

    def test_the_host_keeps_sigprof_and_its_timer(self):
        self.assert_runs("""
            ticks = []
            signal.signal(signal.SIGPROF, lambda *_: ticks.append(1))
            signal.setitimer(signal.ITIMER_PROF, 0.01, 0.01)
            start()
            burn(0.5)
            assert seen() > 0.2
            sondage.stop()
            before = len(ticks)
            assert before >= 10, before
            burn(0.2)
            assert len(ticks) > before
            signal.setitimer(signal.ITIMER_PROF, 0)
        """)

    def test_without_perf_events_a_timer_takes_over(self):
        self.assert_runs("""
            class Filter(ctypes.Structure):
                _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte),
                            ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]
            class Program(ctypes.Structure):
                _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.POINTER(Filter))]
            import platform
            perf_event_open = {"x86_64": 298, "aarch64": 241}[platform.machine()]
            EPERM, LOAD, EQUAL, RETURN, ALLOW = 0x50001, 0x20, 0x15, 0x06, 0x7FFF0000
            filters = (Filter * 4)(Filter(LOAD, 0, 0, 0), Filter(EQUAL, 0, 1, perf_event_open),
                                   Filter(RETURN, 0, 0, EPERM), Filter(RETURN, 0, 0, ALLOW))
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.prctl(38, 1, 0, 0, 0) == 0
            program = Program(4, filters)
            assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0
            start(engine="auto")
            burn(0.5)
            assert seen() > 0.2
        """)

    def test_threads_with_stacks_of_32_kib_are_sampled(self):
        self.assert_runs("""
            try:
                threading.stack_size(32768)
            except ValueError:  # 3.14 wants more.
                threading.stack_size(65536)
            start(hz=1000)
            threads = [threading.Thread(target=burn, args=(0.5,)) for _ in range(8)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            assert seen() > 0.2
        """)

    def test_frames_of_other_interpreters_are_seen(self):
        self.assert_runs("""
            try:
                import _interpreters as interpreters
            except ImportError:
                import _xxsubinterpreters as interpreters
            start(hz=250)
            inside = '''
            import time
            def elsewhere():
                until = time.process_time() + 0.5
                n = 0
                while time.process_time() < until:
                    n = (n * 31 + 7) % 65537
            elsewhere()
            '''
            import textwrap
            other = interpreters.create()
            interpreters.run_string(other, textwrap.dedent(inside))
            interpreters.destroy(other)
            assert seen("elsewhere") > 0.2
            burn(0.3)
            assert seen() > 0.1
        """)

    def test_another_interpreter_is_refused_with_one_line(self):
        python = shutil.which("pypy3")
        if python is None:
            self.skipTest("no pypy3 here")
        package = pathlib.Path(__import__("sondage").__file__).parents[1]
        command = [python, "-c", "import sondage"]
        result = subprocess.run(command, capture_output=True, text=True,
                                env=os.environ | {"PYTHONPATH": str(package)})
        self.assertNotEqual(result.returncode, 0)
        last = result.stderr.strip().splitlines()[-1]
        self.assertTrue(last.startswith("ImportError: sondage needs CPython"), result.stderr)


if __name__ == "__main__":
    unittest.main()
