package sondage.compat;

import sondage.Labels;

/** Labels that are made current again and again. */
public final class ConstantContext {
    private final LabelsSet labels;
    /** A context is shared by threads: of each, what it has activated. */
    private final ThreadLocal<Labels.Scope> scopes = new ThreadLocal<Labels.Scope>();

    private ConstantContext(LabelsSet labels) {
        this.labels = labels;
    }

    /** A context of labels. */
    public static ConstantContext of(LabelsSet labels) {
        if (labels == null) {
            throw new NullPointerException("labels");
        }
        return new ConstantContext(labels);
    }

    /** Makes the labels current on the calling thread. */
    public void activate() {
        deactivate();
        scopes.set(ScopedContext.enter(labels));
    }

    /** Makes those current again that were before. */
    public void deactivate() {
        Labels.Scope scope = scopes.get();
        if (scope != null) {
            scope.close();
            scopes.remove();
        }
    }
}
