import java.io.File;
import java.nio.file.Files;
import java.nio.file.Paths;

/** Works, and says what of the profiler is mapped, and what lies in the folder for such files. */
public class Maps {
    public static void main(String[] arguments) throws Exception {
        Work.outer(300);
        for (String line : Files.readAllLines(Paths.get("/proc/self/maps"))) {
            if (line.contains("sondage") && line.contains("r-xp")) {
                System.out.println("mapped " + line);
            }
        }
        String[] files = new File(System.getProperty("java.io.tmpdir")).list();
        for (String file : files == null ? new String[0] : files) {
            System.out.println("file " + file);
        }
    }
}
