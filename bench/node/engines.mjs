// Starts one profiler in this process, by name. Packages lie in BENCH_PLACE, and uploads go to the
// sink whose port is in SINK_PORT.
import { AsyncLocalStorage, createHook } from 'node:async_hooks';
import { once } from 'node:events';
import http from 'node:http';
import inspector from 'node:inspector';
import { createRequire } from 'node:module';
import { isMainThread } from 'node:worker_threads';
import { gzip } from 'node:zlib';
import { promisify } from 'node:util';

export const packages = createRequire(`${process.env.BENCH_PLACE}/`);
const compressed = promisify(gzip);

// Whether V8 keeps AsyncLocalStorage's stores itself, where a signal handler can find them.
const keepsContext = Number(process.versions.node.split('.')[0]) >= 24
  || process.execArgv.includes('--experimental-async-context-frame');

/**
 * No profiler; also the form that the others have. Settings: `hz`; `flushMs`, the time between two
 * uploads; `collect`, to keep profiles in `profiles` and upload nothing; `labels` and `lines`,
 * where a profiler must be told that they are wanted.
 */
class Nothing {
  constructor({ hz = 100, flushMs = 10_000, collect = false, labels = false, lines = false } = {}) {
    Object.assign(this, { hz, flushMs, collect, labels, lines, profiles: [] });
  }

  /** Starts on this thread. */
  start() {}

  /** Ends the profile and begins the next; resolves when it has been handed over. */
  async flush() {}

  /** Ends profiling; what was recorded has been handed over when this resolves. */
  async stop() {}

  /** Runs `work` under labels and returns nothing. */
  run(labels, work) {
    work();
  }

  /** What the profiler says of its own cost. */
  stats() {
    return {};
  }
}

class Sondage extends Nothing {
  constructor(settings, options = {}) {
    super(settings);
    this.options = options;
  }

  start() {
    this.sondage = packages('sondage');
    // Workers are threads of the process, which is profiled already.
    if (!isMainThread) return;
    const { hz, collect, flushMs } = this;
    const push = collect ? 'none' : `pyroscope+http://127.0.0.1:${process.env.SINK_PORT}`;
    const interval = collect ? 3600 : flushMs / 1000;
    // Tables of truth need their rate, whatever it costs; the others run as people would.
    const budget = collect ? { budget: 1 } : {};
    this.sondage.start({ push, hz, interval, serviceName: 'load', ...budget, ...this.options });
  }

  async flush() {
    const profile = await this.sondage.flush();
    if (this.collect && profile) this.profiles.push(profile);
  }

  async stop() {
    if (!isMainThread) return;
    await this.flush();
    this.final = this.sondage.stats();
    await this.sondage.stop();
  }

  run(labels, work) {
    this.sondage.withLabels(labels, work);
  }

  stats() {
    return this.final ?? this.sondage.stats();
  }
}

/** A profiler that hands a profile over whenever it is asked, on the thread that asks. */
class Rotating extends Nothing {
  start() {
    this.begin();
    if (!this.collect) {
      this.timer = setInterval(() => this.flush().catch(fail), this.flushMs).unref();
    }
  }

  async flush() {
    await this.hand(this.end(true));
  }

  async stop() {
    clearInterval(this.timer);
    await this.hand(this.end(false));
  }

  async hand(profile) {
    if (this.collect) this.profiles.push(profile);
    else await upload(await this.encode(profile));
  }
}

/** @datadog/pprof, called as dd-trace does. */
class Datadog extends Rotating {
  constructor(settings, options = {}) {
    super(settings);
    this.options = options;
  }

  begin() {
    this.pprof = packages('@datadog/pprof');
    const contexts = this.labels || this.options.collectCpuTime;
    this.hooked = contexts && !keepsContext;
    if (this.hooked) this.followContext();
    this.pprof.time.start({
      intervalMicros: 1e6 / this.hz,
      durationMillis: this.flushMs,
      lineNumbers: this.lines,
      withContexts: Boolean(contexts),
      useCPED: Boolean(contexts && keepsContext),
      ...this.options,
    });
  }

  /** Where V8 does not keep the context, each callback sets it before it begins. */
  followContext() {
    this.storage = new AsyncLocalStorage();
    const { time } = this.pprof;
    const before = () => {
      if (time.isStarted()) time.setContext(this.storage.getStore() ?? {});
    };
    this.hook = createHook({ before }).enable();
  }

