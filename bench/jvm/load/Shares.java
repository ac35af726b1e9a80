import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.LongUnaryOperator;
import java.util.zip.Deflater;

/**
 * Ten kinds of work whose share of CPU time is known: each is measured by the thread's own clock,
 * from the first one on. Prints their nanoseconds as {@code name=nanoseconds}, one a line.
 *
 * <p>The argument is how many milliseconds of CPU time they have in all. To be run with
 * {@code -XX:CompileCommand=dontinline,Shares::…} for each of the ten, so that none is compiled into
 * the loop that measures them, and with {@code exclude,Shares::interpreted}.
 */
public class Shares {
    static final ThreadMXBean CLOCK = ManagementFactory.getThreadMXBean();
    static final String[] NAMES = {
        "interpreted", "inlined", "megamorphic", "recursive", "allocating",
        "copying", "deflating", "text", "lambda", "mathematics",
    };
    static volatile long sink;

    static long interpreted(int rounds) {
        long sum = 0;
        for (int i = 0; i < rounds; i++) {
            sum = sum * 31 + (i ^ sum);
        }
        return sum;
    }

    static final class Point {
        final int x;
        final int y;

        Point(int x, int y) {
            this.x = x;
            this.y = y;
        }

        int dot(Point other) {
            return x * other.x + y * other.y;
        }
    }

    static long inlined(int rounds) {
        long sum = 0;
        Point base = new Point(3, 5);
        for (int i = 0; i < rounds; i++) {
            sum += new Point(i, i + 1).dot(base) / (1 + (i & 7));
        }
        return sum;
    }

    interface Shape {
        long area(long by);
    }

    static final class Square implements Shape {
        public long area(long by) {
            return by * by + 1;
        }
    }

    static final class Circle implements Shape {
        public long area(long by) {
            return by * 3 + 2;
        }
    }

    static final class Triangle implements Shape {
        public long area(long by) {
            return by / 2 + 3;
        }
    }

    static final class Strip implements Shape {
        public long area(long by) {
            return by ^ 4;
        }
    }

    static final Shape[] SHAPES = {new Square(), new Circle(), new Triangle(), new Strip()};

    static long megamorphic(int rounds) {
        long sum = 0;
        for (int i = 0; i < rounds; i++) {
            sum += SHAPES[(int) ((sum + i) & 3)].area(i);
        }
        return sum;
    }

    static long fibonacci(int n) {
        return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
    }

    static long recursive(int rounds) {
        long sum = 0;
        for (int i = 0; i < rounds; i++) {
            sum += fibonacci(12);
        }
        return sum;
    }

    static long allocating(int rounds) {
        long sum = 0;
        for (int i = 0; i < rounds; i++) {
            List<int[]> kept = new ArrayList<>(8);
            for (int j = 0; j < 8; j++) {
                kept.add(new int[16 + (i & 15)]);
            }
            sum += kept.get(i & 7).length;
        }
        return sum;
    }

    static final byte[] FROM = new byte[1 << 15];
    static final byte[] TO = new byte[1 << 15];

    static long copying(int rounds) {
        for (int i = 0; i < rounds; i++) {
            System.arraycopy(FROM, i & 7, TO, i & 15, FROM.length - 16);
        }
        return TO[5];
    }

    static long deflating(int rounds) {
        Deflater deflater = new Deflater(6);
        byte[] out = new byte[1 << 14];
        long sum = 0;
        for (int i = 0; i < rounds; i++) {
            deflater.reset();
            deflater.setInput(FROM, 0, 1 << 13);
            deflater.finish();
            sum += deflater.deflate(out);
        }
        deflater.end();
        return sum;
    }

    static long text(int rounds) {
        StringBuilder builder = new StringBuilder();
        for (int i = 0; i < rounds; i++) {
            builder.setLength(0);
            builder.append("order-").append(i).append('/').append(i * 31);
            sink += builder.toString().hashCode();
        }
        return builder.length();
    }

    static long lambda(int rounds) {
        long[] factor = {7};
        LongUnaryOperator step = value -> (value ^ factor[0]) * 6364136223846793005L + 1;
        LongUnaryOperator twice = step.andThen(step);
        long value = 1;
        for (int i = 0; i < rounds; i++) {
            value = twice.applyAsLong(value);
        }
        return value;
    }

    static long mathematics(int rounds) {
        double sum = 0;
        for (int i = 0; i < rounds; i++) {
            sum += Math.sin(i * 0.001) * Math.exp(-(i & 15)) + Math.pow(i & 7, 1.5);
        }
        return (long) sum;
    }

    static long run(int kind, int rounds) {
        switch (kind) {
            case 0: return interpreted(rounds);
            case 1: return inlined(rounds);
            case 2: return megamorphic(rounds);
            case 3: return recursive(rounds);
            case 4: return allocating(rounds);
            case 5: return copying(rounds);
            case 6: return deflating(rounds);
            case 7: return text(rounds);
            case 8: return lambda(rounds);
            default: return mathematics(rounds);
        }
    }

    /**
     * Works until so many nanoseconds of CPU time have gone, and adds up what each kind took: some
     * half a millisecond at a time, in random order, so that no rate of sampling keeps step with it.
     */
    static long[] work(long until) {
        long[] nanoseconds = new long[NAMES.length];
        double[] each = new double[NAMES.length];
        java.util.Arrays.fill(each, 10_000);
        SplittableRandom random = new SplittableRandom(1);
        long before = CLOCK.getCurrentThreadCpuTime();
        while (before < until) {
            int kind = random.nextInt(NAMES.length);
            double wanted = random.nextDouble(250_000, 750_000) / each[kind];
            int rounds = (int) Math.max(1, Math.min(1_000_000, wanted));
            sink += run(kind, rounds);
            long now = CLOCK.getCurrentThreadCpuTime();
            nanoseconds[kind] += now - before;
            // What a round takes is known only when the code is compiled.
            each[kind] = each[kind] * 0.8 + 0.2 * (now - before) / rounds;
            before = now;
        }
        return nanoseconds;
    }

    /** What {@link #copying} copies and {@link #deflating} deflates. */
    static void prepare() {
        for (int i = 0; i < FROM.length; i++) {
            FROM[i] = (byte) (i * i >> 3);
        }
    }

    public static void main(String[] arguments) throws Exception {
        long until = Long.parseLong(arguments[0]) * 1_000_000;
        prepare();
        Runnable load = () -> {
            long[] nanoseconds = work(until);
            for (int kind = 0; kind < NAMES.length; kind++) {
                System.out.println(NAMES[kind] + "=" + nanoseconds[kind]);
            }
        };
        // All profilers know it by this name; the first thread has several.
        Thread thread = new Thread(load, "load");
        thread.start();
        thread.join();
    }
}
