import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Paths;

/**
 * A fixed amount of the work of {@link Shares}, after that has run for so long that it is compiled.
 * Prints what it took as {@code name=value}, one a line.
 *
 * <p>The arguments are the milliseconds of the warm-up, how often each kind of work is done after it,
 * and for {@code -agentpath} of Sondage its library.
 */
public class Cost {
    /** Rounds of each kind that took half a millisecond where this was written. */
    static final int[] ROUNDS = {15_000, 230_000, 45_000, 500, 3_800, 430, 4, 8_000, 138_000, 10_000};

    static void turn() {
        for (int kind = 0; kind < ROUNDS.length; kind++) {
            Shares.sink += Shares.run(kind, ROUNDS[kind]);
        }
    }

    /** Sondage's profile ends, and its counters are up to date: JSON, or null without Sondage. */
    static String counters(String library) throws Exception {
        String name = "sondage.Sondage";
        if (library != null) {
            // Its functions are found in libraries that the program has loaded, which is once more.
            System.load(library);
            name = "sondage.Native";
        }
        try {
            Class<?> sondage = Class.forName(name);
            call(sondage, "flush");
            return (String) call(sondage, "stats");
        } catch (ClassNotFoundException without) {
            return null;
        }
    }

    static Object call(Class<?> sondage, String name) throws Exception {
        Method method = sondage.getDeclaredMethod(name);
        method.setAccessible(true);
        return method.invoke(null);
    }

    static void print(String name, Object value) {
        System.out.println(name + "=" + value);
    }

    public static void main(String[] arguments) throws Exception {
        long warm = System.nanoTime() + Long.parseLong(arguments[0]) * 1_000_000;
        int turns = Integer.parseInt(arguments[1]);
        String library = arguments.length > 2 ? arguments[2] : null;
        OperatingSystemMXBean system =
                (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        Shares.prepare();
        while (System.nanoTime() < warm) {
            turn();
        }
        print("before", counters(library));
        long cpu = system.getProcessCpuTime();
        long wall = System.nanoTime();
        for (int i = 0; i < turns; i++) {
            turn();
        }
        print("wall", System.nanoTime() - wall);
        print("cpu", system.getProcessCpuTime() - cpu);
        print("after", counters(library));
        status();
    }

    /** The resident memory, now and at its highest. */
    static void status() throws IOException {
        for (String line : Files.readAllLines(Paths.get("/proc/self/status"))) {
            if (line.startsWith("VmRSS") || line.startsWith("VmHWM")) {
                print(line.substring(0, 5), line.replaceAll("\\D", ""));
            }
        }
    }
}
