package sondage.opentelemetry;

import java.util.concurrent.ConcurrentHashMap;

import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.context.Context;
import io.opentelemetry.context.ContextStorage;
import io.opentelemetry.context.Scope;
import io.opentelemetry.sdk.trace.ReadWriteSpan;
import io.opentelemetry.sdk.trace.ReadableSpan;
import io.opentelemetry.sdk.trace.SpanProcessor;

import sondage.Labels;

/**
 * Lets samples carry the ids of the span that is current where they are taken, and its name, and marks
 * local root spans with {@code pyroscope.profile.id}. The id is that of the local root, the first span
 * of a trace in this process, so that a request has one profile. Exports nothing.
 *
 * <pre>{@code
 * SdkTracerProvider.builder().addSpanProcessor(ProfileIds.install())
 * }</pre>
 */
public final class ProfileIds implements SpanProcessor {
    /** What Grafana looks for in a span of Tempo, to show the profile of Pyroscope beside it. */
    private static final AttributeKey<String> PROFILE_ID =
            AttributeKey.stringKey("pyroscope.profile.id");

    /** Living spans that are remembered. Under a further one, samples have no ids. */
    private static final int MOST = 16_384;

    /** The local roots of living spans, by the id of the span. */
    private final ConcurrentHashMap<String, Root> roots = new ConcurrentHashMap<>();

    private ProfileIds() {}

    /** A local root span. */
    private static final class Root {
        final String trace;
        final Labels.Ids ids;
        final String name;

        Root(String trace, String span, String name) {
            this.trace = trace;
            this.ids = Labels.Ids.of(trace, span);
            this.name = name;
        }
    }

    /** Follows the current context, from before its first use on; the processor for the SDK. */
    public static ProfileIds install() {
        ProfileIds ids = new ProfileIds();
        ContextStorage.addWrapper(storage -> ids.new Following(storage));
        return ids;
    }

    @Override
    public boolean isStartRequired() {
        return true;
    }

    @Override
    public void onStart(Context parentContext, ReadWriteSpan span) {
        SpanContext context = span.getSpanContext();
        if (!isLocalAndSampled(context)) {
            return;
        }
        SpanContext parent = Span.fromContext(parentContext).getSpanContext();
        Root root = isLocalAndSampled(parent) ? roots.get(parent.getSpanId()) : null;
        if (root == null || !root.trace.equals(context.getTraceId())) {
            root = new Root(context.getTraceId(), context.getSpanId(), span.getName());
            span.setAttribute(PROFILE_ID, context.getSpanId());
        }
        if (roots.size() < MOST) {
            roots.put(context.getSpanId(), root);
        }
    }

    @Override
    public boolean isEndRequired() {
        return true;
    }

    @Override
    public void onEnd(ReadableSpan span) {
        roots.remove(span.getSpanContext().getSpanId());
    }

    /** A span that no sampler has taken is found by nobody. */
    private static boolean isLocalAndSampled(SpanContext span) {
        return span.isValid() && span.isSampled() && !span.isRemote();
    }

    /** The root of the span that a context has; null for none. */
    private Root rootOf(Context context) {
        SpanContext span = Span.fromContext(context).getSpanContext();
        return isLocalAndSampled(span) ? roots.get(span.getSpanId()) : null;
    }

    /** The storage of the current context, beside which the labels are kept. */
    private final class Following implements ContextStorage {
        private final ContextStorage storage;

        Following(ContextStorage storage) {
            this.storage = storage;
        }

        @Override
        public Scope attach(Context context) {
            Scope attached = storage.attach(context);
            Root root = rootOf(context);
            Labels.SpanScope span = Labels.under(root == null ? null : root.ids);
            if (root == null) {
                return () -> {
                    span.close();
                    attached.close();
                };
            }
            Labels.Scope name = Labels.of("span_name", root.name);
            return () -> {
                name.close();
                span.close();
                attached.close();
            };
        }

        @Override
        public Context current() {
            return storage.current();
        }

        @Override
        public Context root() {
            return storage.root();
        }
    }
}
