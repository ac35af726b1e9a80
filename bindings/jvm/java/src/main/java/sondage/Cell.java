package sondage;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Where the signal handler reads the labels of a platform thread: the {@code LabelCell} of the native
 * library, by its layout. The cell has two records and a number that says which one counts. A change
 * of a span writes the other one and then the number, so that the handler, which runs on the same
 * thread, never sees a part of a change.
 */
final class Cell {
    private static final int CURRENT = 0;
    private static final int RECORDS = 8;
    private static final int RECORD = 32;

    // In a record.
    private static final int SET = 0;
    private static final int SPAN = 8;
    private static final int TRACE_HIGH = 16;
    private static final int TRACE_LOW = 24;

    private final ByteBuffer bytes;
    /** The place of the record that counts; only this class changes it. */
    private int record;

    private Cell(ByteBuffer bytes) {
        this.bytes = bytes;
        this.record = RECORDS + RECORD * (bytes.getInt(CURRENT) & 1);
    }

    /** The cell of the calling thread; null where it has none any more. */
    static Cell ofThread() {
        ByteBuffer bytes = Native.cell();
        return bytes == null ? null : new Cell(bytes.order(ByteOrder.nativeOrder()));
    }

    void set(int set) {
        bytes.putInt(record + SET, set);
    }

    void set(int set, Labels.Ids ids) {
        int next = record == RECORDS ? RECORDS + RECORD : RECORDS;
        bytes.putInt(next + SET, set);
        bytes.putLong(next + SPAN, ids == null ? 0 : ids.span());
        bytes.putLong(next + TRACE_HIGH, ids == null ? 0 : ids.traceHigh());
        bytes.putLong(next + TRACE_LOW, ids == null ? 0 : ids.traceLow());
        // Stores into memory outside the heap are not put in another order.
        bytes.putInt(CURRENT, next == RECORDS ? 0 : 1);
        record = next;
    }
}
