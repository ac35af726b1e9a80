"""A Celery application over files, with two tasks that burn CPU time."""

import os
from pathlib import Path

import celery
from burning import alpha, beta, burn

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


def run(work, name: str) -> None:
    """Burns CPU time, and leaves a file that says how much."""
    cpu = burn(work)
    done = box / f"{name}.done"
    done.with_suffix(".half").write_text(f"{os.getpid()} {cpu}")
    done.with_suffix(".half").rename(done)


@app.task(name="shop.alpha")
def run_alpha(name: str) -> None:
    run(alpha, name)


@app.task(name="shop.beta")
def run_beta(name: str) -> None:
    run(beta, name)
