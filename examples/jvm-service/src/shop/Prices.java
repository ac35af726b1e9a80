package shop;

import java.util.SplittableRandom;

/** What a product may cost next year: arithmetic, and nothing else. */
final class Prices {
    private static final int PATHS = 200;
    private static final int DAYS = 250;

    private Prices() {}

    static String simulate(String product) {
        SplittableRandom chance = new SplittableRandom(product.hashCode());
        double sum = 0;
        for (int i = 0; i < PATHS; i++) {
            sum += path(chance);
        }
        return "{\"price\":" + sum / PATHS + "}";
    }

    private static double path(SplittableRandom chance) {
        double price = 100;
        for (int day = 0; day < DAYS; day++) {
            price *= Math.exp(0.02 * (chance.nextDouble() - 0.49));
        }
        return price;
    }
}