  end(restart) {
    if (!restart) this.hook?.disable();
    return this.pprof.time.stop(restart, ({ context }) => ({ ...context?.context }));
  }

  encode(profile) {
    return this.pprof.encode(profile);
  }

  run(labels, work) {
    if (!this.hooked) return this.pprof.time.runWithContext(labels, work);
    const { time } = this.pprof;
    const outer = this.storage.getStore() ?? {};
    return this.storage.run(labels, () => {
      time.setContext(labels);
      try {
        work();
      } finally {
        time.setContext(outer);
      }
    });
  }
}

class Inspector extends Rotating {
  begin() {
    this.session = new inspector.Session();
    this.session.connect();
    this.session.post('Profiler.enable');
    this.session.post('Profiler.setSamplingInterval', { interval: Math.round(1e6 / this.hz) });
    this.session.post('Profiler.start');
  }

  end(restart) {
    let found;
    this.session.post('Profiler.stop', (error, answer) => {
      if (error) throw new Error(error.message);
      found = answer.profile;
    });
    if (restart) this.session.post('Profiler.start');
    else this.session.disconnect();
    return found;
  }

  encode(profile) {
    return compressed(JSON.stringify(profile));
  }
}

/** @pyroscope/nodejs with what `start` starts: wall time and heap. */
class Pyroscope extends Nothing {
  constructor(settings, options = {}) {
    super(settings);
    this.options = options;
  }

  start() {
    this.pyroscope = packages('@pyroscope/nodejs');
    // It has no way to hand a profile over but to upload it.
    if (this.collect) globalThis.fetch = (url, { body }) => this.keep(body);
    this.pyroscope.init({
      appName: 'load',
      serverAddress: `http://127.0.0.1:${process.env.SINK_PORT}`,
      flushIntervalMs: this.collect ? 3_600_000 : this.flushMs,
      wall: {
        samplingIntervalMicros: 1e6 / this.hz,
        samplingDurationMs: this.flushMs,
        ...this.options,
      },
    });
    this.pyroscope.start();
  }

  keep(body) {
    this.profiles.push(Buffer.from(body));
    return Promise.resolve(new Response('{}'));
  }

  async stop() {
    await this.pyroscope.stop();
  }

  run(labels, work) {
    this.pyroscope.wrapWithLabels(labels, work);
  }
}

const connections = new http.Agent({ keepAlive: true });

async function upload(body) {
  const request = http.request({
    host: '127.0.0.1', port: process.env.SINK_PORT, path: '/upload', method: 'POST',
    agent: connections, headers: { 'content-length': body.length },
  });
  request.end(body);
  const [response] = await once(request, 'response');
  response.resume();
  await once(response, 'end');
}

function fail(error) {
  setImmediate(() => { throw error; });
}

/**
 * Engines by name: their title in tables, the clock of their values, whether labels are theirs, and
 * whether they tell lines. A `variant` is compared in tables of labels only, where it is true.
 */
export const ENGINES = {
  none: { title: 'none', make: (settings) => new Nothing(settings) },
  sondage: {
    title: 'Sondage', clock: 'cpu', labels: true, lines: true,
    make: (settings) => new Sondage(settings),
  },
  'sondage-wall': {
    title: 'Sondage, wall', clock: 'wall', labels: true, lines: true,
    make: (settings) => new Sondage(settings, { wall: true }),
  },
  // Where V8 does not keep the context, labels follow it by hooks only where that is asked for.
  'sondage-hooks': {
    title: 'Sondage, asyncHooks', clock: 'cpu', labels: true, lines: true, variant: !keepsContext,
    make: (settings) => new Sondage(settings, { asyncHooks: true }),
  },
  datadog: {
    title: '@datadog/pprof', clock: 'wall', labels: true, lines: true,
    make: (settings) => new Datadog(settings),
  },
  'datadog-cpu': {
    title: '@datadog/pprof, contexts and CPU', clock: 'cpu', labels: true, lines: true,
    make: (settings) => new Datadog(settings, { collectCpuTime: true }),
  },
  pyroscope: {
    title: '@pyroscope/nodejs', clock: 'wall', labels: true,
    make: (settings) => new Pyroscope(settings),
  },
  'pyroscope-cpu': {
    title: '@pyroscope/nodejs, CPU', clock: 'cpu', labels: true,
    make: (settings) => new Pyroscope(settings, { collectCpuTime: true }),
  },
  inspector: {
    title: 'node:inspector', clock: 'wall', lines: true,
    make: (settings) => new Inspector(settings),
  },
};
