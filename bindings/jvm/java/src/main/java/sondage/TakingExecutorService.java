package sondage;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** As {@link TakingExecutor}. */
class TakingExecutorService extends TakingExecutor implements ExecutorService {
    private final ExecutorService executor;

    TakingExecutorService(ExecutorService executor) {
        super(executor);
        this.executor = executor;
    }

    private static <T> List<Callable<T>> wrapped(Collection<? extends Callable<T>> works) {
        List<Callable<T>> wrapped = new ArrayList<Callable<T>>(works.size());
        for (Callable<T> work : works) {
            wrapped.add(Labels.wrap(work));
        }
        return wrapped;
    }

    @Override
    public <T> Future<T> submit(Callable<T> work) {
        return executor.submit(Labels.wrap(work));
    }

    @Override
    public <T> Future<T> submit(Runnable work, T result) {
        return executor.submit(Labels.wrap(work), result);
    }

    @Override
    public Future<?> submit(Runnable work) {
        return executor.submit(Labels.wrap(work));
    }

    @Override
    public <T> List<Future<T>> invokeAll(Collection<? extends Callable<T>> works)
            throws InterruptedException {
        return executor.invokeAll(wrapped(works));
    }

    @Override
    public <T> List<Future<T>> invokeAll(Collection<? extends Callable<T>> works, long time,
            TimeUnit unit) throws InterruptedException {
        return executor.invokeAll(wrapped(works), time, unit);
    }

    @Override
    public <T> T invokeAny(Collection<? extends Callable<T>> works)
            throws InterruptedException, ExecutionException {
        return executor.invokeAny(wrapped(works));
    }

    @Override
    public <T> T invokeAny(Collection<? extends Callable<T>> works, long time, TimeUnit unit)
            throws InterruptedException, ExecutionException, TimeoutException {
        return executor.invokeAny(wrapped(works), time, unit);
    }

    @Override
    public void shutdown() {
        executor.shutdown();
    }

    @Override
    public List<Runnable> shutdownNow() {
        return executor.shutdownNow();
    }

    @Override
    public boolean isShutdown() {
        return executor.isShutdown();
    }

    @Override
    public boolean isTerminated() {
        return executor.isTerminated();
    }

    @Override
    public boolean awaitTermination(long time, TimeUnit unit) throws InterruptedException {
        return executor.awaitTermination(time, unit);
    }
}
