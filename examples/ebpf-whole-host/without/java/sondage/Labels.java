package sondage;

/** In place of the profiler's: no labels. The service is looked at from outside. */
public final class Labels {
    private Labels() {}

    /** Something that ends. */
    public static final class Scope implements AutoCloseable {
        @Override
        public void close() {}
    }

    /** Sets nothing. */
    public static Scope of(String key, String value) {
        return new Scope();
    }
}
