import sondage.Sondage;

/** Works, makes garbage, and says what the profiler counts. */
public class Stats {
    static volatile Object sink;

    public static void main(String[] arguments) {
        Work.outer(Long.parseLong(arguments[0]));
        for (int i = 0; i < 20_000; i++) {
            allocate();
        }
        Sondage.flush();
        System.out.println(Sondage.stats());
    }

    static void allocate() {
        sink = new byte[5000];
    }
}
