package sondage.compat;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** A configuration of pyroscope-java as one of Sondage. */
final class Settings {
    /** What Sondage takes at most in a second. */
    private static final long MOST_SAMPLES = 5000;

    /** Frames of a stack that Sondage takes at most. */
    private static final int MOST_FRAMES = 512;

    private final Config from;
    private final Logger logger;
    private final sondage.Config to = new sondage.Config();

    private Settings(Config from, Logger logger) {
        this.from = from;
        this.logger = logger;
    }

    static sondage.Config of(Config from, Logger logger) {
        Settings settings = new Settings(from, logger);
        settings.name();
        settings.what();
        settings.where();
        settings.warn();
        return settings.to;
    }

    private void name() {
        Map<String, String> labels = new LinkedHashMap<String, String>();
        String name = from.applicationName;
        if (name != null && name.matches("[^{]+\\{.*\\}")) {
            labels.putAll(Parse.labels(name.substring(name.indexOf('{') + 1, name.length() - 1)));
            name = name.substring(0, name.indexOf('{'));
        }
        if (name != null && !name.isEmpty()) {
            to.service(name);
        }
        labels.putAll(from.labels);
        labels.putAll(Pyroscope.getStaticLabels());
        for (Map.Entry<String, String> label : labels.entrySet()) {
            to.label(label.getKey(), label.getValue());
        }
    }

    private void what() {
        long samples = Math.max(1, Math.min(MOST_SAMPLES, from.profilingIntervalInHertz()));
        to.set("hz", Long.toString(samples));
        to.set("interval", Math.max(1, from.uploadInterval.toMillis()) + "ms");
        int depth = Math.max(1, Math.min(MOST_FRAMES, from.javaStackDepthMax));
        to.set("max_depth", Integer.toString(depth));
        if (from.profilingEvent == EventType.WALL) {
            to.wall(true);
        }
        if (isSet(from.profilingAlloc)) {
            to.set("memory", bytes(from.profilingAlloc));
        } else if (from.profilingEvent == EventType.ALLOC) {
            to.set("memory", "on");
        }
        if (isSet(from.profilingLock)) {
            to.set("locks", atLeastOne(from.profilingLock));
        } else if (from.profilingEvent == EventType.LOCK) {
            to.set("locks", "on");
        }
    }

    /** A time with its unit; what is shorter than a millisecond is one. */
    private static String atLeastOne(String text) {
        String time = text.trim().toLowerCase(Locale.ROOT);
        return time.matches("[1-9][0-9]*m?s") ? time : "1ms";
    }

    /** {@code 0} is every allocation there; here, every byte of them is. */
    private static String bytes(String text) {
        String bytes = text.trim().toLowerCase(Locale.ROOT);
        return bytes.equals("0") ? "1" : bytes.replaceAll("b$", "");
    }

    private void where() {
        String address = from.serverAddress;
        boolean bare = address.startsWith("http");
        String protocol = from.format == Format.OTLP ? "otlp+" : "pyroscope+";
        to.push(bare ? protocol + address : address);
        String tenant = from.tenantID;
        String token = null;
        for (Map.Entry<String, String> header : from.httpHeaders.entrySet()) {
            String value = header.getValue();
            if (header.getKey().equalsIgnoreCase("X-Scope-OrgID")) {
                tenant = isSet(tenant) ? tenant : value;
            } else if (header.getKey().equalsIgnoreCase("Authorization")
                    && value.startsWith("Bearer ")) {
                token = value.substring("Bearer ".length());
            } else {
                logger.log(Logger.Level.WARN, "the header %s is not sent", header.getKey());
            }
        }
        if (isSet(tenant)) {
            to.set("tenant", tenant);
        }
        // Of several, pyroscope-java takes a user's password first.
        if (isSet(from.basicAuthUser) && isSet(from.basicAuthPassword)) {
            to.set("basic_auth", from.basicAuthUser + ":" + from.basicAuthPassword);
        } else if (isSet(from.authToken) || isSet(token)) {
            to.set("token", isSet(from.authToken) ? from.authToken : token);
        }
        if (from.tmpDir != null) {
            System.setProperty("sondage.tmp.dir", from.tmpDir.toString());
        }
    }

    private void warn() {
        Config unset = new Config.Builder().build();
        warn("profilerType", from.profilerType != unset.profilerType);
        warn("samplingEventOrder", from.samplingEventOrder != null);
        warn("samplingDuration", from.samplingDuration != null);
        warn("jfrProfilerSettings", isSet(from.jfrProfilerSettings));
        warn("pushQueueCapacity", from.pushQueueCapacity != unset.pushQueueCapacity);
        warn("ingestMaxTries", from.ingestMaxTries != unset.ingestMaxTries);
        warn("compressionLevelJFR", from.compressionLevelJFR != unset.compressionLevelJFR);
        warn("compressionLevelLabels",
                from.compressionLevelLabels != unset.compressionLevelLabels);
        warn("allocLive", from.allocLive);
        warn("gcBeforeDump", from.gcBeforeDump);
        warn("APLogLevel", isSet(from.APLogLevel));
        warn("APExtraArguments", isSet(from.APExtraArguments));
        Duration timeout = from.profileExportTimeout;
        warn("profileExportTimeout", !unset.profileExportTimeout.equals(timeout));
    }

    private void warn(String name, boolean given) {
        if (given) {
            logger.log(Logger.Level.WARN, "%s has no effect", name);
        }
    }

    private static boolean isSet(String text) {
        return text != null && !text.isEmpty();
    }
}
