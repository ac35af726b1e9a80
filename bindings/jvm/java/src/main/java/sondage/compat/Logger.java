package sondage.compat;

/** Where messages go. */
public interface Logger {
    /** How grave a message is. */
    enum Level {
        /** Details. */
        DEBUG(0),
        /** What happens. */
        INFO(1),
        /** What has no effect, or not the one that was asked for. */
        WARN(2),
        /** What did not work. */
        ERROR(3);

        /** Higher is graver. */
        public final int level;

        Level(int level) {
            this.level = level;
        }
    }

    /** Takes a message, in the form of {@link String#format}. */
    void log(Level level, String message, Object... arguments);
}
