import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Two threads that wait for each other 40 times, 5 ms each time: for a monitor, then for a lock; and
 * one that waits for work, which is no wait for a lock. Prints the nanoseconds that they have waited,
 * and how long the one took.
 */
public class Locks {
    static final Object MONITOR = new Object();
    static final ReentrantLock LOCK = new ReentrantLock();
    static final long[] WAITED = new long[3];

    static void hold() {
        long end = System.nanoTime() + 5_000_000;
        while (System.nanoTime() < end) {
            Thread.yield();
        }
    }

    static void monitor() {
        long start = System.nanoTime();
        synchronized (MONITOR) {
            WAITED[0] += System.nanoTime() - start;
            hold();
        }
        pause();
    }

    static void lock() {
        long start = System.nanoTime();
        LOCK.lock();
        try {
            WAITED[1] += System.nanoTime() - start;
            hold();
        } finally {
            LOCK.unlock();
        }
        pause();
    }

    /** The other one is first now. */
    static void pause() {
        try {
            Thread.sleep(1);
        } catch (InterruptedException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    static void idle() {
        try {
            new LinkedBlockingQueue<Object>().poll(1, TimeUnit.SECONDS);
        } catch (InterruptedException impossible) {
            throw new IllegalStateException(impossible);
        }
        WAITED[2] += System.nanoTime();
    }

    static void together(Runnable work) throws InterruptedException {
        Thread[] threads = new Thread[2];
        for (int i = 0; i < 2; i++) {
            threads[i] = new Thread(() -> {
                for (int k = 0; k < 40; k++) {
                    sondage.Labels.run("kind", "contended", work);
                }
            });
            threads[i].start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
    }

    public static void main(String[] arguments) throws Exception {
        WAITED[2] -= System.nanoTime();
        Thread idle = new Thread(Locks::idle, "idle");
        idle.start();
        together(Locks::monitor);
        together(Locks::lock);
        idle.join();
        System.out.println(WAITED[0] + " " + WAITED[1] + " " + WAITED[2]);
    }
}
