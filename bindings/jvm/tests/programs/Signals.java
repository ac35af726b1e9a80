import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/** Handles signals by itself: {@code Signals COUNT NAME…}, while it works. */
public class Signals {
    public static void main(String[] arguments) throws Exception {
        int count = Integer.parseInt(arguments[0]);
        // By name, since the compiler warns of these.
        Class<?> type = Class.forName("sun.misc.Signal");
        Class<?> handler = Class.forName("sun.misc.SignalHandler");
        Method handle = type.getMethod("handle", type, handler);
        Method raise = type.getMethod("raise", type);
        for (int i = 1; i < arguments.length; i++) {
            Semaphore handled = new Semaphore(0);
            Object signal = type.getConstructor(String.class).newInstance(arguments[i]);
            handle.invoke(null, signal, Proxy.newProxyInstance(Signals.class.getClassLoader(),
                    new Class<?>[] {handler}, (proxy, method, values) -> {
                        handled.release();
                        return null;
                    }));
            for (int raised = 0; raised < count; raised++) {
                raise.invoke(null, signal);
                Work.outer(2);
                if (!handled.tryAcquire(10, TimeUnit.SECONDS)) {
                    throw new IllegalStateException(signal + " was not handled");
                }
            }
            System.out.println(signal + " was handled");
        }
    }
}
