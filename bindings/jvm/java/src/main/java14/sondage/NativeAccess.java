package sondage;

import java.lang.instrument.Instrumentation;
import java.util.Map;
import java.util.Set;

/**
 * Lets the jar load native code without the warning that Java prints from 24 on (JEP 472). What Java
 * has for that is a switch of its command line and a line in the manifest of the program's own jar;
 * an agent is asked for neither.
 */
final class NativeAccess {
    /** The first version that warns. */
    private static final int WARNS = 24;

    private NativeAccess() {}

    static void allow(Instrumentation instrumentation) {
        if (Runtime.version().feature() < WARNS) {
            return;
        }
        try {
            // Exports the package of Java's own switches to this jar.
            instrumentation.redefineModule(Object.class.getModule(), Set.of(),
                    Map.of("jdk.internal.access", Set.of(NativeAccess.class.getModule())),
                    Map.of(), Set.of(), Map.of());
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
}
