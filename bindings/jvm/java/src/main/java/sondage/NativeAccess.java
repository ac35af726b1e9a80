package sondage;

import java.lang.instrument.Instrumentation;
import java.lang.reflect.Method;
import java.util.Collections;
import java.util.Map;
import java.util.Set;

/**
 * Lets the jar load native code without the warning that Java prints from 24 on (JEP 472). What Java
 * has for that is a switch of its command line and a line in the manifest of the program's own jar;
 * an agent is asked for neither. All by reflection, since the jar is compiled for Java 8.
 */
final class NativeAccess {
    /** The first version that warns. */
    private static final double WARNS = 24;

    private NativeAccess() {}

    static void allow(Instrumentation instrumentation) {
        if (Double.parseDouble(System.getProperty("java.specification.version")) < WARNS) {
            return;
        }
        try {
            open(instrumentation);
            Object access = Class.forName("jdk.internal.access.SharedSecrets")
                    .getMethod("getJavaLangAccess").invoke(null);
            // There is no switch for one class path entry alone.
            Class.forName("jdk.internal.access.JavaLangAccess")
                    .getMethod("addEnableNativeAccessToAllUnnamed").invoke(access);
        } catch (ReflectiveOperationException | RuntimeException unknown) {
            // Java is other than it was: it warns, and the profiler works.
            return;
        }
    }

    /** Exports the package of Java's own switches to this jar. */
    private static void open(Instrumentation instrumentation) throws ReflectiveOperationException {
        Class<?> module = Class.forName("java.lang.Module");
        Method moduleOf = Class.class.getMethod("getModule");
        Map<String, Set<Object>> exports = Collections.singletonMap("jdk.internal.access",
                Collections.singleton(moduleOf.invoke(NativeAccess.class)));
        Instrumentation.class
                .getMethod("redefineModule", module, Set.class, Map.class, Map.class, Set.class,
                        Map.class)
                .invoke(instrumentation, moduleOf.invoke(Object.class), Collections.emptySet(),
                        exports, Collections.emptyMap(), Collections.emptySet(),
                        Collections.emptyMap());
    }
}
