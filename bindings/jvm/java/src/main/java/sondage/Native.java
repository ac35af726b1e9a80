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

    /**
     * Hands over what JDK Flight Recorder told: texts by their numbers, and samples, each of its
     * thread, the thread's name, kind, weight, number of frames, and for each frame class, method and
     * line. Returns the nanoseconds between two samples that are wanted now, 0 for none.
     */
    static native long streamed(String[] texts, long[] samples);

    /** Nothing is streamed any more, though nobody has ended it. */
    static native void streamingFailed(String reason);

    /** The calling thread's labels, which samples read: see {@link Cell}. */
    static native java.nio.ByteBuffer cell();
}
