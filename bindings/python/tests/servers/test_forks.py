"""Processes forked out of a busy one, while profiles are uploaded."""

import json
import os
import subprocess
import sys

import pytest
from collector import Collector
from server import PROGRAMS

FORKS = 1000


@pytest.fixture
def collector():
    with Collector() as collector:
        yield collector


def storm(collector: Collector, forks: int, exit_timeout: str) -> dict:
    environment = {
        **os.environ,
        "SONDAGE_PUSH": f"pyroscope+{collector.url}",
        "SONDAGE_INTERVAL": "1s",
        "SONDAGE_EXIT_TIMEOUT": exit_timeout,
        "PYTHONWARNINGS": "ignore",
    }
    run = subprocess.run(
        [sys.executable, "storm.py", str(forks)],
        cwd=PROGRAMS,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60 + forks,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_no_forked_process_hangs_and_the_profile_of_each_arrives(collector):
    # Longer than by default: the machine may be busy, and no profile may be missing.
    assert storm(collector, FORKS, exit_timeout="15s") == {"hung": 0, "failed": 0}
    arrived = collector.label_values("child")
    assert arrived == {str(number) for number in range(FORKS)}


def test_forked_processes_end_although_the_backend_never_answers(collector):
    collector.plan({"random": {"probability": 1.0, "seed": 1, "faults": [{"fault": "silence"}]}})
    assert storm(collector, 16, exit_timeout="1s") == {"hung": 0, "failed": 0}
