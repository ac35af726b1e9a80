/**
 * Faults that Java makes into exceptions: {@code Faults NULLS OVERFLOWS}. Where the machine takes them
 * by a signal, a handler of ours must pass them on.
 */
public class Faults {
    private static final long STACK = 200_000;

    int value;

    private static int nulls;
    private static volatile int overflows;
    private static int depth;

    public static void main(String[] arguments) throws Exception {
        int wantedNulls = Integer.parseInt(arguments[0]);
        int wantedOverflows = Integer.parseInt(arguments[1]);
        Thread small = new Thread(null, () -> overflow(wantedOverflows), "overflows", STACK);
        small.start();
        Faults[] some = {new Faults(), null};
        int sum = 0;
        while (nulls < wantedNulls) {
            for (int i = 0; i < 10; i++) {
                sum += field(some[0]);
            }
            try {
                sum += field(some[1]);
            } catch (NullPointerException expected) {
                nulls++;
            }
            try {
                sum += call(some[1]);
            } catch (NullPointerException expected) {
                nulls++;
            }
        }
        small.join();
        System.out.println(nulls + " nulls, " + overflows + " overflows, " + sum);
    }

    private static int field(Faults of) {
        return of.value;
    }

    private static int call(Faults of) {
        return of.get();
    }

    private int get() {
        return value;
    }

    private static void overflow(int wanted) {
        while (overflows < wanted) {
            try {
                down(1, 2, 3);
            } catch (StackOverflowError expected) {
                overflows++;
            }
        }
    }

    private static long down(long a, long b, long c) {
        depth++;
        return down(b, c, a) + a;
    }
}
