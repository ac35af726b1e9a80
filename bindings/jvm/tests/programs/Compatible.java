import java.util.Collections;
import java.util.HashMap;
import java.util.Map;

import sondage.compat.Config;
import sondage.compat.ConstantContext;
import sondage.compat.EventType;
import sondage.compat.Format;
import sondage.compat.LabelsSet;
import sondage.compat.Logger;
import sondage.compat.Pyroscope;
import sondage.compat.PyroscopeAgent;
import sondage.compat.ScopedContext;

/** What a program of pyroscope-java does, with other imports. */
public class Compatible {
    private static final int WORK = 250;

    private static final ConstantContext CONSTANT = ConstantContext.of(new LabelsSet("path", "/foo"));

    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("agent")) {
            byAgent();
            return;
        }
        Pyroscope.setStaticLabels(Collections.singletonMap("zone", "a,b=c d%"));
        PyroscopeAgent.start(new Config.Builder()
                .setApplicationName("shop{stage=test}")
                .setProfilingEvent(EventType.ITIMER)
                .setFormat(Format.JFR)
                .setLogLevel(Logger.Level.WARN)
                .setServerAddress(arguments[1])
                .setUploadInterval(java.time.Duration.ofMinutes(10))
                .setBasicAuthUser("me")
                .setBasicAuthPassword("secret")
                .setTenantID("acme")
                .setGcBeforeDump(true)
                .build());
        System.out.println(PyroscopeAgent.isStarted());
        labels();
        PyroscopeAgent.stop();
        System.out.println(PyroscopeAgent.isStarted());
    }

    private static void byAgent() {
        System.out.println(PyroscopeAgent.isStarted());
        scoped();
    }

    private static void labels() throws Exception {
        Pyroscope.LabelsWrapper.run(new LabelsSet("step", "run"), Compatible::runs);
        int result = Pyroscope.LabelsWrapper.run(new LabelsSet("step", "call"), Compatible::calls);
        System.out.println(result);
        Map<String, String> labels = new HashMap<>();
        labels.put("step", "scoped");
        try (ScopedContext context = new ScopedContext(new LabelsSet(labels))) {
            scoped();
            try (ScopedContext inner = new ScopedContext(new LabelsSet("more", "yes"), context)) {
                inner();
            }
            context.close();
        }
        CONSTANT.activate();
        constant();
        CONSTANT.deactivate();
        none();
    }

    static void runs() {
        Work.burn(WORK);
    }

    static int calls() {
        Work.burn(WORK);
        return 7;
    }

    static void scoped() {
        Work.burn(WORK);
    }

    static void inner() {
        Work.burn(WORK);
    }

    static void constant() {
        Work.burn(WORK);
    }

    static void none() {
        Work.burn(WORK);
    }
}
