/** Two threads, one of which uses twice the CPU time of the other. */
public class Shares {
    static void once(long milliseconds) {
        Work.burn(milliseconds);
    }

    static void twice(long milliseconds) {
        Work.burn(2 * milliseconds);
    }

    public static void main(String[] arguments) throws Exception {
        long milliseconds = Long.parseLong(arguments[0]);
        Thread once = new Thread(() -> once(milliseconds), "once");
        once.start();
        twice(milliseconds);
        once.join();
    }
}
