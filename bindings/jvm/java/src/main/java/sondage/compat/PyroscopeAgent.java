package sondage.compat;

import sondage.Sondage;

/** Starts and stops the profiler, in the way of pyroscope-java. */
public final class PyroscopeAgent {
    private PyroscopeAgent() {}

    /** Starts by the {@code PYROSCOPE_*} settings. */
    public static void start() {
        start(Config.build());
    }

    /** Starts by a configuration. What does not work is a message, and no exception. */
    public static void start(Config config) {
        start(new Options.Builder(config).build());
    }

    /** As {@link #start(Config)}, with a logger of the program's. */
    public static synchronized void start(Options options) {
        Logger logger = options.logger;
        if (!options.config.agentEnabled) {
            logger.log(Logger.Level.INFO, "not started: the configuration says so");
            return;
        }
        if (Sondage.isRunning()) {
            logger.log(Logger.Level.ERROR, "not started: it runs already");
            return;
        }
        try {
            Sondage.start(Settings.of(options.config, logger));
        } catch (RuntimeException problem) {
            logger.log(Logger.Level.ERROR, "not started: %s", problem.getMessage());
        }
    }

    /** Stops; the last profile is sent. */
    public static synchronized void stop() {
        Sondage.stop();
    }

    /** Whether the profiler runs. */
    public static boolean isStarted() {
        return Sondage.isRunning();
    }

    /** A configuration and a logger. Exporters and schedulers cannot be replaced. */
    public static final class Options {
        private final Config config;
        private final Logger logger;

        private Options(Config config, Logger logger) {
            this.config = config;
            this.logger = logger;
        }

        /** Makes options. */
        public static final class Builder {
            private final Config config;
            private Logger logger;

            /** Options with a configuration. */
            public Builder(Config config) {
                if (config == null) {
                    throw new NullPointerException("config");
                }
                this.config = config;
            }

            /** Where messages go. */
            public Builder setLogger(Logger logger) {
                this.logger = logger;
                return this;
            }

            /** The options. */
            public Options build() {
                return new Options(config,
                        logger == null ? new Messages(config.logLevel) : logger);
            }
        }
    }
}
