"""Celery's worker, with each of its pools."""

import os
import subprocess
import sys
import time
from collections import Counter

import pytest
from profiles import Profiles
from server import PATIENCE, PROGRAMS, PROMPT

TASKS = 40

POOLS = {
    "prefork": ["--pool", "prefork", "--concurrency", "2"],
    "threads": ["--pool", "threads", "--concurrency", "4"],
    "gevent": ["--pool", "gevent", "--concurrency", "8"],
}


@pytest.mark.parametrize("pool", POOLS)
def test_each_process_of_a_pool_delivers_a_profile_with_the_right_tasks(pool, tmp_path):
    box = tmp_path / "box"
    (box / "control").mkdir(parents=True)
    environment = {
        **os.environ,
        "TASKS_BOX": str(box),
        "SONDAGE_PUSH": f"file:{tmp_path / 'profiles'}",
        "SONDAGE_INTERVAL": "60s",
    }
    celery = [sys.executable, "-m", "celery", "-A", "tasks"]
    options = ["worker", *POOLS[pool], "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
    with open(tmp_path / "output", "wb") as output:
        worker = subprocess.Popen(
            [*celery, *options], cwd=PROGRAMS, env=environment, stdout=output, stderr=output
        )
    try:
        submit(environment)
        burnt = results(box, worker)
        begin = time.monotonic()
        worker.terminate()
        code = worker.wait(PATIENCE)
        duration = time.monotonic() - begin
    except BaseException:
        worker.kill()
        raise
    text = (tmp_path / "output").read_text()
    assert (code, duration < PROMPT) == (0, True), (duration, text)

    profiles = Profiles(tmp_path / "profiles")
    assert profiles.processes() >= set(burnt), text
    for process, cpu in burnt.items():
        seen = sum(profiles.cpu("task", f"shop.{name}", process) for name in ("alpha", "beta"))
        assert 0.6 * cpu < seen < 1.5 * cpu + 0.1, (process, cpu, seen)
    by_task = profiles.functions("task")
    for name, other in (("alpha", "beta"), ("beta", "alpha")):
        functions = by_task[f"shop.{name}"]
        assert functions[name] > 0.2, functions
        assert other not in functions, "samples of the other task have this task's label"


def submit(environment: dict) -> None:
    """Sends the tasks from a process of its own, which is not profiled."""
    program = f"""
import tasks
for n in range({TASKS}):
    (tasks.run_alpha if n % 2 else tasks.run_beta).delay(str(n))
"""
    unprofiled = {**environment, "SONDAGE_ENABLED": "off"}
    subprocess.run([sys.executable, "-c", program], cwd=PROGRAMS, env=unprofiled, check=True)


def results(box, worker) -> Counter:
    """Waits for every task; the CPU time by process."""
    begin = time.monotonic()
    while len(list(box.glob("*.done"))) < TASKS:
        assert worker.poll() is None and time.monotonic() < begin + PATIENCE
        time.sleep(0.02)
    burnt = Counter()
    for done in box.glob("*.done"):
        process, cpu = done.read_text().split()
        burnt[int(process)] += float(cpu)
    return burnt
