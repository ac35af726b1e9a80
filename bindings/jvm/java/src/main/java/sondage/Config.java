package sondage;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Settings of the profiler. What is not set here comes from the environment ({@code SONDAGE_*}), or
 * is as by default; each means what the variable of its name does.
 */
public final class Config {
    private final Map<String, String> settings = new LinkedHashMap<String, String>();

    private final Map<String, String> labels = new LinkedHashMap<String, String>();

    /** Any setting by its name in lower case, as text: {@code set("hz", "100")}. */
    public Config set(String name, String value) {
        settings.put(name, value);
        return this;
    }

    /** The service's name. */
    public Config service(String name) {
        return set("service", name);
    }

    /** Where profiles go: {@code pyroscope+http://…}, {@code otlp+http://…}, {@code file:DIR}. */
    public Config push(String... targets) {
        StringBuilder list = new StringBuilder();
        for (String target : targets) {
            list.append(list.length() == 0 ? "" : ",").append(target);
        }
        return set("push", list.length() == 0 ? "none" : list.toString());
    }

    /** A label of the whole process. */
    public Config label(String name, String value) {
        labels.put(name, value);
        StringBuilder list = new StringBuilder();
        for (Map.Entry<String, String> label : labels.entrySet()) {
            list.append(list.length() == 0 ? "" : ",").append(escaped(label.getKey())).append('=')
                    .append(escaped(label.getValue()));
        }
        return set("labels", list.toString());
    }

    private static String escaped(String text) {
        return text.replace("%", "%25").replace(",", "%2C").replace("=", "%3D")
                .replace(" ", "%20");
    }

    /** Samples a second of CPU time. */
    public Config hz(int samples) {
        return set("hz", Integer.toString(samples));
    }

    /** Seconds between two profiles. */
    public Config interval(int seconds) {
        return set("interval", seconds + "s");
    }

    /** Whether waiting time is recorded too. */
    public Config wall(boolean on) {
        return set("wall", Boolean.toString(on));
    }

    /** Bytes of allocation between two samples of memory; 0 for none. */
    public Config memory(long bytes) {
        return set("memory", Long.toString(bytes));
    }

    /** Milliseconds of waiting for locks between two samples of that; 0 for none. */
    public Config locks(int milliseconds) {
        return set("locks", milliseconds == 0 ? "off" : milliseconds + "ms");
    }

    Map<String, String> settings() {
        return settings;
    }
}
