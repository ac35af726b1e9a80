import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;

/** A loop on one line, for a time of CPU. */
public class Lines {
    static volatile long sink;

    static long loop(int turns) {
        long sum = 0;
        for (int turn = 0; turn < turns; turn++) sum = sum * 31 + turn; // loop
        return sum;
    }

    public static void main(String[] arguments) {
        ThreadMXBean clock = ManagementFactory.getThreadMXBean();
        long end = clock.getCurrentThreadCpuTime() + Long.parseLong(arguments[0]) * 1_000_000;
        while (clock.getCurrentThreadCpuTime() < end) sink += loop(1_000_000);
    }
}
