package sondage;

/**
 * The numbers of sets of labels, as the native library gives them. They are for the life of the
 * process, and so can be remembered: asking costs a microsecond.
 */
final class Sets {
    /** Sets that are remembered; a power of two. A further one takes the place of another. */
    private static final int PLACES = 4096;

    /** The longest text that is remembered. */
    private static final int LONGEST = 256;

    /** What the native library keeps of a text, at most. */
    private static final int KEPT = 1024;

    /**
     * Read and written by all threads without a lock. They may overwrite each other's, which costs
     * asking again; an entry itself is never seen half, since its fields are final.
     */
    private static final Known[] known = new Known[PLACES];

    private Sets() {}

    /** A set that was made of another one by adding a label. */
    private static final class Known {
        final int before;
        final String key;
        final String value;
        final int set;

        Known(int before, String key, String value, int set) {
            this.before = before;
            this.key = key;
            this.value = value;
            this.set = set;
        }
    }

    /** The set with a label more. */
    static int with(int before, String key, String value) {
        if (key == null || value == null) {
            return before;
        }
        int hash = (key.hashCode() * 31 + value.hashCode()) * 31 + before;
        int place = (hash ^ hash >>> 15) & (PLACES - 1);
        Known found = known[place];
        if (found != null && found.before == before && found.value.equals(value)
                && found.key.equals(key)) {
            return found.set;
        }
        int set = Native.label(before, start(key), start(value));
        if (key.length() <= LONGEST && value.length() <= LONGEST) {
            known[place] = new Known(before, key, value, set);
        }
        return set;
    }

    private static String start(String text) {
        return text.length() <= KEPT ? text : text.substring(0, KEPT);
    }
}
