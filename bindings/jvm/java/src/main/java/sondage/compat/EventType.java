package sondage.compat;

/** What is profiled. */
public enum EventType {
    /** CPU time. */
    CPU("cpu"),
    /** Memory. */
    ALLOC("alloc"),
    /** Waiting for locks. */
    LOCK("lock"),
    /** Time on the clock. */
    WALL("wall"),
    /** CPU time. */
    CTIMER("ctimer"),
    /** CPU time. */
    ITIMER("itimer");

    /** The event's name in settings. */
    public final String id;

    EventType(String id) {
        this.id = id;
    }

    /**
     * The event with a name.
     *
     * @throws IllegalArgumentException where none has it
     */
    public static EventType fromId(String id) {
        for (EventType event : values()) {
            if (event.id.equals(id)) {
                return event;
            }
        }
        throw new IllegalArgumentException("no event is called " + id);
    }
}
