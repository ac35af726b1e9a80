package sondage;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;

/**
 * Loads the native library out of the jar. It is written into a new file, which is deleted before
 * it is loaded, by its descriptor: nothing is left on the disk, and nobody can put another file in
 * its place.
 */
final class Library {
    /**
     * The length of the file's name: with what Linux appends to the name of a deleted file, longer
     * than a name can be (255). Java first looks whether there is a file of that name, and would load
     * that one; so there can be none.
     */
    private static final int NAME = 250;

    private Library() {}

    /** Loads the library. */
    static void load() throws IOException {
        String resource = "/natives/linux-" + machine() + "/libsondage_jvm.so";
        List<String> refusals = new ArrayList<String>();
        for (String folder : folders()) {
            try {
                loadFrom(Paths.get(folder), resource);
                return;
            } catch (IOException | UnsatisfiedLinkError problem) {
                refusals.add(folder + ": " + reason(problem));
            }
        }
        try {
            // Where every file system is read-only or lets no code run.
            Memory.load(open(resource));
        } catch (IOException | UnsatisfiedLinkError problem) {
            refusals.add("memory: " + reason(problem));
            throw new IOException("the native library could not be loaded from any of " + refusals);
        }
    }

    /** Without the file's name, which says nothing. */
    private static String reason(Throwable problem) {
        if (!(problem instanceof FileSystemException)) {
            return problem.getMessage();
        }
        String reason = ((FileSystemException) problem).getReason();
        return reason == null ? problem.getClass().getSimpleName() : reason;
    }

    private static String machine() {
        String machine = System.getProperty("os.arch");
        return machine.equals("amd64") ? "x86_64" : machine;
    }

    private static InputStream open(String resource) throws IOException {
        InputStream library = Library.class.getResourceAsStream(resource);
        if (library == null) {
            throw new IOException("the jar has no native library for "
                    + System.getProperty("os.name") + " on " + System.getProperty("os.arch"));
        }
        return library;
    }

    /** Where to write it, in this order: some do not let code run from there. */
    private static List<String> folders() {
        List<String> folders = new ArrayList<String>();
        String wanted = System.getProperty("sondage.tmp.dir");
        if (wanted != null && !wanted.isEmpty()) {
            folders.add(wanted);
        }
        folders.add(new File(System.getProperty("java.io.tmpdir")).getAbsolutePath());
        folders.add("/dev/shm");
        folders.add("/var/tmp");
        folders.add(System.getProperty("user.home"));
        return folders;
    }

    private static void loadFrom(Path folder, String resource) throws IOException {
        Path file = folder.resolve(newName());
        // Fails where there is something of that name, also a link. Java deletes the file as soon as it
        // is open: a process that ends in between leaves it, empty, and it is the shortest way.
        FileChannel channel = FileChannel.open(file,
                EnumSet.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE,
                        StandardOpenOption.DELETE_ON_CLOSE),
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
        try {
            copy(open(resource), Channels.newOutputStream(channel));
            System.load(descriptorOf(file.getFileName() + " (deleted)"));
        } finally {
            channel.close();
        }
    }

    private static String newName() {
        StringBuilder name = new StringBuilder("sondage-" + Long.toHexString(System.nanoTime()));
        while (name.length() < NAME) {
            name.append('-');
        }
        return name.toString();
    }

    /** Copies what there is and closes where it comes from. */
    static void copy(InputStream from, OutputStream to) throws IOException {
        try {
            byte[] part = new byte[1 << 16];
            for (int read = from.read(part); read >= 0; read = from.read(part)) {
                to.write(part, 0, read);
            }
        } finally {
            from.close();
        }
    }

    /** The path of the open file that has a name. */
    private static String descriptorOf(String name) throws IOException {
        File[] descriptors = new File("/proc/self/fd").listFiles();
        for (File descriptor : descriptors == null ? new File[0] : descriptors) {
            try {
                if (Files.readSymbolicLink(descriptor.toPath()).toString().endsWith("/" + name)) {
                    return descriptor.getPath();
                }
            } catch (IOException closed) {
                // It was closed meanwhile.
                continue;
            }
        }
        throw new IOException("/proc/self/fd does not have it");
    }
}
