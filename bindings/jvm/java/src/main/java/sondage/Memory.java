package sondage;

import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.invoke.MethodHandle;
import java.lang.reflect.Array;
import java.lang.reflect.Method;
import java.util.Optional;

/**
 * A file that is in memory only, which Java can ask the kernel for from 22 on. By reflection, since
 * the jar is compiled for Java 8.
 */
final class Memory {
    /** The first version whose interface to native code is not a preview. */
    private static final double SINCE = 22;

    /** {@code MFD_CLOEXEC}: programs that this one starts do not get the file. */
    private static final int CLOSED_FOR_OTHERS = 1;

    private Memory() {}

    /** Loads a library by such a file. */
    static void load(InputStream library) throws IOException {
        if (Double.parseDouble(System.getProperty("java.specification.version")) < SINCE) {
            throw new IOException("files in memory need Java 22");
        }
        try {
            int descriptor = call("memfd_create", name(), CLOSED_FOR_OTHERS);
            if (descriptor < 0) {
                throw new IOException("the kernel gives no file in memory");
            }
            String path = "/proc/self/fd/" + descriptor;
            OutputStream file = new FileOutputStream(path);
            try {
                Library.copy(library, file);
                System.load(path);
            } finally {
                file.close();
                call("close", descriptor);
            }
        } catch (ReflectiveOperationException | RuntimeException problem) {
            throw new IOException(problem);
        }
    }

    /** Text that is never freed, for a function of C. */
    private static Object name() throws ReflectiveOperationException {
        Class<?> arena = foreign("Arena");
        Object forever = arena.getMethod("global").invoke(null);
        return foreign("SegmentAllocator").getMethod("allocateFrom", String.class)
                .invoke(forever, "sondage");
    }

    /** Calls a function of the C library that returns an {@code int}. */
    private static int call(String function, Object... arguments)
            throws ReflectiveOperationException, IOException {
        Class<?> layout = foreign("MemoryLayout");
        Class<?> values = foreign("ValueLayout");
        Object layouts = Array.newInstance(layout, arguments.length);
        for (int i = 0; i < arguments.length; i++) {
            String kind = arguments[i] instanceof Integer ? "JAVA_INT" : "ADDRESS";
            Array.set(layouts, i, values.getField(kind).get(null));
        }
        Class<?> descriptor = foreign("FunctionDescriptor");
        Object signature = descriptor.getMethod("of", layout, layouts.getClass())
                .invoke(null, values.getField("JAVA_INT").get(null), layouts);
        Class<?> linker = foreign("Linker");
        Object here = linker.getMethod("nativeLinker").invoke(null);
        Object symbols = linker.getMethod("defaultLookup").invoke(here);
        Object address = ((Optional<?>) foreign("SymbolLookup").getMethod("find", String.class)
                .invoke(symbols, function)).orElse(null);
        Class<?> options = foreign("Linker$Option");
        Method handle = linker.getMethod("downcallHandle", foreign("MemorySegment"), descriptor,
                Array.newInstance(options, 0).getClass());
        MethodHandle call = (MethodHandle) handle.invoke(here, address, signature,
                Array.newInstance(options, 0));
        try {
            return (Integer) call.invokeWithArguments(arguments);
        } catch (Throwable problem) {
            throw new IOException(problem);
        }
    }

    private static Class<?> foreign(String name) throws ClassNotFoundException {
        return Class.forName("java.lang.foreign." + name);
    }
}
