package sondage;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import jdk.jfr.FlightRecorder;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordedFrame;
import jdk.jfr.consumer.RecordedMethod;
import jdk.jfr.consumer.RecordedStackTrace;
import jdk.jfr.consumer.RecordedThread;
import jdk.jfr.consumer.RecordingStream;

/**
 * Stacks as JDK Flight Recorder tells them, for virtual machines whose frames the native library
 * cannot read. That library starts it; no other class names this one, so that it is loaded only
 * there. In the jar it is for Java 14 and later, which have streams.
 */
final class Streaming implements Runnable {
    /** What is not delivered within this, which happens every second, is given up. */
    private static final Duration PATIENCE = Duration.ofSeconds(10);

    /** Each thread by its CPU time, since Java 25. */
    private static final String CPU_TIME = "jdk.CPUTimeSample";
    /** Threads in code of Java and in native code, whether they run or wait there. */
    private static final String[] STATES = {"jdk.ExecutionSample", "jdk.NativeMethodSample"};

    private static final double CPU_TIME_SINCE = 25;

    /** Bits of a sample's kind, for the native library. */
    private static final int NATIVE = 1;
    private static final int FAILED = 2;

    private static Streaming running;

    private final boolean byCpuTime =
            Double.parseDouble(System.getProperty("java.specification.version")) >= CPU_TIME_SINCE;
    /** Null until it is made, which takes a while and is done on the thread that reads it. */
    private RecordingStream stream;
    /** Nanoseconds between two samples of a thread; 0 while nobody wants any. */
    private long period;

    // What was told since the last delivery: texts by their numbers, and samples.
    private final Map<String, Integer> numbers = new HashMap<>();
    private final List<String> texts = new ArrayList<>();
    private long[] words = new long[4096];
    private int length;

    private Streaming(long period) {
        this.period = period;
    }

    private RecordingStream open() {
        RecordingStream stream = new RecordingStream();
        stream.setMaxAge(PATIENCE);
        stream.setReuse(true);
        stream.setOrdered(false);
        for (String event : byCpuTime ? new String[] {CPU_TIME} : STATES) {
            stream.onEvent(event, this::add);
        }
        stream.onFlush(this::deliver);
        // The default prints it.
        stream.onError(problem -> stream.close());
        use(stream, period);
        return stream;
    }

    /** Why nothing can be streamed; null if it can. */
    static String obstacle() {
        return FlightRecorder.isAvailable() ? null : "JDK Flight Recorder is turned off here";
    }

    /** Begins, with so many nanoseconds between two samples of a thread. */
    static synchronized void start(long period) {
        stop();
        running = new Streaming(period);
        Thread thread = new Thread(null, running, "sondage-jfr", 0, false);
        thread.setContextClassLoader(null);
        thread.setDaemon(true);
        thread.start();
    }

    static synchronized void stop() {
        Streaming ended = running;
        running = null;
        if (ended != null && ended.stream != null) {
            ended.stream.close();
        }
    }

    /** Whether nobody has ended it. */
    private static synchronized boolean goesOn(Streaming streaming, RecordingStream stream) {
        streaming.stream = stream;
        return running == streaming;
    }

    @Override
    public void run() {
        String reason = "its stream has ended";
        RecordingStream stream = null;
        try {
            stream = open();
            if (goesOn(this, stream)) {
                stream.start();
            } else {
                stream.close();
            }
        } catch (Throwable problem) {
            reason = problem.toString();
        }
        if (goesOn(this, stream) && !machineEnds()) {
            Native.streamingFailed(reason);
        }
    }

    /** Whether the virtual machine ends, which ends all streams. */
    private static boolean machineEnds() {
        Thread hook = new Thread();
        try {
            Runtime.getRuntime().addShutdownHook(hook);
            return !Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException ends) {
            return true;
        }
    }

    private void use(RecordingStream stream, long wanted) {
        period = wanted;
        if (wanted == 0) {
            stream.disable(CPU_TIME);
            for (String event : STATES) {
                stream.disable(event);
            }
        } else if (byCpuTime) {
            stream.enable(CPU_TIME).with("throttle", wanted + "ns");
        } else {
            for (String event : STATES) {
                stream.enable(event).withPeriod(Duration.ofNanos(wanted));
            }
        }
    }

    private void deliver() {
        long wanted = Native.streamed(texts.toArray(new String[0]), Arrays.copyOf(words, length));
        numbers.clear();
        texts.clear();
        length = 0;
        if (wanted != period) {
            use(stream, wanted);
        }
    }

    private void add(RecordedEvent event) {
        RecordedThread thread = event.getThread(byCpuTime ? "eventThread" : "sampledThread");
        RecordedStackTrace stack = event.getStackTrace();
        if (thread == null) {
            return;
        }
        int kind = event.getEventType().getName().equals(STATES[1]) ? NATIVE : 0;
        put(hasClock(thread) ? thread.getOSThreadId() : 0);
        put(number(thread.getJavaName()));
        put(stack == null ? kind | FAILED : kind);
        put(byCpuTime ? event.getDuration("samplingPeriod").toNanos() : period);
        List<RecordedFrame> frames = stack == null ? List.of() : stack.getFrames();
        put(frames.size());
        for (RecordedFrame frame : frames) {
            RecordedMethod method = frame.getMethod();
            put(number(method.getType().getName()));
            put(number(method.getName()));
            put(frame.getLineNumber());
        }
    }

    /** Whether the thread's clock counts what its samples stand for: not where threads take turns. */
    private static boolean hasClock(RecordedThread thread) {
        boolean virtual = thread.hasField("virtual") && thread.getBoolean("virtual");
        boolean carries = thread.getThreadGroup() != null
                && "CarrierThreads".equals(thread.getThreadGroup().getName());
        return !virtual && !carries;
    }

    private int number(String text) {
        String known = text == null ? "" : text;
        Integer number = numbers.get(known);
        if (number == null) {
            number = texts.size();
            numbers.put(known, number);
            texts.add(known);
        }
        return number;
    }

    private void put(long word) {
        if (length == words.length) {
            words = Arrays.copyOf(words, 2 * length);
        }
        words[length++] = word;
    }
}
