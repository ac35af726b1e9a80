package sondage.compat;

import java.util.HashSet;
import java.util.Set;

/** Messages on the error output, each once, from a level on. */
final class Messages implements Logger {
    private static final Set<String> SAID = new HashSet<String>();

    private final Level least;

    Messages(Level least) {
        this.least = least;
    }

    @Override
    public void log(Level level, String message, Object... arguments) {
        if (level.level < least.level) {
            return;
        }
        String text = String.format(message, arguments);
        synchronized (SAID) {
            if (!SAID.add(text)) {
                return;
            }
        }
        System.err.println("sondage: " + text);
    }
}
