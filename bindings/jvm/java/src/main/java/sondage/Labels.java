package sondage;

import java.util.concurrent.Callable;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.ScheduledExecutorService;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * What the calling thread, platform or virtual, is working on: it is taken with every sample.
 *
 * <pre>{@code
 * try (Labels.Scope scope = Labels.of("route", "/checkout")) {
 *     checkout();
 * }
 * }</pre>
 *
 * <p>Scopes nest: the inner one adds to the outer one, which is there again when the inner one is
 * closed. A scope belongs to the thread that has opened it; work for other threads takes its labels
 * along by {@link #wrap(Runnable)} and its like. Entering and leaving costs some nanoseconds, and
 * nothing is kept afterwards but each distinct set of labels, once. Distinct values are bounded: use
 * templates of routes and names of jobs, not ids.
 *
 * <p>Where no profiler was started, all this does nothing.
 */
public final class Labels {
    private static final ThreadLocal<Current> CURRENT = new ThreadLocal<Current>() {
        @Override
        protected Current initialValue() {
            return new Current();
        }
    };

    /** The class of virtual threads; null before 21. */
    private static final Class<?> VIRTUAL = virtual();

    /** Whether the sampler was told where the labels of virtual threads are. */
    private static volatile boolean told;

    private Labels() {}

    private static Class<?> virtual() {
        try {
            return Class.forName("java.lang.BaseVirtualThread");
        } catch (ClassNotFoundException none) {
            return null;
        }
    }

    /**
     * The labels of one thread. The sampler knows the names and the types of {@code mark},
     * {@code set} and {@code ids}: on a virtual thread it reads them here.
     */
    static final class Current {
        /** By this the sampler knows such an object: {@code SDGLABEL}. */
        final long mark = 0x5344474c4142454cL;
        /** The number of the set. */
        int set;
        /** The ids of the span; null for none. */
        Ids ids;
        private final Thread thread = Thread.currentThread();
        /** Where the handler looks on a platform thread; null on a virtual one. */
        private Cell cell;
        /** The start of the profiler that the cell was made known to. */
        private int start;

        void register() {
            start = Sondage.starts();
            if (VIRTUAL == null || !VIRTUAL.isInstance(thread)) {
                cell = Cell.ofThread();
                set(set);
                ids(ids);
            } else if (!told) {
                Native.labelsAreIn(CURRENT, Current.class, Ids.class);
                told = true;
            }
        }

        /** Another thread must not write where that of a thread was that has ended. */
        boolean isHere() {
            return thread == Thread.currentThread();
        }

        void set(int set) {
            this.set = set;
            if (cell != null) {
                cell.set(set);
            }
        }

        void ids(Ids ids) {
            this.ids = ids;
            if (cell != null) {
                cell.set(set, ids);
            }
        }
    }

    /** Labels that are current until they are closed. */
    public static final class Scope implements AutoCloseable {
        private final Current current;
        private final int before;

        Scope(Current current, int before) {
            this.current = current;
            this.before = before;
        }

        /** Makes the labels current again that were before. */
        @Override
        public void close() {
            if (current != null && current.isHere()) {
                current.set(before);
            }
        }
    }

    /** The ids of a span and of its trace, as OpenTelemetry has them; any number of them. */
    public static final class Ids {
        // The sampler knows these names.
        private final long span;
        private final long traceHigh;
        private final long traceLow;

        private Ids(long span, long traceHigh, long traceLow) {
            this.span = span;
            this.traceHigh = traceHigh;
            this.traceLow = traceLow;
        }

        /**
         * Ids from 32 and 16 hexadecimal digits.
         *
         * @throws IllegalArgumentException where they are not that
         */
        public static Ids of(String trace, String span) {
            if (trace.length() != 32 || span.length() != 16) {
                throw new IllegalArgumentException("no ids of a trace and a span: " + trace + ", "
                        + span);
            }
            return new Ids(Long.parseUnsignedLong(span, 16),
                    Long.parseUnsignedLong(trace.substring(0, 16), 16),
                    Long.parseUnsignedLong(trace.substring(16), 16));
        }

        long span() {
            return span;
        }

        long traceHigh() {
            return traceHigh;
        }

        long traceLow() {
            return traceLow;
        }
    }

    /** The ids of a span that are current until they are closed; labels in between stay. */
    public static final class SpanScope implements AutoCloseable {
        private final Current current;
        private final Ids before;

        SpanScope(Current current, Ids before) {
            this.current = current;
            this.before = before;
        }

        /** Makes the ids current again that were before. */
        @Override
        public void close() {
            if (current != null && current.isHere()) {
                current.ids(before);
            }
        }
    }

    // One place that makes a scope, in each of these: then the compiler makes none.

    /** Adds a label to those of the calling thread until the scope is closed. */
    public static Scope of(String key, String value) {
        Current current = current();
        int before = 0;
        if (current != null) {
            before = current.set;
            current.set(Sets.with(before, key, value));
        }
        return new Scope(current, before);
    }

    /** As {@link #of(String, String)}, for several: a key, its value, and so on. */
    public static Scope of(String key, String value, String... more) {
        Current current = current();
        int before = 0;
        if (current != null) {
            before = current.set;
            int set = Sets.with(before, key, value);
            for (int i = 0; i + 1 < more.length; i += 2) {
                set = Sets.with(set, more[i], more[i + 1]);
            }
            current.set(set);
        }
        return new Scope(current, before);
    }

    /** Puts what the calling thread does under a span, or under none for null. */
    public static SpanScope under(Ids span) {
        Current current = current();
        Ids before = null;
        if (current != null) {
            before = current.ids;
            current.ids(span);
        }
        return new SpanScope(current, before);
    }

    /** Runs work with a label. */
    public static void run(String key, String value, Runnable work) {
        try (Scope scope = of(key, value)) {
            work.run();
        }
    }

    /** Calls work with a label. */
    public static <T> T call(String key, String value, Callable<T> work) throws Exception {
        try (Scope scope = of(key, value)) {
            return work.call();
        }
    }

    /** Work that has the caller's labels, wherever it runs. */
    public static Runnable wrap(Runnable work) {
        return new Taken.Run(work);
    }

    /** As {@link #wrap(Runnable)}. */
    public static <T> Callable<T> wrap(Callable<T> work) {
        return new Taken.Call<T>(work);
    }

    /** As {@link #wrap(Runnable)}, for {@code CompletableFuture.supplyAsync}. */
    public static <T> Supplier<T> wrapSupplier(Supplier<T> work) {
        return new Taken.Supply<T>(work);
    }

    /** As {@link #wrap(Runnable)}, for the stages of a {@code CompletableFuture}. */
    public static <T, R> Function<T, R> wrapFunction(Function<T, R> work) {
        return new Taken.Apply<T, R>(work);
    }

    /**
     * An executor whose work has the labels of who hands it in: also for the stages of a
     * {@code CompletableFuture} that are given it.
     */
    public static Executor wrap(Executor executor) {
        return new TakingExecutor(executor);
    }

    /** As {@link #wrap(Executor)}. */
    public static ExecutorService wrap(ExecutorService executor) {
        return new TakingExecutorService(executor);
    }

    /** As {@link #wrap(Executor)}; what runs again and again has the same labels each time. */
    public static ScheduledExecutorService wrap(ScheduledExecutorService executor) {
        return new TakingScheduledExecutorService(executor);
    }

    /** The calling thread's labels; null where there is no profiler that could ask for them. */
    static Current current() {
        int start = Sondage.starts();
        if (start == 0) {
            return null;
        }
        Current current = CURRENT.get();
        if (current.start != start) {
            current.register();
        }
        return current;
    }
}
