package sondage.compat;

/** There is one profiler, whichever is asked for. */
public enum ProfilerType {
    /** Has no effect. */
    JFR,
    /** Has no effect. */
    ASYNC
}
