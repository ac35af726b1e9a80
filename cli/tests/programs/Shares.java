import java.util.concurrent.ThreadLocalRandom;

/** Three in four parts of its time in heavy, one in light, until it is killed. */
public class Shares {
    static volatile long sink;

    static long heavy(int count) {
        long total = 0;
        for (int number = 0; number < count; number++) total += (long) number * number ^ total >> 3;
        return total;
    }

    static long light(int count) {
        long total = 0;
        for (int number = 0; number < count; number++) total += (long) number * number ^ total >> 3;
        return total;
    }

    static void work() {
        // At random: rounds of one length could keep step with the samples.
        int part = ThreadLocalRandom.current().nextInt(500_000, 1_500_000);
        sink += heavy(3 * part);
        sink += light(part);
    }

    public static void main(String[] arguments) {
        System.out.println("started");
        while (true) work();
    }
}
