package sondage.compat;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;

/** Settings from their text. */
final class Parse {
    private Parse() {}

    /** {@code 10ms}, {@code 500us}, {@code 10s}, or nanoseconds. */
    static Duration duration(String text) {
        Duration duration;
        if (text.endsWith("ms")) {
            duration = Duration.ofMillis(number(text, 2));
        } else if (text.endsWith("us")) {
            duration = Duration.ofNanos(Math.multiplyExact(number(text, 2), 1000L));
        } else if (text.endsWith("s")) {
            duration = Duration.ofSeconds(number(text, 1));
        } else {
            duration = Duration.ofNanos(number(text, 0));
        }
        if (duration.isZero() || duration.isNegative()) {
            throw new IllegalArgumentException("a time above 0 is needed, not " + text);
        }
        return duration;
    }

    private static long number(String text, int unit) {
        return Long.parseLong(text.substring(0, text.length() - unit).trim());
    }

    /** {@code key=value,key=value}; what is no pair is left out. */
    static Map<String, String> labels(String text) {
        Map<String, String> labels = new LinkedHashMap<String, String>();
        for (String part : text.split(",")) {
            String[] pair = part.split("=");
            if (pair.length == 2 && !pair[0].trim().isEmpty() && !pair[1].trim().isEmpty()) {
                labels.put(pair[0].trim(), pair[1].trim());
            }
        }
        return labels;
    }

    /** A JSON object of texts. */
    static Map<String, String> headers(String json) {
        Map<String, String> headers = new LinkedHashMap<String, String>();
        Json rest = new Json(json);
        rest.expect('{');
        if (rest.accept('}')) {
            return headers;
        }
        do {
            String name = rest.text();
            rest.expect(':');
            headers.put(name, rest.text());
        } while (rest.accept(','));
        rest.expect('}');
        return headers;
    }

    /** JSON that is read from its start. */
    private static final class Json {
        private final String json;
        private int at;

        Json(String json) {
            this.json = json;
        }

        boolean accept(char wanted) {
            while (at < json.length() && Character.isWhitespace(json.charAt(at))) {
                at++;
            }
            boolean there = at < json.length() && json.charAt(at) == wanted;
            at += there ? 1 : 0;
            return there;
        }

        void expect(char wanted) {
            if (!accept(wanted)) {
                throw new IllegalArgumentException("a JSON object of texts is needed");
            }
        }

        String text() {
            expect('"');
            StringBuilder text = new StringBuilder();
            while (at < json.length() && json.charAt(at) != '"') {
                char next = json.charAt(at++);
                text.append(next == '\\' ? escaped() : next);
            }
            expect('"');
            return text.toString();
        }

        private char escaped() {
            char kind = at < json.length() ? json.charAt(at++) : ' ';
            if (kind == 'u' && at + 4 <= json.length()) {
                at += 4;
                return (char) Integer.parseInt(json.substring(at - 4, at), 16);
            }
            if (kind == 't') {
                return '\t';
            }
            if (kind == '"' || kind == '\\' || kind == '/') {
                return kind;
            }
            throw new IllegalArgumentException("a header has a \\" + kind);
        }
    }
}
