/** Computes for so many milliseconds of CPU time, or until something comes on its input. */
public class Work {
    static volatile long sink;

    static void outer(long milliseconds) {
        inner(milliseconds);
    }

    static void inner(long milliseconds) {
        var clock = java.lang.management.ManagementFactory.getThreadMXBean();
        long end = clock.getCurrentThreadCpuTime() + milliseconds * 1_000_000;
        long sum = 0;
        while (clock.getCurrentThreadCpuTime() < end) {
            for (int i = 0; i < 10_000; i++) {
                sum = sum * 31 + i;
            }
        }
        sink = sum;
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length > 0) {
            outer(Long.parseLong(arguments[0]));
            return;
        }
        System.out.println("started");
        // A test that has failed leaves nothing behind.
        long end = System.nanoTime() + 120_000_000_000L;
        while (System.in.available() == 0 && System.nanoTime() < end) {
            outer(20);
        }
        System.out.println("ended");
    }
}
