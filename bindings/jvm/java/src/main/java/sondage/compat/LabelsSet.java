package sondage.compat;

import java.util.Map;
import java.util.function.BiConsumer;

/** Labels. Never changes. */
public final class LabelsSet {
    private final String[] pairs;

    /**
     * Labels from a key, its value, and so on.
     *
     * @throws IllegalArgumentException where the last key has no value
     */
    public LabelsSet(String... pairs) {
        if (pairs.length % 2 != 0) {
            throw new IllegalArgumentException("the key " + pairs[pairs.length - 1]
                    + " has no value");
        }
        this.pairs = pairs.clone();
        check(this.pairs);
    }

    /** Labels from their keys and values. */
    public LabelsSet(Map<String, String> labels) {
        pairs = new String[2 * labels.size()];
        int at = 0;
        for (Map.Entry<String, String> label : labels.entrySet()) {
            pairs[at++] = label.getKey();
            pairs[at++] = label.getValue();
        }
        check(pairs);
    }

    private static void check(String[] pairs) {
        for (String text : pairs) {
            if (text == null) {
                throw new NullPointerException("a key or a value of a label");
            }
        }
    }

    /** Calls a function with each key and its value. */
    public void forEachLabel(BiConsumer<String, String> consumer) {
        for (int i = 0; i < pairs.length; i += 2) {
            consumer.accept(pairs[i], pairs[i + 1]);
        }
    }

    String[] pairs() {
        return pairs;
    }
}
