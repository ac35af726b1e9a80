package shop;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.concurrent.locks.ReentrantLock;

/** Orders, of which one is written down after the other: requests wait for each other here. */
final class Orders {
    private static final int ROUNDS = 2_000;

    private final Catalog catalog;
    private final ReentrantLock book = new ReentrantLock();
    private byte[] seal = new byte[0];

    Orders(Catalog catalog) {
        this.catalog = catalog;
    }

    String checkout(String product) {
        Catalog.Product bought = catalog.product(Integer.parseInt(product));
        book.lock();
        try {
            seal = sealed(bought.name + bought.price);
            return "{\"sealed\":" + (seal[0] & 0xff) + "}";
        } finally {
            book.unlock();
        }
    }

    /** A slow hash of the order and of the one before it. */
    private byte[] sealed(String order) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update(seal);
            byte[] hash = digest.digest(order.getBytes(StandardCharsets.UTF_8));
            for (int i = 0; i < ROUNDS; i++) {
                hash = digest.digest(hash);
            }
            return hash;
        } catch (NoSuchAlgorithmException impossible) {
            throw new IllegalStateException(impossible);
        }
    }
}
