package sondage.compat;

import java.nio.file.Path;
import java.nio.file.Paths;
import java.time.Duration;
import java.util.Collections;
import java.util.Locale;
import java.util.Map;

/** The {@code PYROSCOPE_*} settings. One that is wrong is left out, with a message. */
final class Variables {
    private static final String PREFIX = "PYROSCOPE_";

    private final Logger logger = new Messages(Logger.Level.WARN);
    private final Source source = new Source(logger);

    String text(String name, String unset) {
        String text = source.get(PREFIX + name);
        return text == null ? unset : text;
    }

    boolean flag(String name, boolean unset) {
        String text = text(name, null);
        return text == null ? unset : Boolean.parseBoolean(text);
    }

    int number(String name, int unset) {
        String text = text(name, null);
        try {
            return text == null ? unset : Integer.parseInt(text.trim());
        } catch (NumberFormatException problem) {
            return wrong(name, text, unset);
        }
    }

    Duration duration(String name, Duration unset) {
        String text = text(name, null);
        try {
            return text == null ? unset : Parse.duration(text.trim());
        } catch (IllegalArgumentException | ArithmeticException problem) {
            return wrong(name, text, unset);
        }
    }

    EventType event(String name, EventType unset) {
        String text = text(name, null);
        try {
            return text == null ? unset : EventType.fromId(text.trim().toLowerCase(Locale.ROOT));
        } catch (IllegalArgumentException problem) {
            return wrong(name, text, unset);
        }
    }

    Logger.Level level(String name, Logger.Level unset) {
        String text = text(name, null);
        try {
            return text == null ? unset
                    : Logger.Level.valueOf(text.trim().toUpperCase(Locale.ROOT));
        } catch (IllegalArgumentException problem) {
            return wrong(name, text, unset);
        }
    }

    Format format(String name, Format unset) {
        String text = text(name, null);
        try {
            return text == null ? unset : Format.valueOf(text.trim().toUpperCase(Locale.ROOT));
        } catch (IllegalArgumentException problem) {
            return wrong(name, text, unset);
        }
    }

    Path path(String name) {
        String text = text(name, null);
        return text == null ? null : Paths.get(text);
    }

    Map<String, String> headers(String name) {
        String text = text(name, null);
        try {
            return text == null ? Collections.<String, String>emptyMap() : Parse.headers(text);
        } catch (IllegalArgumentException problem) {
            // The headers may be secret.
            return wrong(name, "what it is", Collections.<String, String>emptyMap());
        }
    }

    void ignore(String name) {
        if (text(name, null) != null) {
            logger.log(Logger.Level.WARN, "%s has no effect", PREFIX + name);
        }
    }

    private <T> T wrong(String name, String text, T unset) {
        logger.log(Logger.Level.WARN, "%s cannot be %s and is left out", PREFIX + name, text);
        return unset;
    }
}
