package shop;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.web.servlet.context.ServletWebServerApplicationContext;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.scheduling.annotation.Async;
import org.springframework.scheduling.annotation.EnableAsync;
import org.springframework.stereotype.Service;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RestController;

/** A service of Spring MVC that asks itself. */
@SpringBootApplication
@EnableAsync
public class Shop {
    /** CPU time of each request, in nanoseconds. */
    private static final long WORK = 100_000_000;

    static volatile long sink;

    public static void main(String[] arguments) throws Exception {
        ConfigurableApplicationContext context = SpringApplication.run(Shop.class,
                "--server.port=0", "--spring.main.banner-mode=off", "--logging.level.root=warn",
                "--sondage.settings.hz=100", "--sondage.labels.stage=test");
        int port = ((ServletWebServerApplicationContext) context).getWebServer().getPort();
        String base = "http://127.0.0.1:" + port;
        for (int i = 0; i < 4; i++) {
            ask("GET", base + "/orders/" + i, 200);
            ask("POST", base + "/orders/" + i + "/items", 200);
            ask("GET", base + "/later/" + i, 200);
            ask("GET", base + "/mails/" + i, 200);
            ask("GET", base + "/fails/" + i, 500);
            ask("GET", base + "/nowhere/" + i, 404);
        }
        context.close();
    }

    private static void ask(String method, String address, int expected) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(address))
                .method(method, HttpRequest.BodyPublishers.noBody()).build();
        int status = HttpClient.newHttpClient()
                .send(request, HttpResponse.BodyHandlers.discarding()).statusCode();
        if (status != expected) {
            throw new IllegalStateException(address + " is " + status);
        }
    }

    private static void burn() {
        ThreadMXBean clock = ManagementFactory.getThreadMXBean();
        long end = clock.getCurrentThreadCpuTime() + WORK;
        while (clock.getCurrentThreadCpuTime() < end) {
            for (int i = 0; i < 10_000; i++) {
                sink = sink * 31 + i;
            }
        }
    }

    static String order() {
        burn();
        return "order";
    }

    static String items() {
        burn();
        return "items";
    }

    static String later() {
        burn();
        return "later";
    }

    static void mail() {
        burn();
    }

    static void fail() {
        burn();
        throw new UnsupportedOperationException("on purpose");
    }

    @Service
    static class Mails {
        @Async
        public CompletableFuture<String> send() {
            mail();
            return CompletableFuture.completedFuture("sent");
        }
    }

    @RestController
    static class Requests {
        private final Mails mails;

        Requests(Mails mails) {
            this.mails = mails;
        }

        @GetMapping("/orders/{id}")
        String order(@PathVariable("id") int id) {
            return Shop.order();
        }

        @PostMapping("/orders/{id}/items")
        String items(@PathVariable("id") int id) {
            return Shop.items();
        }

        @GetMapping("/later/{id}")
        Callable<String> later(@PathVariable("id") int id) {
            return Shop::later;
        }

        @GetMapping("/mails/{id}")
        String mail(@PathVariable("id") int id) throws Exception {
            return mails.send().get();
        }

        @GetMapping("/fails/{id}")
        void fail(@PathVariable("id") int id) {
            Shop.fail();
        }
    }
}
