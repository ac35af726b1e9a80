"""Span profiles for OpenTelemetry, 1.20 and later::

    provider.add_span_processor(sondage.integrations.opentelemetry.ProfileIds())

Samples carry the ids of the *current* span: that of ``start_as_current_span``, ``use_span`` and
whatever else OpenTelemetry attaches, in threads and tasks alike. A span that was only started
labels nothing, since nobody can say which work belongs to it. The ids change where the current
context changes, not where spans start and end: so it does not matter in which thread or task a span
is ended.
"""

from typing import Any, Optional

from sondage._sondage import enter_span

try:
    from opentelemetry import context as context_api
    from opentelemetry import trace
    from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
except ImportError as error:
    message = "sondage.integrations.opentelemetry needs opentelemetry-sdk 1.20 or later"
    raise ImportError(message) from error

#: What Grafana looks for in a span of Tempo, to show the profile of Pyroscope beside it.
PROFILE_ID = "pyroscope.profile.id"

#: The attribute of a span object that holds the id of its local root.
_ROOT = "_sondage_root"


class ProfileIds(SpanProcessor):
    """Marks local root spans with ``pyroscope.profile.id``, and samples with that id.

    A local root is a span whose parent is in another process, is not sampled, or does not exist.
    Samples have the id of the current span's local root, and its trace. Work under a span that is
    not sampled has no ids: nobody could look it up. Exports nothing; put it beside the processor
    that does.
    """

    def __init__(self) -> None:
        _Follower.install()

    def on_start(self, span: Span, parent_context: Optional[context_api.Context] = None) -> None:
        parent = trace.get_current_span(parent_context)
        if _is_local_and_sampled(parent.get_span_context()):
            root = getattr(parent, _ROOT, None)
        else:
            root = span.get_span_context().span_id
            span.set_attribute(PROFILE_ID, trace.format_span_id(root))
        setattr(span, _ROOT, root)

    def on_end(self, span: ReadableSpan) -> None:
        """Nothing: the ids go when the span stops to be the current one."""


class _Follower:
    """OpenTelemetry's store of the current context, with the ids of samples kept in step."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.get_current = store.get_current

    @classmethod
    def install(cls) -> None:
        # The one way to hear of a change; `OTEL_PYTHON_CONTEXT`, which puts another store there,
        # would have to be set before OpenTelemetry is imported.
        context_api.get_current()  # Older versions make their store at the first use.
        store = context_api._RUNTIME_CONTEXT
        if not isinstance(store, cls):
            context_api._RUNTIME_CONTEXT = cls(store)

    def attach(self, context: context_api.Context) -> Any:
        token = self._store.attach(context)
        _follow(context)
        return token

    def detach(self, token: Any) -> None:
        try:
            self._store.detach(token)
        finally:
            # Not what it was before: labels that were set in between stay.
            _follow(self.get_current())


def _follow(context: context_api.Context) -> None:
    """Gives samples the ids of a context's span."""
    span = trace.get_current_span(context)
    ids = span.get_span_context()
    if _is_local_and_sampled(ids):
        enter_span(getattr(span, _ROOT, None) or ids.span_id, ids.trace_id)
    else:
        enter_span(0, 0)


def _is_local_and_sampled(ids: trace.SpanContext) -> bool:
    return ids.is_valid and not ids.is_remote and ids.trace_flags.sampled
