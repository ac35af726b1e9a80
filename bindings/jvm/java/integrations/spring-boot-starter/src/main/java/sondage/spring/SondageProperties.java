package sondage.spring;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import org.springframework.boot.context.properties.ConfigurationProperties;

/** The settings {@code sondage.*}; each means what the variable {@code SONDAGE_*} does. */
@ConfigurationProperties("sondage")
public class SondageProperties {
    /** Whether to start the profiler. */
    private boolean enabled = true;
    /** The service's name; if not set, that of the application. */
    private String service;
    /** Where profiles go. */
    private List<String> push;
    /** Labels of the whole process. */
    private Map<String, String> labels = new LinkedHashMap<>();
    /** All other settings, by their name: {@code sondage.settings.hz}. */
    private Map<String, String> settings = new LinkedHashMap<>();

    public boolean isEnabled() {
        return enabled;
    }

    public void setEnabled(boolean enabled) {
        this.enabled = enabled;
    }

    public String getService() {
        return service;
    }

    public void setService(String service) {
        this.service = service;
    }

    public List<String> getPush() {
        return push;
    }

    public void setPush(List<String> push) {
        this.push = push;
    }

    public Map<String, String> getLabels() {
        return labels;
    }

    public void setLabels(Map<String, String> labels) {
        this.labels = labels;
    }

    public Map<String, String> getSettings() {
        return settings;
    }

    public void setSettings(Map<String, String> settings) {
        this.settings = settings;
    }
}
