"""Signals by which a program ends itself, and what is then left of its profile."""

import os
import signal
import tempfile
import unittest

from tests import pprof
from tests.programs import BURN, profiles, python

# What uvicorn does: a handler of its own, a graceful end, the default, and the signal once more.
GRACEFUL = """
import os, signal, sondage
sondage.start()
{burn}
signal.signal(signal.SIGTERM, lambda *_: print("gracefully", flush=True))
os.kill(os.getpid(), signal.SIGTERM)
burn()
signal.signal(signal.SIGTERM, signal.SIG_DFL)
{last}
print("never", flush=True)
"""

WAYS = (
    "signal.raise_signal(signal.SIGTERM)",
    "os.kill(os.getpid(), signal.SIGTERM)",
    "signal.signal(signal.SIGHUP, signal.SIG_DFL); signal.raise_signal(signal.SIGHUP)",
)


class RaisedAgain(unittest.TestCase):
    def test_a_process_dies_of_its_own_signal_and_leaves_its_last_profile(self):
        for last in WAYS:
            with self.subTest(last), tempfile.TemporaryDirectory() as folder:
                code = GRACEFUL.format(burn=BURN, last=last)
                ended = python(code, check=False, SONDAGE_PUSH="file:" + folder)
                number = signal.SIGHUP if "SIGHUP" in last else signal.SIGTERM
                self.assertEqual(ended.returncode, -number, ended.stderr)
                self.assertEqual(ended.stdout, "gracefully\n")
                self.assertEqual(len(profiles(folder)), 1)

    def test_signals_that_end_nobody_go_on_profiling_and_functions_are_given_back(self):
        code = """
import os, signal, sondage
before = signal.raise_signal, os.kill
sondage.start(push=[])
seen = []
signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.raise_signal(signal.SIGTERM)
signal.raise_signal(signal.SIGHUP)
os.kill(os.getpid(), signal.SIGTERM)
os.kill(os.getpid(), 0)
assert len(seen) == 2 and sondage.is_running()
sondage.stop()
assert before == (signal.raise_signal, os.kill)
"""
        self.assertEqual(python(code).stderr, "")

    def test_a_blocked_signal_is_not_taken_for_the_end(self):
        code = BURN + """
import os, signal, sondage
def after():
    burn()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
sondage.start()
burn()
os.kill(os.getpid(), signal.SIGTERM)
after()
"""
        with tempfile.TemporaryDirectory() as folder:
            python(code, SONDAGE_PUSH="file:" + folder)
            names = set()
            for name in os.listdir(folder):
                with open(os.path.join(folder, name), "rb") as profile:
                    names.update(*(sample.names for sample in pprof.read(profile.read())))
        self.assertIn("after", names)
