package sondage;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * The profiler of this process. It is started by {@code -javaagent:sondage.jar}, or by the program:
 *
 * <pre>{@code
 * Sondage.start(new Config().service("shop").push("pyroscope+http://pyroscope:4040"));
 * }</pre>
 */
public final class Sondage {
    /** Set to the class loader that has the library: a process can have it once. */
    private static final String OWNER = "sondage.loaded.by";

    private static boolean loaded = isAgent();

    /** How often the profiler was started; not 0 if it was before this class was there. */
    private static volatile int starts = loaded ? 1 : 0;

    private Sondage() {}

    /** Whether the library was given by {@code -agentpath}: then its functions are there. */
    private static boolean isAgent() {
        try {
            Native.isRunning();
            return true;
        } catch (UnsatisfiedLinkError none) {
            return false;
        }
    }

    static synchronized void load() throws IOException {
        if (loaded) {
            return;
        }
        String owner = System.getProperty(OWNER);
        if (owner != null) {
            throw new IOException("it was loaded by another class loader, " + owner
                    + "; leave the jar out here");
        }
        Library.load();
        loaded = true;
        System.setProperty(OWNER, String.valueOf(Sondage.class.getClassLoader()));
    }

    static synchronized boolean isLoaded() {
        return loaded;
    }

    /** Threads must register their labels again, as the profiler was started. */
    static synchronized void started() {
        starts++;
    }

    static int starts() {
        return starts;
    }

    /** Starts the profiler by the environment. */
    public static void start() {
        start(new Config());
    }

    /**
     * Starts the profiler, unless one runs.
     *
     * @throws IllegalArgumentException for a setting that is wrong
     * @throws IllegalStateException where the profiler cannot start
     */
    public static void start(Config config) {
        try {
            load();
        } catch (IOException problem) {
            throw new IllegalStateException("sondage: " + problem.getMessage(), problem);
        }
        List<String> settings = new ArrayList<String>();
        for (Map.Entry<String, String> setting : config.settings().entrySet()) {
            settings.add(setting.getKey());
            settings.add(setting.getValue());
        }
        for (String warning : Native.start(settings.toArray(new String[0]))) {
            System.err.println("sondage: " + warning);
        }
        started();
    }

    /** Stops the profiler; its last profile goes to the targets. */
    public static void stop() {
        if (isLoaded()) {
            Native.stop();
        }
    }

    /**
     * Finishes the profile of the time since the last flush.
     *
     * @return a gzipped pprof message; null if no profiler runs
     */
    public static byte[] flush() {
        return isLoaded() ? Native.flush() : null;
    }

    /**
     * What the profiler counts.
     *
     * @return JSON; null if no profiler runs
     */
    public static String stats() {
        return isLoaded() ? Native.stats() : null;
    }

    /** Whether this process is profiled. */
    public static boolean isRunning() {
        return isLoaded() && Native.isRunning();
    }
}
