import java.util.Arrays;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

import sondage.Config;
import sondage.Labels;
import sondage.Sondage;

/** Work under labels: each function has those that the tests know. */
public class LabelWork {
    private static final int WORK = 250;

    /** Rounds that take some milliseconds. */
    private static final int SPINS = 20_000_000;

    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "nested":
                nested();
                break;
            case "executors":
                executors();
                break;
            case "virtual":
                virtual();
                break;
            case "spans":
                spans();
                break;
            case "restart":
                restart();
                break;
            case "hostile":
                hostile();
                break;
            default:
                throw new IllegalArgumentException(arguments[0]);
        }
    }

    static void outer() {
        Work.burn(WORK);
    }

    static void inner() {
        Work.burn(WORK);
    }

    static void restored() {
        Work.burn(WORK);
    }

    static void bare() {
        Work.burn(WORK);
    }

    static void several() {
        Work.burn(WORK);
    }

    static void afterFailure() {
        Work.burn(WORK);
    }

    private static void nested() throws Exception {
        try (Labels.Scope route = Labels.of("route", "/outer")) {
            outer();
            try (Labels.Scope step = Labels.of("step", "inner")) {
                inner();
            }
            restored();
        }
        bare();
        try (Labels.Scope scope = Labels.of("route", "/several", "method", "GET", "tenant", "acme")) {
            several();
        }
        try {
            Labels.run("route", "/fails", () -> {
                throw new IllegalStateException("on purpose");
            });
        } catch (IllegalStateException expected) {
            afterFailure();
        }
    }

    static void execute() {
        Work.burn(WORK);
    }

    static void submit() {
        Work.burn(WORK);
    }

    static int call() {
        Work.burn(WORK);
        return 1;
    }

    static int all() {
        Work.burn(WORK);
        return 1;
    }

    static void scheduled() {
        Work.burn(WORK);
    }

    static int supply() {
        Work.burn(WORK);
        return 1;
    }

    static int supplyWrapped() {
        Work.burn(WORK);
        return 1;
    }

    static int stage(int value) {
        Work.burn(WORK);
        return value;
    }

    static void unlabelled() {
        Work.burn(WORK);
    }

    private static void executors() throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(2);
        ScheduledExecutorService timer = Executors.newScheduledThreadPool(1);
        ExecutorService labelled = Labels.wrap(pool);
        ScheduledExecutorService labelledTimer = Labels.wrap(timer);
        CompletableFuture<Integer> supplied;
        CompletableFuture<Integer> wrapped;
        try (Labels.Scope scope = Labels.of("task", "import")) {
            labelled.execute(LabelWork::execute);
            labelled.submit(LabelWork::submit).get();
            Callable<Integer> call = LabelWork::call;
            pool.submit(Labels.wrap(call)).get();
            Callable<Integer> all = LabelWork::all;
            labelled.invokeAll(Arrays.asList(all, all));
            labelledTimer.schedule(LabelWork::scheduled, 1, TimeUnit.MILLISECONDS).get();
            supplied = CompletableFuture.supplyAsync(LabelWork::supply, labelled)
                    .thenApplyAsync(LabelWork::stage, labelled);
            wrapped = CompletableFuture.supplyAsync(Labels.wrapSupplier(LabelWork::supplyWrapped));
        }
        supplied.get();
        wrapped.get();
        pool.submit(LabelWork::unlabelled).get();
        labelled.shutdown();
        labelledTimer.shutdown();
        if (!pool.awaitTermination(10, TimeUnit.SECONDS)) {
            throw new IllegalStateException("the pool does not end");
        }
    }

    static void spin(int number) {
        // The clock of CPU time knows no virtual threads.
        Work.count(SPINS);
    }

    /** By reflection, as the class is compiled for 11. */
    private static void virtual() throws Exception {
        Thread[] threads = new Thread[20];
        for (int i = 0; i < threads.length; i++) {
            int number = i % 4;
            Runnable work = () -> {
                try (Labels.Scope scope = Labels.of("number", "n" + number)) {
                    for (int round = 0; round < 5; round++) {
                        numbered(number);
                        Thread.yield();
                    }
                }
            };
            threads[i] = (Thread) Thread.class.getMethod("startVirtualThread", Runnable.class)
                    .invoke(null, work);
        }
        for (Thread thread : threads) {
            thread.join();
        }
    }

    static void numbered(int number) {
        switch (number) {
            case 0:
                n0();
                break;
            case 1:
                n1();
                break;
            case 2:
                n2();
                break;
            default:
                n3();
        }
    }

    static void n0() {
        spin(0);
    }

    static void n1() {
        spin(1);
    }

    static void n2() {
        spin(2);
    }

    static void n3() {
        spin(3);
    }

    static void underSpan() {
        Work.burn(WORK);
    }

    static void labelledUnderSpan() {
        Work.burn(WORK);
    }

    static void afterSpan() {
        Work.burn(WORK);
    }

    private static void spans() {
        Labels.Ids ids = Labels.Ids.of("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        try (Labels.SpanScope span = Labels.under(ids)) {
            underSpan();
            try (Labels.Scope scope = Labels.of("route", "/pay")) {
                labelledUnderSpan();
            }
        }
        afterSpan();
    }

    static void first() {
        Work.burn(WORK);
    }

    static void second() {
        Work.burn(WORK);
    }

    private static void restart() {
        Config config = new Config();
        Sondage.start(config);
        Labels.run("run", "first", LabelWork::first);
        Sondage.stop();
        Labels.run("run", "none", LabelWork::bare);
        Sondage.start(config);
        Labels.run("run", "second", LabelWork::second);
        Sondage.stop();
    }

    static void afterwards() {
        Work.burn(WORK);
    }

    /** Values that are all different, some of them huge, must leave nothing behind. */
    private static void hostile() {
        for (int i = 0; i < 20_000; i++) {
            String value = i % 10 == 0 ? String.valueOf(new char[100_000]) + i : "id-" + i;
            try (Labels.Scope scope = Labels.of("request", value)) {
                Work.sink = i;
            }
        }
        System.gc();
        Runtime runtime = Runtime.getRuntime();
        System.out.println((runtime.totalMemory() - runtime.freeMemory()) >> 20);
        afterwards();
    }
}
