import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import sondage
from sondage.integrations.opentelemetry import PROFILE_ID, ProfileIds


@pytest.fixture
def tracer():
    provider = TracerProvider()
    provider.add_span_processor(ProfileIds())
    yield provider.get_tracer("shop")
    assert ids() == (None, None)


def ids():
    labels = sondage.current_labels()
    return labels.get("span_id"), labels.get("trace_id")


def ids_of(span):
    context = span.get_span_context()
    return trace.format_span_id(context.span_id), trace.format_trace_id(context.trace_id)


def test_samples_have_the_id_of_the_local_root_which_is_marked(tracer):
    with tracer.start_as_current_span("root") as root:
        assert root.attributes[PROFILE_ID] == ids_of(root)[0]
        assert ids() == ids_of(root)
        with tracer.start_as_current_span("child") as child:
            assert PROFILE_ID not in child.attributes
            assert ids() == ids_of(root)
            with tracer.start_as_current_span("grandchild"):
                assert ids() == ids_of(root)
        assert ids() == ids_of(root)


def test_a_span_that_is_not_current_labels_nothing_until_it_is(tracer):
    span = tracer.start_span("later")
    assert ids() == (None, None)
    with trace.use_span(span):
        assert ids() == ids_of(span)
    assert ids() == (None, None)
    span.end()


def test_a_span_that_ends_elsewhere_disturbs_nobody(tracer):
    with tracer.start_as_current_span("here") as here:
        span = tracer.start_span("elsewhere", context=context_api.Context())
        thread = threading.Thread(target=span.end)
        thread.start()
        thread.join()
        contextvars.copy_context().run(tracer.start_span("again").end)
        assert ids() == ids_of(here)


def test_a_context_that_is_detached_in_another_one_leaves_no_ids_there(tracer):
    context = trace.set_span_in_context(tracer.start_span("moved"))
    token = contextvars.copy_context().run(context_api.attach, context)
    context_api.detach(token)  # OpenTelemetry logs that it cannot.
    assert ids() == (None, None)


def test_labels_that_are_set_in_a_span_outlive_it_and_spans_leave_labels_alone(tracer):
    def task():
        with sondage.labels(route="/pay"):
            with tracer.start_as_current_span("root"):
                sondage.set_label("user", "seven")
            assert sondage.current_labels() == {"route": "/pay", "user": "seven"}

    contextvars.copy_context().run(task)


def test_tasks_of_asyncio_have_each_their_own_span(tracer):
    async def request():
        with tracer.start_as_current_span("request") as span:
            for _ in range(5):
                await asyncio.sleep(0)
                assert ids() == ids_of(span)
                with tracer.start_as_current_span("child"):
                    await asyncio.gather(part(span), part(span), asyncio.to_thread(same, span))
        assert ids() == (None, None)

    async def part(span):
        await asyncio.sleep(0)
        same(span)

    def same(span):
        assert ids() == ids_of(span)

    async def main():
        await asyncio.gather(*(request() for _ in range(50)))

    asyncio.run(main())


def test_a_context_that_is_carried_into_a_thread_takes_its_ids_along(tracer):
    def work(context):
        token = context_api.attach(context)
        inside = ids()
        context_api.detach(token)
        return inside, ids()

    with ThreadPoolExecutor(1) as pool, tracer.start_as_current_span("root") as root:
        context = context_api.get_current()
        assert pool.submit(work, context).result() == (ids_of(root), (None, None))
        assert ids() == ids_of(root)


def test_a_span_with_a_parent_in_another_process_is_a_local_root(tracer):
    remote = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    token = context_api.attach(trace.set_span_in_context(NonRecordingSpan(remote)))
    assert ids() == (None, None)
    with tracer.start_as_current_span("server") as span:
        assert span.attributes[PROFILE_ID] == ids_of(span)[0]
        assert ids() == ids_of(span)
        assert span.get_span_context().trace_id == 1
    context_api.detach(token)


def test_what_is_not_sampled_has_no_ids(tracer):
    provider = TracerProvider(sampler=ALWAYS_OFF)
    provider.add_span_processor(ProfileIds())
    with provider.get_tracer("shop").start_as_current_span("dropped"):
        assert ids() == (None, None)
        with tracer.start_as_current_span("kept", context=context_api.Context()) as kept:
            assert ids() == ids_of(kept)
        assert ids() == (None, None)
