package sondage.spring;

import org.apache.commons.logging.Log;
import org.apache.commons.logging.LogFactory;
import org.springframework.beans.factory.InitializingBean;

import sondage.Config;
import sondage.Sondage;

/** Starts the profiler, unless one runs already: as an agent, or of an earlier context. */
final class Profiler implements InitializingBean {
    private static final Log LOG = LogFactory.getLog(Profiler.class);

    private final SondageProperties properties;
    private final String application;

    Profiler(SondageProperties properties, String application) {
        this.properties = properties;
        this.application = application;
    }

    @Override
    public void afterPropertiesSet() {
        if (!properties.isEnabled() || Sondage.isRunning()) {
            return;
        }
        try {
            Sondage.start(config());
        } catch (IllegalArgumentException | IllegalStateException problem) {
            // A profiler must not keep the application from starting.
            LOG.error("the profiler is not started: " + problem.getMessage());
        }
    }

    private Config config() {
        Config config = new Config();
        String service = properties.getService() == null ? application : properties.getService();
        if (service != null && !service.isEmpty()) {
            config.service(service);
        }
        if (properties.getPush() != null) {
            config.push(properties.getPush().toArray(new String[0]));
        }
        properties.getLabels().forEach(config::label);
        properties.getSettings().forEach((name, value) -> config.set(name.replace('-', '_'), value));
        return config;
    }
}
