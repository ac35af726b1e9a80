/** Functions that are called as they are named, for a time of CPU. */
public class Work {
    static volatile long sink;

    static void burn(long milliseconds) {
        java.lang.management.ThreadMXBean clock =
                java.lang.management.ManagementFactory.getThreadMXBean();
        long end = clock.getCurrentThreadCpuTime() + milliseconds * 1_000_000;
        long sum = 0;
        while (clock.getCurrentThreadCpuTime() < end) {
            for (int i = 0; i < 10_000; i++) {
                sum = sum * 31 + i;
            }
        }
        sink = sum;
    }

    static void outer(long milliseconds) {
        inner(milliseconds);
    }

    static void inner(long milliseconds) {
        burn(milliseconds);
    }

    public static void main(String[] arguments) throws Exception {
        outer(Long.parseLong(arguments[0]));
    }

    static void count(int rounds) {
        long sum = 0;
        for (int i = 0; i < rounds; i++) {
            sum = sum * 31 + i;
        }
        sink = sum;
    }
}
