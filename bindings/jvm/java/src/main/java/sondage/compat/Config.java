package sondage.compat;

import java.nio.file.Path;
import java.nio.file.Paths;
import java.time.Duration;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What pyroscope-java can be told. */
public final class Config {
    /** Whether to start. */
    public final boolean agentEnabled;
    /** The service's name; {@code name{key=value}} has labels, too. */
    public final String applicationName;
    /** Has no effect. */
    public final ProfilerType profilerType;
    /** CPU time between two samples of a thread. */
    public final Duration profilingInterval;
    /** What is profiled. CPU time is in any case. */
    public final EventType profilingEvent;
    /** Memory between two samples, such as {@code 512k}; empty for no profile of memory. */
    public final String profilingAlloc;
    /** Waiting for locks is profiled if this is not empty. */
    public final String profilingLock;
    /** Has no effect. */
    public final List<EventType> samplingEventOrder;
    /** Time between two profiles. */
    public final Duration uploadInterval;
    /** Frames of a stack, at most. */
    public final int javaStackDepthMax;
    /** Which messages are shown. */
    public final Logger.Level logLevel;
    /** Where profiles go. */
    public final String serverAddress;
    /** The token for the server. */
    public final String authToken;
    /** Has no effect. */
    public final String jfrProfilerSettings;
    /** In which form profiles are sent. */
    public final Format format;
    /** Has no effect. */
    public final int pushQueueCapacity;
    /** Labels of the whole process. */
    public final Map<String, String> labels;
    /** Has no effect: what cannot be sent is sent later. */
    public final int ingestMaxTries;
    /** Has no effect. */
    public final int compressionLevelJFR;
    /** Has no effect. */
    public final int compressionLevelLabels;
    /** Has no effect. */
    public final boolean allocLive;
    /** Has no effect. */
    public final boolean gcBeforeDump;
    /**
     * Headers for the server. Of Pyroscope's own protocol, {@code X-Scope-OrgID} and {@code
     * Authorization} with a token.
     */
    public final Map<String, String> httpHeaders;
    /** Has no effect: there are no pauses. */
    public final Duration samplingDuration;
    /** Pyroscope's tenant. */
    public final String tenantID;
    /** Has no effect. */
    public final String APLogLevel;
    /** Has no effect. */
    public final String APExtraArguments;
    /** The user for the server. */
    public final String basicAuthUser;
    /** The user's password. */
    public final String basicAuthPassword;
    /** Has no effect. */
    public final Duration profileExportTimeout;
    /** Where the native library may be written for the moment in which it is loaded. */
    public final Path tmpDir;

    private Config(Builder from) {
        agentEnabled = from.agentEnabled;
        applicationName = from.applicationName;
        profilerType = from.profilerType;
        profilingInterval = from.profilingInterval;
        profilingEvent = from.profilingEvent;
        profilingAlloc = from.profilingAlloc;
        profilingLock = from.profilingLock;
        samplingEventOrder = from.samplingEventOrder;
        uploadInterval = from.uploadInterval;
        javaStackDepthMax = from.javaStackDepthMax;
        logLevel = from.logLevel;
        serverAddress = from.serverAddress;
        authToken = from.authToken;
        jfrProfilerSettings = from.jfrProfilerSettings;
        format = from.format;
        pushQueueCapacity = from.pushQueueCapacity;
        labels = Collections.unmodifiableMap(new LinkedHashMap<String, String>(from.labels));
        ingestMaxTries = from.ingestMaxTries;
        compressionLevelJFR = from.compressionLevelJFR;
        compressionLevelLabels = from.compressionLevelLabels;
        allocLive = from.allocLive;
        gcBeforeDump = from.gcBeforeDump;
        httpHeaders = Collections.unmodifiableMap(new LinkedHashMap<String, String>(from.httpHeaders));
        samplingDuration = from.samplingDuration;
        tenantID = from.tenantID;
        APLogLevel = from.APLogLevel;
        APExtraArguments = from.APExtraArguments;
        basicAuthUser = from.basicAuthUser;
        basicAuthPassword = from.basicAuthPassword;
        profileExportTimeout = from.profileExportTimeout;
        tmpDir = from.tmpDir;
    }

