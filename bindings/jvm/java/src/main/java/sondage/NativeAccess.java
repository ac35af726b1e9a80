package sondage;

import java.lang.instrument.Instrumentation;

/** Lets the jar load native code where Java would warn of it: not in the versions that have this class. */
final class NativeAccess {
    private NativeAccess() {}

    static void allow(Instrumentation instrumentation) {}
}
