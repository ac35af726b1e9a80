package sondage;

import java.util.concurrent.Executor;

/** An executor whose work takes along the labels of who hands it in. */
class TakingExecutor implements Executor {
    private final Executor executor;

    TakingExecutor(Executor executor) {
        if (executor == null) {
            throw new NullPointerException("executor");
        }
        this.executor = executor;
    }

    @Override
    public void execute(Runnable work) {
        executor.execute(Labels.wrap(work));
    }

    @Override
    public String toString() {
        return executor.toString();
    }
}
