package sondage.compat;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;

/** Labels of work, and of the process. */
public final class Pyroscope {
    private static Map<String, String> staticLabels = Collections.emptyMap();

    private Pyroscope() {}

    /** Runs work with labels. */
    public static final class LabelsWrapper {
        private LabelsWrapper() {}

        /** Calls work with labels. */
        public static <T> T run(LabelsSet labels, Callable<T> work) throws Exception {
            try (ScopedContext context = new ScopedContext(labels)) {
                return work.call();
            }
        }

        /** Runs work with labels. */
        public static void run(LabelsSet labels, Runnable work) {
            try (ScopedContext context = new ScopedContext(labels)) {
                work.run();
            }
        }

        /** Does nothing: no context is kept. */
        public static void clear() {}
    }

    /** Labels of the whole process, for a profiler that is started afterwards. */
    public static synchronized void setStaticLabels(Map<String, String> labels) {
        Map<String, String> copy = new LinkedHashMap<String, String>(labels);
        if (copy.containsKey(null) || copy.containsValue(null)) {
            throw new NullPointerException("a key or a value of a label");
        }
        staticLabels = Collections.unmodifiableMap(copy);
        if (PyroscopeAgent.isStarted()) {
            new Messages(Logger.Level.WARN).log(Logger.Level.WARN,
                    "setStaticLabels has an effect before the profiler is started only");
        }
    }

    /** The labels of the whole process. */
    public static synchronized Map<String, String> getStaticLabels() {
        return staticLabels;
    }
}