    /** By system properties, the environment and {@code pyroscope.properties}. */
    public static Config build() {
        return new Builder().read().build();
    }

    /** A builder that begins with what is set here. */
    public Builder newBuilder() {
        return new Builder(this);
    }

    /** Samples in a second of CPU time. */
    public long profilingIntervalInHertz() {
        return Duration.ofSeconds(1).toNanos() / profilingInterval.toNanos();
    }

    /** Makes configurations. */
    public static final class Builder {
        private boolean agentEnabled = true;
        private String applicationName = null;
        private ProfilerType profilerType = ProfilerType.ASYNC;
        private Duration profilingInterval = Duration.ofMillis(10);
        private EventType profilingEvent = EventType.ITIMER;
        private String profilingAlloc = "";
        private String profilingLock = "";
        private List<EventType> samplingEventOrder = null;
        private Duration uploadInterval = Duration.ofSeconds(10);
        private int javaStackDepthMax = 2048;
        private Logger.Level logLevel = Logger.Level.INFO;
        private String serverAddress = "http://localhost:4040";
        private String authToken = null;
        private String jfrProfilerSettings = null;
        private Format format = Format.JFR;
        private int pushQueueCapacity = 8;
        private Map<String, String> labels = Collections.<String, String>emptyMap();
        private int ingestMaxTries = 8;
        private int compressionLevelJFR = 1;
        private int compressionLevelLabels = 1;
        private boolean allocLive = false;
        private boolean gcBeforeDump = false;
        private Map<String, String> httpHeaders = Collections.<String, String>emptyMap();
        private Duration samplingDuration = null;
        private String tenantID = null;
        private String APLogLevel = null;
        private String APExtraArguments = null;
        private String basicAuthUser = null;
        private String basicAuthPassword = null;
        private Duration profileExportTimeout = Duration.ofSeconds(10);
        private Path tmpDir = null;

        /** All as by default. */
        public Builder() {}

        /** All as in another one. */
        public Builder(Config from) {
            agentEnabled = from.agentEnabled;
            applicationName = from.applicationName;
            profilerType = from.profilerType;
            profilingInterval = from.profilingInterval;
            profilingEvent = from.profilingEvent;
            profilingAlloc = from.profilingAlloc;
            profilingLock = from.profilingLock;
            samplingEventOrder = from.samplingEventOrder;
            uploadInterval = from.uploadInterval;
            javaStackDepthMax = from.javaStackDepthMax;
            logLevel = from.logLevel;
            serverAddress = from.serverAddress;
            authToken = from.authToken;
            jfrProfilerSettings = from.jfrProfilerSettings;
            format = from.format;
            pushQueueCapacity = from.pushQueueCapacity;
            labels = from.labels;
            ingestMaxTries = from.ingestMaxTries;
            compressionLevelJFR = from.compressionLevelJFR;
            compressionLevelLabels = from.compressionLevelLabels;
            allocLive = from.allocLive;
            gcBeforeDump = from.gcBeforeDump;
            httpHeaders = from.httpHeaders;
            samplingDuration = from.samplingDuration;
            tenantID = from.tenantID;
            APLogLevel = from.APLogLevel;
            APExtraArguments = from.APExtraArguments;
            basicAuthUser = from.basicAuthUser;
            basicAuthPassword = from.basicAuthPassword;
            profileExportTimeout = from.profileExportTimeout;
            tmpDir = from.tmpDir;
        }

        /** See {@link Config#agentEnabled}. */
        public Builder setAgentEnabled(boolean agentEnabled) {
            this.agentEnabled = agentEnabled;
            return this;
        }

        /** See {@link Config#applicationName}. */
        public Builder setApplicationName(String applicationName) {
            this.applicationName = applicationName;
            return this;
        }

        /** See {@link Config#profilerType}. */
        public Builder setProfilerType(ProfilerType profilerType) {
            this.profilerType = profilerType;
            return this;
        }

        /** See {@link Config#profilingInterval}. */
        public Builder setProfilingInterval(Duration profilingInterval) {
            this.profilingInterval = profilingInterval;
            return this;
        }

        /** See {@link Config#profilingEvent}. */
        public Builder setProfilingEvent(EventType profilingEvent) {
            this.profilingEvent = profilingEvent;
            return this;
        }

