import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import io.opentelemetry.context.Scope;
import io.opentelemetry.sdk.trace.ReadableSpan;
import io.opentelemetry.sdk.trace.SdkTracerProvider;

import sondage.opentelemetry.ProfileIds;

/** Work under spans. Prints the ids of the root, and its attribute. */
public class Traced {
    static final int WORK = 300;

    public static void main(String[] arguments) throws Exception {
        SdkTracerProvider provider =
                SdkTracerProvider.builder().addSpanProcessor(ProfileIds.install()).build();
        Tracer tracer = provider.get("test");
        Span root = tracer.spanBuilder("GET /pay").startSpan();
        ExecutorService pool = Context.taskWrapping(Executors.newFixedThreadPool(1));
        try (Scope scope = root.makeCurrent()) {
            inRoot();
            Span child = tracer.spanBuilder("charge").startSpan();
            try (Scope inner = child.makeCurrent()) {
                inChild();
                pool.submit(Traced::onOtherThread).get();
            }
            child.end();
        }
        root.end();
        outside();
        pool.submit(Traced::onOtherThreadOutside).get();
        pool.shutdown();
        System.out.println(root.getSpanContext().getSpanId());
        System.out.println(root.getSpanContext().getTraceId());
        System.out.println(((ReadableSpan) root)
                .getAttribute(AttributeKey.stringKey("pyroscope.profile.id")));
    }

    static void inRoot() {
        Work.burn(WORK);
    }

    static void inChild() {
        Work.burn(WORK);
    }

    static void onOtherThread() {
        Work.burn(WORK);
    }

    static void outside() {
        Work.burn(WORK);
    }

    static void onOtherThreadOutside() {
        Work.burn(WORK);
    }
}
