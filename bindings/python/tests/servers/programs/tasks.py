"""A Celery application over files, with two tasks that burn CPU time."""

import os
import time
from pathlib import Path

import celery

import sondage
import sondage.integrations.celery

sondage.start()
sondage.integrations.celery.instrument()

box = Path(os.environ["TASKS_BOX"])
app = celery.Celery("tasks", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": box,
        "data_folder_out": box,
        "control_folder": box / "control",
        "polling_interval": 0.02,
    },
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
)

#: CPU time that one task burns.
BURN = 0.05


def alpha() -> int:
    """Burns a little, under a name that the profile must have."""
    return sum(n * n for n in range(2000))


def beta() -> int:
    """The same work as `alpha`, under another name."""
    return sum(n * n for n in range(2000))


def burn(work, name: str) -> None:
    """Calls `work` until it has used its CPU time, and leaves a file that says so."""
    begin = time.thread_time()
    used = 0.0
    while used < BURN:
        slice_begin = time.thread_time()
        work()
        used += time.thread_time() - slice_begin
        time.sleep(0)
    cpu = time.thread_time() - begin
    done = box / f"{name}.done"
    done.with_suffix(".half").write_text(f"{os.getpid()} {cpu}")
    done.with_suffix(".half").rename(done)


@app.task(name="shop.alpha")
def run_alpha(name: str) -> None:
    burn(alpha, name)


@app.task(name="shop.beta")
def run_beta(name: str) -> None:
    burn(beta, name)