        /** See {@link Config#profilingAlloc}. */
        public Builder setProfilingAlloc(String profilingAlloc) {
            this.profilingAlloc = profilingAlloc;
            return this;
        }

        /** See {@link Config#profilingLock}. */
        public Builder setProfilingLock(String profilingLock) {
            this.profilingLock = profilingLock;
            return this;
        }

        /** See {@link Config#samplingEventOrder}. */
        public Builder setSamplingEventOrder(List<EventType> samplingEventOrder) {
            this.samplingEventOrder = samplingEventOrder;
            return this;
        }

        /** See {@link Config#uploadInterval}. */
        public Builder setUploadInterval(Duration uploadInterval) {
            this.uploadInterval = uploadInterval;
            return this;
        }

        /** See {@link Config#javaStackDepthMax}. */
        public Builder setJavaStackDepthMax(int javaStackDepthMax) {
            this.javaStackDepthMax = javaStackDepthMax;
            return this;
        }

        /** See {@link Config#logLevel}. */
        public Builder setLogLevel(Logger.Level logLevel) {
            this.logLevel = logLevel;
            return this;
        }

        /** See {@link Config#serverAddress}. */
        public Builder setServerAddress(String serverAddress) {
            this.serverAddress = serverAddress;
            return this;
        }

        /** See {@link Config#authToken}. */
        public Builder setAuthToken(String authToken) {
            this.authToken = authToken;
            return this;
        }

        /** See {@link Config#jfrProfilerSettings}. */
        public Builder setJFRProfilerSettings(String jfrProfilerSettings) {
            this.jfrProfilerSettings = jfrProfilerSettings;
            return this;
        }

        /** See {@link Config#format}. */
        public Builder setFormat(Format format) {
            this.format = format;
            return this;
        }

        /** See {@link Config#pushQueueCapacity}. */
        public Builder setPushQueueCapacity(int pushQueueCapacity) {
            this.pushQueueCapacity = pushQueueCapacity;
            return this;
        }

        /** See {@link Config#labels}. */
        public Builder setLabels(Map<String, String> labels) {
            this.labels = labels;
            return this;
        }

        /** See {@link Config#ingestMaxTries}. */
        public Builder setIngestMaxRetries(int ingestMaxTries) {
            this.ingestMaxTries = ingestMaxTries;
            return this;
        }

        /** See {@link Config#compressionLevelJFR}. */
        public Builder setCompressionLevelJFR(int compressionLevelJFR) {
            this.compressionLevelJFR = compressionLevelJFR;
            return this;
        }

        /** See {@link Config#compressionLevelLabels}. */
        public Builder setCompressionLevelLabels(int compressionLevelLabels) {
            this.compressionLevelLabels = compressionLevelLabels;
            return this;
        }

        /** See {@link Config#allocLive}. */
        public Builder setAllocLive(boolean allocLive) {
            this.allocLive = allocLive;
            return this;
        }

        /** See {@link Config#gcBeforeDump}. */
        public Builder setGcBeforeDump(boolean gcBeforeDump) {
            this.gcBeforeDump = gcBeforeDump;
            return this;
        }

        /** See {@link Config#httpHeaders}. */
        public Builder setHTTPHeaders(Map<String, String> httpHeaders) {
            this.httpHeaders = httpHeaders;
            return this;
        }

        /** See {@link Config#samplingDuration}. */
        public Builder setSamplingDuration(Duration samplingDuration) {
            this.samplingDuration = samplingDuration;
            return this;
        }

        /** See {@link Config#tenantID}. */
        public Builder setTenantID(String tenantID) {
            this.tenantID = tenantID;
            return this;
        }

        /** See {@link Config#APLogLevel}. */
        public Builder setAPLogLevel(String APLogLevel) {
            this.APLogLevel = APLogLevel;
            return this;
        }

        /** See {@link Config#APExtraArguments}. */
        public Builder setAPExtraArguments(String APExtraArguments) {
            this.APExtraArguments = APExtraArguments;
            return this;
        }

        /** See {@link Config#basicAuthUser}. */
        public Builder setBasicAuthUser(String basicAuthUser) {
            this.basicAuthUser = basicAuthUser;
            return this;
        }

