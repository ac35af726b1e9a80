import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.net.URI;
import java.util.Arrays;
import java.util.Collections;
import javax.tools.FileObject;
import javax.tools.ForwardingJavaFileManager;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileManager;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;

/** Java's own compiler, in this process: large methods, deep recursion, many classes. */
class Compiling implements Storm.Part {
    private static final String SOURCE = "import java.util.*; import java.util.function.*;\n"
            + "class Sample<T extends Comparable<T>> {\n"
            + "  enum Kind { ONE, TWO; Kind other() { return this == ONE ? TWO : ONE; } }\n"
            + "  Map<String, List<T>> all = new TreeMap<>();\n"
            + "  T most(List<? extends T> of) { return of.stream().max(Comparator.naturalOrder()).get(); }\n"
            + "  String text(int n) { return n + \"a\" + (n > 3 ? \"a\" : 'b') + (" + sum(40) + "); }\n"
            + "  Function<Integer, Supplier<String>> made = n -> () -> text(n) + Kind.ONE.other();\n"
            + "  int each() { int s = 0; for (var e : all.entrySet()) { switch (e.getKey()) {\n"
            + "    case \"a\": s++; break; case \"b\": s--; default: s += e.getValue().size(); } }\n"
            + "    try { s /= s; } catch (ArithmeticException | NullPointerException x) { s = 1; }\n"
            + "    finally { s++; } return s; }\n"
            + "}\n";

    private final JavaCompiler compiler = compiler();
    private final JavaFileManager files = new Memory(compiler.getStandardFileManager(null, null, null));
    private int expected;

    static JavaCompiler compiler() {
        return ToolProvider.getSystemJavaCompiler();
    }

    private static String sum(int terms) {
        return String.join(" + ", Collections.nCopies(terms, "n"));
    }

    @Override
    public void round() {
        Memory.bytes = 0;
        boolean compiled = compiler.getTask(null, files, null, Arrays.asList("-proc:none"), null,
                Collections.singletonList(new Text())).call();
        Storm.check(compiled, "not compiled");
        expected = expected == 0 ? Memory.bytes : expected;
        Storm.check(Memory.bytes == expected, "compiled to something else");
    }

    private static class Text extends SimpleJavaFileObject {
        Text() {
            super(URI.create("string:///Sample.java"), Kind.SOURCE);
        }

        @Override
        public CharSequence getCharContent(boolean ignored) {
            return SOURCE;
        }
    }

    /** Takes what is compiled, and counts it. */
    private static class Memory extends ForwardingJavaFileManager<JavaFileManager> {
        static int bytes;

        Memory(JavaFileManager under) {
            super(under);
        }

        @Override
        public JavaFileObject getJavaFileForOutput(
                Location in, String name, JavaFileObject.Kind kind, FileObject from) {
            return new SimpleJavaFileObject(URI.create("memory:///" + name), kind) {
                @Override
                public OutputStream openOutputStream() {
                    return new ByteArrayOutputStream() {
                        @Override
                        public void close() {
                            bytes += size();
                        }
                    };
                }
            };
        }
    }
}
