/** An agent that does nothing. */
public class Empty {
    public static void premain(String options) {}
}
