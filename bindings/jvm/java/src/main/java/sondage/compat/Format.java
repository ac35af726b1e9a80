package sondage.compat;

/** In which form profiles are sent. */
public enum Format {
    /** Pyroscope's own protocol; with pprof inside, and not JFR. */
    JFR("jfr"),
    /** OpenTelemetry's profiles. */
    OTLP("otlp");

    /** The form's name in settings. */
    public final String id;

    Format(String id) {
        this.id = id;
    }
}