        /** See {@link Config#basicAuthPassword}. */
        public Builder setBasicAuthPassword(String basicAuthPassword) {
            this.basicAuthPassword = basicAuthPassword;
            return this;
        }

        /** See {@link Config#profileExportTimeout}. */
        public Builder setProfileExportTimeout(Duration profileExportTimeout) {
            this.profileExportTimeout = profileExportTimeout;
            return this;
        }

        /** See {@link Config#tmpDir}. */
        public Builder setTmpDir(String folder) {
            tmpDir = folder == null || folder.isEmpty() ? null : Paths.get(folder);
            return this;
        }

        /** See {@link Config#httpHeaders}. */
        public Builder addHTTPHeader(String name, String value) {
            Map<String, String> headers = new LinkedHashMap<String, String>(httpHeaders);
            headers.put(name, value);
            httpHeaders = headers;
            return this;
        }

        /** The configuration. */
        public Config build() {
            return new Config(this);
        }

        /** Takes what there is in the places of {@link Source}. */
        private Builder read() {
            Variables variables = new Variables();
            agentEnabled = variables.flag("AGENT_ENABLED", agentEnabled);
            applicationName = variables.text("APPLICATION_NAME", applicationName);
            logLevel = variables.level("LOG_LEVEL", logLevel);
            format = variables.format("FORMAT", format);
            labels = Parse.labels(variables.text("LABELS", ""));
            tmpDir = variables.path("TMP_DIR");
            readWhat(variables);
            readWhere(variables);
            readWithoutEffect(variables);
            return this;
        }

        private void readWhat(Variables variables) {
            profilingInterval = variables.duration("PROFILING_INTERVAL", profilingInterval);
            profilingEvent = variables.event("PROFILER_EVENT", profilingEvent);
            profilingAlloc = variables.text("PROFILER_ALLOC", profilingAlloc)
                    .trim().toLowerCase(Locale.ROOT);
            profilingLock = variables.text("PROFILER_LOCK", profilingLock)
                    .trim().toLowerCase(Locale.ROOT);
            uploadInterval = variables.duration("UPLOAD_INTERVAL", uploadInterval);
            javaStackDepthMax = variables.number("JAVA_STACK_DEPTH_MAX", javaStackDepthMax);
            allocLive = variables.flag("ALLOC_LIVE", allocLive);
            gcBeforeDump = variables.flag("GC_BEFORE_DUMP", gcBeforeDump);
        }

        private void readWhere(Variables variables) {
            serverAddress = variables.text("ADHOC_SERVER_ADDRESS",
                    variables.text("SERVER_ADDRESS", serverAddress));
            authToken = variables.text("AUTH_TOKEN", authToken);
            basicAuthUser = variables.text("BASIC_AUTH_USER", basicAuthUser);
            basicAuthPassword = variables.text("BASIC_AUTH_PASSWORD", basicAuthPassword);
            tenantID = variables.text("TENANT_ID", tenantID);
            httpHeaders = variables.headers("HTTP_HEADERS");
        }

        /** So that a message can say so. */
        private void readWithoutEffect(Variables variables) {
            samplingDuration = variables.duration("SAMPLING_DURATION", samplingDuration);
            pushQueueCapacity = variables.number("PUSH_QUEUE_CAPACITY", pushQueueCapacity);
            ingestMaxTries = variables.number("INGEST_MAX_TRIES", ingestMaxTries);
            profileExportTimeout =
                    variables.duration("PROFILE_EXPORT_TIMEOUT", profileExportTimeout);
            APLogLevel = variables.text("AP_LOG_LEVEL", APLogLevel);
            APExtraArguments = variables.text("AP_EXTRA_ARGUMENTS", APExtraArguments);
            jfrProfilerSettings = variables.text("JFR_PROFILER_SETTINGS", jfrProfilerSettings);
            variables.ignore("PROFILER_TYPE");
            variables.ignore("SAMPLING_RATE");
            variables.ignore("SAMPLING_EVENT_ORDER");
            variables.ignore("EXPORT_COMPRESSION_LEVEL_JFR");
            variables.ignore("EXPORT_COMPRESSION_LEVEL_LABELS");
        }
    }
}
