import java.util.function.IntBinaryOperator;
import java.util.function.IntUnaryOperator;

/** Defined again and again, by class loaders that are forgotten. Each method has one caller. */
public class Made implements IntUnaryOperator {
    /** Overridden by one class, and after a while by another: compiled code was sure of the first. */
    public abstract static class Shape {
        abstract int area(int side);
    }

    public static class Square extends Shape {
        @Override
        int area(int side) {
            return link6(side, 3);
        }

        static int link6(int side, int factor) {
            return link7(side) * factor;
        }

        static int link7(int side) {
            int sum = side;
            for (int i = 0; i < 20; i++) {
                sum = sum * 31 + i;
            }
            return sum;
        }
    }

    public static class Other extends Shape {
        @Override
        int area(int side) {
            return side;
        }
    }

    private Shape shape;

    @Override
    public int applyAsInt(int turns) {
        return link1(turns);
    }

    private int link1(int turns) {
        shape = new Square();
        int sum = 0;
        for (int i = 0; i < turns; i++) {
            sum += link2(i, i == turns - 1);
        }
        shape = new Other();
        return sum + link2(turns, false);
    }

    private int link2(int i, boolean rare) {
        if (rare) {
            // Never before, once the code is compiled.
            return link3("a text", i);
        }
        return link3(i % 7 == 0 ? (Object) "text" : (Object) this, i);
    }

    private int link3(Object what, int i) {
        IntBinaryOperator inner = (a, b) -> link5(a) + b;
        return link4(inner, i) + (what instanceof String ? 1 : 2);
    }

    private int link4(IntBinaryOperator inner, int i) {
        return inner.applyAsInt(i, 1);
    }

    private int link5(int i) {
        return shape.area(i);
    }
}
