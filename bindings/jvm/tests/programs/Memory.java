import java.util.ArrayList;
import java.util.List;

/** Memory whose size is known: 100 MB that are dropped at once, and 40 MB that are kept. */
public class Memory {
    static volatile Object sink;
    static final List<byte[]> KEPT = new ArrayList<>();

    static void dropped() {
        for (int i = 0; i < 100_000; i++) {
            sink = new byte[1_000 - 16];
        }
    }

    static void kept() {
        for (int i = 0; i < 4_000; i++) {
            KEPT.add(new byte[10_000 - 16]);
        }
    }

    public static void main(String[] arguments) throws Exception {
        sondage.Labels.run("phase", "kept", Memory::kept);
        dropped();
        sink = null;
        System.gc();
        Thread.sleep(300);
    }
}
