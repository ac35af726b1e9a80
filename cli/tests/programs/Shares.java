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
        sink += heavy(3_000_000);
        sink += light(1_000_000);
    }

    public static void main(String[] arguments) {
        System.out.println("started");
        while (true) work();
    }
}
