package sondage;

import java.lang.instrument.Instrumentation;

import sondage.compat.PyroscopeAgent;

/** What {@code -javaagent:sondage.jar=OPTIONS} and {@code sondage inject} start. */
public final class Agent {
    /** The option and the value of {@code SONDAGE_COMPAT} by which the settings of pyroscope-java count. */
    private static final String COMPATIBLE = "pyroscope";

    private Agent() {}

    /** Before the program begins. */
    public static void premain(String options, Instrumentation instrumentation) {
        start(options, instrumentation);
    }

    /** Into a program that runs. */
    public static void agentmain(String options, Instrumentation instrumentation) {
        start(options, instrumentation);
    }

    private static void start(String options, Instrumentation instrumentation) {
        try {
            NativeAccess.allow(instrumentation);
            if (isCompatible(options)) {
                PyroscopeAgent.start();
                return;
            }
            Sondage.load();
            Native.begin(options == null ? "" : options);
            Sondage.started();
        } catch (Throwable problem) {
            // A profiler must not keep the program from starting.
            System.err.println("sondage: not started: " + problem.getMessage());
        }
    }

    private static boolean isCompatible(String options) {
        if (options == null || options.isEmpty()) {
            return COMPATIBLE.equals(System.getenv("SONDAGE_COMPAT"));
        }
        return options.equals("compat=" + COMPATIBLE);
    }
}
