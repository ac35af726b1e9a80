package sondage;

import java.util.concurrent.Callable;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;

/** As {@link TakingExecutor}. */
final class TakingScheduledExecutorService extends TakingExecutorService
        implements ScheduledExecutorService {
    private final ScheduledExecutorService executor;

    TakingScheduledExecutorService(ScheduledExecutorService executor) {
        super(executor);
        this.executor = executor;
    }

    @Override
    public ScheduledFuture<?> schedule(Runnable work, long delay, TimeUnit unit) {
        return executor.schedule(Labels.wrap(work), delay, unit);
    }

    @Override
    public <V> ScheduledFuture<V> schedule(Callable<V> work, long delay, TimeUnit unit) {
        return executor.schedule(Labels.wrap(work), delay, unit);
    }

    @Override
    public ScheduledFuture<?> scheduleAtFixedRate(Runnable work, long delay, long period,
            TimeUnit unit) {
        return executor.scheduleAtFixedRate(Labels.wrap(work), delay, period, unit);
    }

    @Override
    public ScheduledFuture<?> scheduleWithFixedDelay(Runnable work, long delay, long pause,
            TimeUnit unit) {
        return executor.scheduleWithFixedDelay(Labels.wrap(work), delay, pause, unit);
    }
}
