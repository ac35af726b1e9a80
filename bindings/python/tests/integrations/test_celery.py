import celery
import pytest

import sondage
import sondage.integrations.celery

app = celery.Celery("shop", broker="memory://")
app.conf.task_always_eager = True


@app.task(name="shop.inner")
def inner():
    return sondage.current_labels()


@app.task(name="shop.outer")
def outer():
    before = sondage.current_labels()
    within = inner.delay().get(disable_sync_subtasks=False)
    return before, within, sondage.current_labels()


@app.task(name="shop.retried", bind=True, max_retries=2, default_retry_delay=0)
def retried(self):
    assert sondage.current_labels() == {"task": "shop.retried"}
    if self.request.retries < 2:
        raise self.retry()
    return sondage.current_labels()


@app.task(name="shop.fails")
def fails():
    raise KeyError("deliberate")


@pytest.fixture(autouse=True)
def instrumented():
    sondage.integrations.celery.instrument()
    sondage.integrations.celery.instrument()
    yield
    assert sondage.current_labels() == {}


def test_a_task_inside_another_has_its_own_name_and_gives_the_outer_one_back():
    outer_labels, inner_labels = {"task": "shop.outer"}, {"task": "shop.inner"}
    assert outer.delay().get() == (outer_labels, inner_labels, outer_labels)


def test_retries_and_failures_leave_no_label_behind():
    assert retried.delay().get() == {"task": "shop.retried"}
    assert sondage.current_labels() == {}
    with pytest.raises(KeyError):
        fails.delay().get()
