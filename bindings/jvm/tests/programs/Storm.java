import java.io.InputStream;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.IntUnaryOperator;
import java.util.zip.CRC32;
import java.util.zip.Deflater;

/**
 * All that makes stacks hard to read, at once, or some parts of it: {@code Storm SECONDS THREADS
 * [PART…]}. Each checks its own results; what is printed depends on nothing else. Methods called {@code link} and a number have one
 * caller each, the one that the number before has, or the one without {@code link}.
 */
public class Storm {
    private static volatile boolean ends;

    private static final List<Throwable> WRONG = new ArrayList<>();

    interface Part {
        void round() throws Throwable;
    }

    public static void main(String[] arguments) throws Exception {
        long seconds = Long.parseLong(arguments[0]);
        int threads = Integer.parseInt(arguments[1]);
        List<String> wanted = Arrays.asList(arguments).subList(2, arguments.length);
        Map<String, Part> parts = parts();
        parts.keySet().removeIf(name -> !wanted.isEmpty() && !wanted.contains(name));
        List<Thread> running = new ArrayList<>();
        parts.forEach((name, part) -> running.add(begin(name, part)));
        long end = System.nanoTime() + seconds * 1_000_000_000;
        Threads part = new Threads();
        for (int made = 0; made < threads || System.nanoTime() < end; made += Threads.AT_ONCE) {
            try {
                part.round();
            } catch (Throwable problem) {
                wrong(problem);
            }
            if (made >= threads) {
                // So many that they would leave no time to the others.
                Thread.sleep(20);
            }
        }
        ends = true;
        for (Thread thread : running) {
            thread.join(60_000);
            System.out.println(thread.getName() + (thread.isAlive() ? " hangs" : " has ended"));
        }
        synchronized (WRONG) {
            for (Throwable problem : WRONG) {
                problem.printStackTrace(System.out);
            }
        }
        System.exit(WRONG.isEmpty() ? 3 : 1);
    }

    private static Map<String, Part> parts() throws Exception {
        Map<String, Part> parts = new LinkedHashMap<>();
        parts.put("loading", new Loading());
        parts.put("throwing", new Throwing());
        parts.put("handles", new Handles());
        parts.put("chains", new Chains());
        parts.put("stubs", new Stubs());
        parts.put("waiting", new Waiting());
        parts.put("waiting too", new Waiting());
        parts.put("forking", new Forking());
        if (isThere("javax.tools.ToolProvider")) {
            parts.put("compiling", new Compiling());
        }
        if (Runtime.version().feature() >= 21) {
            parts.put("virtual", new Virtual());
        }
        return parts;
    }

    private static boolean isThere(String name) {
        try {
            return Class.forName(name) != null && Compiling.compiler() != null;
        } catch (ClassNotFoundException | LinkageError none) {
            return false;
        }
    }

    private static Thread begin(String name, Part part) {
        Thread thread = new Thread(null, () -> rounds(part), name);
        thread.start();
        return thread;
    }

    private static void rounds(Part part) {
        try {
            while (!ends) {
                part.round();
            }
        } catch (Throwable problem) {
            wrong(problem);
        }
    }

