"""What the profiler promises about Python, measured: small by default, at published sizes with
SONDAGE_STORM=full. Each proof is a program of its own, since some of them would end in a crash."""

import json
import os
import pathlib
import subprocess
import sys
import unittest

PROOFS = pathlib.Path(__file__).parent / "proofs"
FULL = os.environ.get("SONDAGE_STORM") == "full"


def prove(program, seconds, hz, engine, *least):
    """Runs a proof, some until it has at least so many samples, and returns what it printed."""
    command = [sys.executable, str(PROOFS / program), str(seconds), str(hz), engine,
               *map(str, least)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=seconds * 5 + 120)
    if run.returncode != 0:
        raise AssertionError(f"{program} ended with {run.returncode}:\n{run.stderr[-4000:]}")
    told = json.loads(run.stdout.splitlines()[-1])
    if FULL:
        shown = {key: value for key, value in told.items() if key != "stats"}
        print(f"\n{sys.version.split()[0]} {program} {engine} at {hz} Hz: {shown}", file=sys.stderr)
    return told


class Proofs(unittest.TestCase):
    def test_no_stack_is_put_together_from_two_moments(self):
        least = 20_000 if FULL else 150
        told = prove("chains.py", 25 if FULL else 2, 1000, "perf", least)
        self.assertGreaterEqual(told["judged"], least)
        self.assertEqual(told["torn"], 0)

    def test_every_sample_of_interleaved_tasks_has_the_label_of_its_task(self):
        least = 30_000 if FULL else 150
        told = prove("interleaved.py", 60 if FULL else 2, 1000, "perf", least)
        self.assertGreaterEqual(told["right"], least)
        self.assertEqual(told["wrong"], 0)

    def test_the_time_of_threads_that_live_5_ms_is_in_the_profile(self):
        told = prove("short.py", 20 if FULL else 5, 250, "perf")
        if told["stats"]["engine"] != "perf":
            self.skipTest(f"no perf events here: {told['stats']['engine_reason']}")
        self.assertGreaterEqual(told["told"] / told["spent"], 0.9 if FULL else 0.75)
        self.assertLessEqual(told["told"] / told["spent"], 1.1 if FULL else 1.25)

    def test_nothing_that_moves_frames_crashes_the_process_or_loses_stacks(self):
        least = 100_000 if FULL else 250
        told = prove("churn.py", 60 if FULL else 3, 5000, "perf", least)
        self.assertGreaterEqual(told["samples"], least)
        self.assertLessEqual(told["lost"], max(1, told["samples"] / 1000))


if __name__ == "__main__":
    unittest.main()
