package sondage.compat;

import java.util.function.BiConsumer;

import sondage.Labels;

/**
 * Labels of the thread that makes it, until it is closed. Other than in pyroscope-java, they add to
 * those that are current, which come back when it is closed; and nothing is kept afterwards.
 */
public final class ScopedContext implements AutoCloseable {
    private final LabelsSet labels;
    private Labels.Scope scope;

    /** Makes labels current. */
    public ScopedContext(LabelsSet labels) {
        this.labels = labels;
        this.scope = enter(labels);
    }

    /** Makes labels current. What was before comes back in any case. */
    public ScopedContext(LabelsSet labels, ScopedContext before) {
        this(labels);
        if (before == null) {
            throw new NullPointerException("before");
        }
    }

    static Labels.Scope enter(LabelsSet labels) {
        String[] pairs = labels.pairs();
        if (pairs.length == 0) {
            return null;
        }
        String[] more = new String[pairs.length - 2];
        System.arraycopy(pairs, 2, more, 0, more.length);
        return Labels.of(pairs[0], pairs[1], more);
    }

    /** Makes the labels current again that were before. Again, it does nothing. */
    @Override
    public void close() {
        if (scope != null) {
            scope.close();
            scope = null;
        }
    }

    /** Calls a function with each key and its value. */
    public void forEachLabel(BiConsumer<String, String> consumer) {
        labels.forEachLabel(consumer);
    }
}
