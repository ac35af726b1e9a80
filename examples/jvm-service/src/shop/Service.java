package shop;

import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;

import sondage.Labels;

/**
 * A small shop over HTTP. The profiler is an agent: what it needs of the program is one line, by
 * which samples know what a request is about.
 *
 * <p>usage: {@code java -javaagent:sondage.jar shop.Service PORT}
 */
public final class Service {
    /** Threads where there are no virtual ones. */
    private static final int THREADS = 16;

    /** What answers a request: the rest of its path in, the body out. */
    interface Route {
        String answer(String argument);
    }

    private Service() {}

    public static void main(String[] arguments) throws Exception {
        // Else an answer of more than one packet waits for the client: 40 ms.
        System.setProperty("sun.net.httpserver.nodelay", "true");
        InetAddress here = InetAddress.getLoopbackAddress();
        int port = Integer.parseInt(arguments[0]);
        HttpServer server = HttpServer.create(new InetSocketAddress(here, port), 64);
        server.setExecutor(executor());
        Catalog catalog = new Catalog();
        Orders orders = new Orders(catalog);
        serve(server, "/catalog/", "/catalog/{day}", catalog::page);
        serve(server, "/search/", "/search/{words}", catalog::search);
        serve(server, "/prices/", "/prices/{product}", Prices::simulate);
        serve(server, "/checkout/", "/checkout/{product}", orders::checkout);
        server.start();
    }

    private static void serve(HttpServer server, String path, String template, Route route) {
        server.createContext(path, exchange -> {
            try (Labels.Scope scope = Labels.of("route", template)) {
                answer(exchange, route.answer(exchange.getRequestURI().getPath()
                        .substring(path.length())));
            }
        });
    }

    private static void answer(HttpExchange exchange, String text) throws IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("content-type", "application/json");
        exchange.sendResponseHeaders(200, body.length);
        try (OutputStream out = exchange.getResponseBody()) {
            out.write(body);
        }
    }

    /** A virtual thread for each request, from Java 21 on; the program is compiled for 11. */
    private static ExecutorService executor() {
        try {
            return (ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor")
                    .invoke(null);
        } catch (ReflectiveOperationException none) {
            return Executors.newFixedThreadPool(THREADS);
        }
    }
}
