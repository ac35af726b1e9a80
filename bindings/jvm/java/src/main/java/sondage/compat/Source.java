package sondage.compat;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Properties;

/**
 * Where settings are: system properties, then the environment, then the file {@code
 * pyroscope.properties} of the working directory (or what {@code PYROSCOPE_CONFIGURATION_FILE} says),
 * then that of the class path.
 */
final class Source {
    private static final String FILE = "PYROSCOPE_CONFIGURATION_FILE";

    private final List<Properties> files = new ArrayList<Properties>();

    Source(Logger logger) {
        String named = get(FILE);
        String file = named == null ? "pyroscope.properties" : named;
        read(Paths.get(file), named != null, logger);
        try {
            read(ClassLoader.getSystemResourceAsStream(file));
        } catch (IOException problem) {
            logger.log(Logger.Level.WARN, "%s is not read: %s", file, problem.getMessage());
        }
    }

    private void read(Path file, boolean named, Logger logger) {
        try {
            read(Files.newInputStream(file));
        } catch (IOException problem) {
            if (named || !(problem instanceof NoSuchFileException)) {
                logger.log(Logger.Level.WARN, "%s is not read: %s", file, problem);
            }
        }
    }

    private void read(InputStream from) throws IOException {
        if (from == null) {
            return;
        }
        try {
            Properties properties = new Properties();
            properties.load(from);
            files.add(properties);
        } finally {
            from.close();
        }
    }

    /** The text of a setting; null if it has none. */
    String get(String name) {
        String text = of(System.getProperties(), name);
        if (text == null) {
            text = System.getenv(name);
        }
        for (int i = 0; text == null && i < files.size(); i++) {
            text = of(files.get(i), name);
        }
        return text == null || text.isEmpty() ? null : text;
    }

    /** Properties may be called {@code pyroscope.server.address}, too. */
    private static String of(Properties properties, String name) {
        String text = properties.getProperty(name);
        return text != null ? text
                : properties.getProperty(name.toLowerCase(Locale.ROOT).replace('_', '.'));
    }
}
