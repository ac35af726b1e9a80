/** A program that does next to nothing. */
public class Hello {
    public static void main(String[] arguments) {
        System.out.println("hello");
    }
}
