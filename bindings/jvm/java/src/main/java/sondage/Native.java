package sondage;

/** The functions of the native library; those who call them have loaded it. */
final class Native {
    private Native() {}

    /** Starts the profiler by the options of an agent. */
    static native void begin(String options);

    /**
     * Starts the profiler with settings: a name and its text, again and again. Returns what is wrong
     * with the environment; throws for settings that are wrong.
     */
    static native String[] start(String[] settings);

    /** Stops it; its last profile goes to the targets. */
    static native void stop();

    /** Finishes the profile of the time since the last flush: gzipped pprof; null if none runs. */
    static native byte[] flush();

    /** The counters as JSON; null if no profiler runs. */
    static native String stats();

    /** Whether this process is profiled. */
    static native boolean isRunning();

    /** The number of a set of labels: one that is there, with one more. */
    static native int label(int before, String key, String value);

    /** Says where samples find the labels of virtual threads. */
    static native void labelsAreIn(ThreadLocal<?> current, Class<?> holder, Class<?> ids);

    /** The calling thread's labels, which samples read: see {@link Cell}. */
    static native java.nio.ByteBuffer cell();
}
