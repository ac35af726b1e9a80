package sondage;

import java.util.concurrent.Callable;
import java.util.function.Function;
import java.util.function.Supplier;

/** The labels of a thread, taken along by work that may run on another one. */
class Taken {
    private final int set;
    private final Labels.Ids ids;

    Taken() {
        Labels.Current current = Labels.current();
        set = current == null ? 0 : current.set;
        ids = current == null ? null : current.ids;
    }

    /** Makes them current; what was before, for {@link #leave}. */
    final Labels.Current enter() {
        Labels.Current here = Labels.current();
        if (here == null) {
            return null;
        }
        Labels.Current before = new Labels.Current();
        before.set = here.set;
        before.ids = here.ids;
        here.set(set);
        if (ids != here.ids) {
            here.ids(ids);
        }
        return before;
    }

    static void leave(Labels.Current before) {
        Labels.Current here = before == null ? null : Labels.current();
        if (here == null) {
            return;
        }
        here.set(before.set);
        if (before.ids != here.ids) {
            here.ids(before.ids);
        }
    }

    static final class Run extends Taken implements Runnable {
        private final Runnable work;

        Run(Runnable work) {
            this.work = work;
        }

        @Override
        public void run() {
            Labels.Current before = enter();
            try {
                work.run();
            } finally {
                leave(before);
            }
        }
    }

    static final class Call<T> extends Taken implements Callable<T> {
        private final Callable<T> work;

        Call(Callable<T> work) {
            this.work = work;
        }

        @Override
        public T call() throws Exception {
            Labels.Current before = enter();
            try {
                return work.call();
            } finally {
                leave(before);
            }
        }
    }

    static final class Supply<T> extends Taken implements Supplier<T> {
        private final Supplier<T> work;

        Supply(Supplier<T> work) {
            this.work = work;
        }

        @Override
        public T get() {
            Labels.Current before = enter();
            try {
                return work.get();
            } finally {
                leave(before);
            }
        }
    }

    static final class Apply<T, R> extends Taken implements Function<T, R> {
        private final Function<T, R> work;

        Apply(Function<T, R> work) {
            this.work = work;
        }

        @Override
        public R apply(T value) {
            Labels.Current before = enter();
            try {
                return work.apply(value);
            } finally {
                leave(before);
            }
        }
    }
}
