package shop;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** What there is to buy: pages of it, which is mostly memory, and a search. */
final class Catalog {
    private static final int PRODUCTS = 300;

    private static final String[] MATERIALS = {"steel", "oak", "brass", "copper", "granite", "linen"};
    private static final String[] THINGS = {"hammer", "saw", "kettle", "lamp", "shelf", "anvil",
            "bucket"};

    /** A product that can be bought. */
    static final class Product {
        final int number;
        final String name;
        final double price;

        Product(int number, String name, double price) {
            this.number = number;
            this.name = name;
            this.price = price;
        }
    }

    private final List<Product> products = new ArrayList<>();

    Catalog() {
        for (int i = 0; i < PRODUCTS; i++) {
            String name = MATERIALS[i % MATERIALS.length] + " " + THINGS[i % THINGS.length] + " " + i;
            products.add(new Product(i, name, 5 + i % 97));
        }
    }

    Product product(int number) {
        return products.get(Math.floorMod(number, products.size()));
    }

    /** The day's catalog as JSON. */
    String page(String day) {
        List<String> rows = new ArrayList<>();
        for (Product product : products) {
            rows.add(row(product, day));
        }
        return "[" + String.join(",\n", rows) + "]";
    }

    private static String row(Product product, String day) {
        return String.format(Locale.ROOT, "{\"number\":%d,\"name\":\"%s\",\"price\":%.2f,\"day\":\"%s\"}",
                product.number, product.name, product.price, day);
    }

    /** The product whose name is most like the words. */
    String search(String words) {
        Product best = products.get(0);
        int least = Integer.MAX_VALUE;
        for (Product product : products) {
            int distance = distance(words, product.name);
            if (distance < least) {
                least = distance;
                best = product;
            }
        }
        return "{\"name\":\"" + best.name + "\"}";
    }

    /** How many letters have to be changed to make one of the other. */
    private static int distance(String one, String other) {
        int[] row = new int[other.length() + 1];
        for (int j = 0; j < row.length; j++) {
            row[j] = j;
        }
        for (int i = 1; i <= one.length(); i++) {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j < row.length; j++) {
                int changed = diagonal + (one.charAt(i - 1) == other.charAt(j - 1) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.min(changed, Math.min(row[j], row[j - 1]) + 1);
            }
        }
        return row[other.length()];
    }
}