    static void wrong(Throwable problem) {
        synchronized (WRONG) {
            WRONG.add(problem);
        }
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException(what);
        }
    }

    /** Classes that are loaded, compiled, deoptimised and unloaded. */
    static class Loading implements Part {
        private static final int TURNS = 3000;

        private final List<byte[]> classes = new ArrayList<>();
        private int rounds;
        private int expected;

        Loading() throws Exception {
            for (String name : new String[] {"Made", "Made$Shape", "Made$Square", "Made$Other"}) {
                classes.add(bytes(name));
            }
        }

        static byte[] bytes(String name) throws Exception {
            try (InputStream file = Storm.class.getResourceAsStream(name + ".class")) {
                return file.readAllBytes();
            }
        }

        @Override
        public void round() throws Exception {
            Class<?> made = new Loader().define(classes);
            IntUnaryOperator operator =
                    (IntUnaryOperator) made.getDeclaredConstructor().newInstance();
            int result = operator.applyAsInt(TURNS) + operator.applyAsInt(TURNS);
            expected = rounds == 0 ? result : expected;
            check(result == expected, "another result");
            if (++rounds % 50 == 0) {
                System.gc();
            }
        }

        static class Loader extends ClassLoader {
            Class<?> define(List<byte[]> classes) {
                Class<?> first = null;
                for (byte[] one : classes) {
                    // Each before what extends it, but for the first, which needs none of them yet.
                    Class<?> defined = defineClass(null, one, 0, one.length);
                    first = first == null ? defined : first;
                }
                return first;
            }
        }
    }

    /** Exceptions that pass 60 frames. */
    static class Throwing implements Part {
        static class Passing extends RuntimeException {
            Passing(boolean hasStack) {
                super("on purpose", null, false, hasStack);
            }
        }

        private int rounds;

        @Override
        public void round() {
            for (int i = 0; i < 100; i++) {
                int frames = 0;
                try {
                    one(60);
                } catch (Passing expected) {
                    frames = expected.getStackTrace().length;
                }
                check(frames == 0 || frames > 60, "another depth");
            }
        }

        private int one(int left) {
            try {
                return two(left - 1) + 1;
            } finally {
                rounds += left % 20 == 0 ? 1 : 0;
            }
        }

        private int two(int left) {
            return three(left - 1) + 1;
        }

        private int three(int left) {
            if (left == 1) {
                rounds++;
                throw new Passing(rounds % 2 == 0);
            }
            try {
                return one(left - 1) + 1;
            } catch (IllegalStateException other) {
                return 0;
            }
        }
    }

    /** Lambdas, method handles and proxies. */
    static class Handles implements Part {
        interface Question {
            int answer(int value);
        }

        @Override
        public void round() throws Throwable {
            MethodHandles.Lookup lookup = MethodHandles.lookup();
            MethodType type = MethodType.methodType(int.class, int.class);
            MethodHandle handle = lookup.findVirtual(Handles.class, "byHandle", type).bindTo(this);
            MethodHandle twice = MethodHandles.filterReturnValue(handle, handle);
            InvocationHandler handler = (proxy, method, values) -> byProxy((Integer) values[0]);
            Class<?>[] interfaces = {Question.class};
            Question question = (Question)
                    Proxy.newProxyInstance(Storm.class.getClassLoader(), interfaces, handler);
            Method method = Handles.class.getDeclaredMethod("byReflection", int.class);
            int sum = 0;
            for (int i = 0; i < 500; i++) {
                sum += (int) twice.invokeExact(i);
                sum += question.answer(i);
                sum += (Integer) method.invoke(this, i);
                sum += Arrays.stream(new int[] {i, i, i}).map(it -> byStream(it)).sum();
            }
            check(sum == 6 * 500 * 499 / 2 + 7 * 500, "another sum");
        }

        int byHandle(int value) {
            return link1(value);
        }

        int link1(int value) {
            return value + 1;
        }

        int byProxy(int value) {
            return value + 1;
        }

        int byReflection(int value) {
            return value + 1;
        }

        int byStream(int value) {
            return value + 1;
        }
    }

    /** Two chains of small calls that never mix. */
    static class Chains implements Part {
        private int a;
        private int b;

        @Override
        public void round() {
            for (int i = 0; i < 2000; i++) {
                a(i);
                b(i);
            }
        }

        void a(int x) {
            alink1(x);
        }

        void alink1(int x) {
            alink2(x);
        }

        void alink2(int x) {
            alink3(x);
            a++;
        }

        void alink3(int x) {
            alink4(x, 1, 2, 3, 4, 5, 6, 7, 8, 9);
        }

        void alink4(int x, int p, int q, int r, long s, long t, long u, long v, double w, double y) {
            alink5(x + p + q + r + s + t + u + v + w + y);
        }

        void alink5(double x) {
            alink6((int) x);
        }

        synchronized void alink6(int x) {
            alink7(x);
        }

        void alink7(int x) {
            a += x;
        }

        void b(int x) {
            blink1(x);
        }

        void blink1(int x) {
            blink2(x);
            blinkAside(x);
        }

        void blink2(int x) {
            blink3(x);
        }

        void blink3(int x) {
            if (x % 2 == 0) {
                blink4(x);
            }
        }

        void blink4(int x) {
            blink5(new int[x % 64]);
        }

        void blink5(int[] x) {
            blink6(x.clone());
        }

        void blink6(int[] x) {
            blink7(x.length);
        }

        void blink7(int x) {
            b += x;
        }

        void blinkAside(int x) {
            b -= x;
        }
    }

    /** Code that is no method: pieces of the machine's own, and libraries. */
    static class Stubs implements Part {
        private final byte[] from = new byte[5000];
        private final byte[] to = new byte[5000];

        @Override
        public void round() {
            ThreadLocalRandom.current().nextBytes(from);
            for (int i = 0; i < 200; i++) {
                copying(i);
            }
            check(summing() == summing(), "another sum of bytes");
            deflating();
            double angle = mathematics();
            check(angle > -500 && angle < 500, "another angle");
            text();
        }

        void copying(int i) {
            System.arraycopy(from, i, to, i / 2, from.length - i);
            Arrays.fill(to, 0, i, (byte) 1);
        }

        long summing() {
            CRC32 sum = new CRC32();
            sum.update(from);
            return sum.getValue();
        }

        void deflating() {
            Deflater deflater = new Deflater();
            deflater.setInput(from);
            deflater.finish();
            check(deflater.deflate(to) > 0, "nothing deflated");
            deflater.end();
        }

        double mathematics() {
            double sum = 0;
            for (int i = 0; i < 500; i++) {
                sum += Math.sin(i) * Math.pow(Math.cos(i), 2);
            }
            return sum;
        }

        void text() {
            StringBuilder text = new StringBuilder();
            for (int i = 0; i < 100; i++) {
                text.append(i).append(' ').append("ab".repeat(i % 5));
            }
            check(text.toString().split(" ").length == 101, "other words");
        }
    }

    /** Threads that wait for each other, and for nothing. */
    static class Waiting implements Part {
        private static final Object LOCK = new Object();
        private static long turns;

        @Override
        public void round() throws Exception {
            held();
            parked();
            Thread.sleep(1);
        }

        void held() throws InterruptedException {
            synchronized (LOCK) {
                turns++;
                LOCK.notifyAll();
                LOCK.wait(1);
            }
        }

        void parked() {
            LockSupport.parkNanos(500_000);
        }
    }

    /** Processes that this one starts. */
    static class Forking implements Part {
        @Override
        public void round() throws Exception {
            Process child = new ProcessBuilder("sleep", "0.02").inheritIO().start();
            check(child.waitFor() == 0, "a child failed");
            Thread.sleep(50);
        }
    }

    /** Threads that live for less than a millisecond. */
    static class Threads implements Part {
        static final int AT_ONCE = 20;

        private final AtomicInteger done = new AtomicInteger();
        private int begun;

        @Override
        public void round() throws Exception {
            Thread[] threads = new Thread[AT_ONCE];
            for (int i = 0; i < threads.length; i++) {
                threads[i] = new Thread(this::brief);
                threads[i].start();
            }
            for (Thread thread : threads) {
                thread.join();
            }
            begun += AT_ONCE;
            check(done.get() == begun, "a thread was lost");
        }

        void brief() {
            done.addAndGet(link1(ThreadLocalRandom.current().nextInt(1000)));
        }

        int link1(int turns) {
            int sum = 0;
            for (int i = 0; i < turns; i++) {
                sum = sum * 31 + i;
            }
            return sum == 17 ? 1 : link2();
        }

        int link2() {
            return 1;
        }
    }

    /** Virtual threads that give way deep in their stacks; by reflection, as this is for 11. */
    static class Virtual implements Part {
        private static final int AT_ONCE = 50;

        private final Method start;
        private final Method join;
        private final AtomicLong sum = new AtomicLong();

        Virtual() throws Exception {
            start = Thread.class.getMethod("startVirtualThread", Runnable.class);
            join = Thread.class.getMethod("join");
        }

        @Override
        public void round() throws Exception {
            sum.set(0);
            Object[] threads = new Object[AT_ONCE];
            for (int i = 0; i < threads.length; i++) {
                threads[i] = start.invoke(null, (Runnable) this::carried);
            }
            for (Object thread : threads) {
                join.invoke(thread);
            }
            check(sum.get() == AT_ONCE * 20, "a virtual thread was lost");
        }

        void carried() {
            sum.addAndGet(even(20));
        }

        int even(int left) {
            if (left == 0) {
                return 0;
            }
            int below = odd(left - 1);
            Thread.yield();
            return below + work();
        }

        int odd(int left) {
            return even(left - 1) + work();
        }

        static int work() {
            int turns = 0;
            for (int i = 0; i < 300; i++) {
                turns = turns * 31 + i;
            }
            return turns == 17 ? 0 : 1;
        }
    }
}
