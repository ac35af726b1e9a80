import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;

/**
 * The load: a fixed mix of requests over kept-alive connections, from a process of its own.
 *
 * <p>usage: {@code java Load.java PORT SECONDS}. Prints a table; fails when a request did.
 */
public final class Load {
    private static final int CONNECTIONS = 8;

    /** A kind of request, its weight in the mix, and what came of it. */
    private enum Kind {
        CATALOG("/catalog/", 3),
        SEARCH("/search/", 4),
        PRICES("/prices/", 4),
        CHECKOUT("/checkout/", 3);

        final String path;
        final int weight;
        final List<Double> taken = Collections.synchronizedList(new ArrayList<>());
        volatile int failed;

        Kind(String path, int weight) {
            this.path = path;
            this.weight = weight;
        }

        String argument(int number) {
            return this == SEARCH ? "brss-hamer-" + number % 300 : Integer.toString(number % 365);
        }

        synchronized void fail() {
            failed++;
        }
    }

    private Load() {}

    public static void main(String[] arguments) throws Exception {
        String base = "http://127.0.0.1:" + arguments[0];
        long until = System.nanoTime() + Long.parseLong(arguments[1]) * 1_000_000_000L;
        List<Thread> clients = new ArrayList<>();
        for (int i = 0; i < CONNECTIONS; i++) {
            int seed = i;
            clients.add(new Thread(() -> ask(base, until, seed)));
        }
        clients.forEach(Thread::start);
        for (Thread client : clients) {
            client.join();
        }
        System.exit(table() ? 0 : 1);
    }

    /** One client, which asks again as soon as it is answered. */
    private static void ask(String base, long until, int seed) {
        // Of one HTTP client each, so that each has a connection.
        HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        SplittableRandom chance = new SplittableRandom(seed);
        while (System.nanoTime() < until) {
            Kind kind = any(chance);
            String address = base + kind.path + kind.argument(chance.nextInt(10_000));
            long begin = System.nanoTime();
            try {
                HttpRequest request = HttpRequest.newBuilder(URI.create(address)).build();
                if (http.send(request, HttpResponse.BodyHandlers.ofByteArray()).statusCode() != 200) {
                    kind.fail();
                }
            } catch (java.io.IOException | InterruptedException problem) {
                kind.fail();
            }
            kind.taken.add((System.nanoTime() - begin) / 1e6);
        }
    }

    private static Kind any(SplittableRandom chance) {
        int all = 0;
        for (Kind kind : Kind.values()) {
            all += kind.weight;
        }
        int ticket = chance.nextInt(all);
        for (Kind kind : Kind.values()) {
            ticket -= kind.weight;
            if (ticket < 0) {
                return kind;
            }
        }
        throw new IllegalStateException();
    }

    /** Prints what came of it; whether every request was answered. */
    private static boolean table() {
        System.out.printf("%-24s%9s%8s%9s%9s%n", "route", "requests", "errors", "p50 ms", "p99 ms");
        boolean good = true;
        for (Kind kind : Kind.values()) {
            List<Double> taken = new ArrayList<>(kind.taken);
            Collections.sort(taken);
            good &= kind.failed == 0 && !taken.isEmpty();
            System.out.printf("GET %-20s%9d%8d%9.1f%9.1f%n", kind.path, taken.size(), kind.failed,
                    part(taken, 0.5), part(taken, 0.99));
        }
        return good;
    }

    private static double part(List<Double> taken, double share) {
        return taken.isEmpty() ? 0 : taken.get((int) (taken.size() * share));
    }
}
