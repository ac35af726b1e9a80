import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.List;

/**
 * Virtual threads that recurse and yield: each stack must reach the thread's own first method. The
 * argument is how many milliseconds they run.
 */
public class Virtual {
    static volatile long sink;

    static long before(long sum) {
        for (int i = 0; i < 20_000; i++) {
            sum = sum * 6364136223846793005L + i;
        }
        return sum;
    }

    static long after(long sum) {
        for (int i = 0; i < 20_000; i++) {
            sum = sum * 6364136223846793005L ^ i;
        }
        return sum;
    }

    /** A thread that goes on has only its innermost frames on the stack; the others are in the heap. */
    static long deep(int depth, long seed) {
        if (depth > 0) {
            return deep(depth - 1, seed * 31 + depth) + 1;
        }
        long sum = before(seed);
        Thread.yield();
        return after(sum);
    }

    static void first(long until) {
        long seed = 1;
        while (System.nanoTime() < until) {
            seed = deep(20, seed);
        }
        sink += seed;
    }

    public static void main(String[] arguments) throws Exception {
        // By its name, so that a compiler that does not know it yet will do.
        Method start = Thread.class.getMethod("startVirtualThread", Runnable.class);
        long until = System.nanoTime() + Long.parseLong(arguments[0]) * 1_000_000L;
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            Runnable work = () -> first(until);
            threads.add((Thread) start.invoke(null, work));
        }
        for (Thread thread : threads) {
            thread.join();
        }
    }
}
