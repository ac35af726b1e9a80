import java.io.File;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;

/** Starts the profiler by a class loader of its own, as a web application with its own jar would. */
public class SecondLoader {
    public static void main(String[] arguments) throws Exception {
        URL[] jar = {new File(arguments[0]).toURI().toURL()};
        try (URLClassLoader own = new URLClassLoader(jar, null)) {
            own.loadClass("sondage.Sondage").getMethod("start").invoke(null);
            System.out.println("started");
        } catch (InvocationTargetException problem) {
            System.out.println(problem.getCause().getMessage());
        }
    }
}
