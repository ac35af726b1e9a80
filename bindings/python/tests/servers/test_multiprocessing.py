"""`multiprocessing`, with each way to start processes."""

import json
import os
import subprocess
import sys

import pytest
from profiles import Profiles
from server import PATIENCE, PROGRAMS, PROMPT


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_each_process_delivers_a_profile_also_one_that_is_terminated(method, tmp_path):
    environment = {
        **os.environ,
        "SONDAGE_PUSH": f"file:{tmp_path}",
        "SONDAGE_INTERVAL": "60s",
    }
    run = subprocess.run(
        [sys.executable, "children.py", method],
        cwd=PROGRAMS,
        env=environment,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
    )
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said["ended in"] < PROMPT, said
    burnt = {int(process): cpu for process, cpu in said["burnt"].items()}

    profiles = Profiles(tmp_path)
    assert profiles.processes() >= set(burnt), run.stderr
    for process, cpu in burnt.items():
        seen = profiles.cpu("route", "/alpha", process)
        assert 0.6 * cpu < seen < 1.5 * cpu + 0.1, (process, cpu, seen)
    assert "alpha" in profiles.functions("route")["/alpha"]
