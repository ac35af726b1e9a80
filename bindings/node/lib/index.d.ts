/** Sondage: the profiler you embed. */

/**
 * Settings of {@link start}. Each has a default, and a variable of the environment below it:
 * `SONDAGE_HZ`, `SONDAGE_PUSH` and so on. `undefined` and `null` stand for one that is not given.
 */
export interface Options {
  /** The first label of every profile; by default the program's name. */
  serviceName?: string | null;
  /**
   * Where profiles go: one target or several, such as `pyroscope+http://pyroscope:4040`,
   * `otlp+grpc://collector:4317` or `file:./profiles`; by default `./sondage-profiles`. With an
   * empty array they are only to be had by {@link flush}.
   */
  push?: string | URL | readonly (string | URL)[] | null;
  /** Samples a second of CPU time, for each thread; 1 to 5000, by default 100. */
  hz?: number | null;
  /** Whether waiting time is recorded too; by default not. */
  wall?: boolean | null;
  /** Seconds between two profiles, or a text such as `500ms`; 0.1 to 3600, by default 10. */
  interval?: number | string | null;
  /** Whether memory is profiled too, or the bytes between two samples on average: `512KiB`. */
  memory?: boolean | number | string | null;
  /** Labels of the whole process, at most 64. */
  labels?: Readonly<Record<string, LabelValue>> | null;
  /** What takes the samples; by default `auto`. */
  engine?: 'auto' | 'timer' | 'perf' | 'process' | null;
  /** Whether to profile at all; by default `true`. */
  enabled?: boolean | null;
  /** Whether signals may be used: `auto`, as by default, or `off`. */
  signals?: 'auto' | 'off' | null;
  /** Whether native functions that were inlined are shown; by default `true`. */
  inlines?: boolean | null;

  /** The token that servers get, as `Authorization: Bearer`. */
  token?: string | null;
  /** The file that holds it, read again for every upload. */
  tokenFile?: string | URL | null;
  /** `user:password` for servers, in place of a token. */
  basicAuth?: string | null;
  /** The file that holds it. */
  basicAuthFile?: string | URL | null;
  /** The tenant, for servers that have several: `X-Scope-OrgID`. */
  tenant?: string | null;
  /** The file with headers for OTLP servers: `key=value,key=value`. */
  otlpHeadersFile?: string | URL | null;
  /** The file with the API key for Datadog's intake. */
  datadogKeyFile?: string | URL | null;
  /** Whether servers get trace ids beside span ids; by default not. */
  traceIds?: boolean | null;
  /** The client's certificate (PEM), where servers ask for one. */
  clientCertFile?: string | URL | null;
  /** Its private key. */
  clientKeyFile?: string | URL | null;
  /** Authorities (PEM) by which servers are trusted, in place of the usual ones. */
  caFile?: string | URL | null;
  /** Whether `HTTPS_PROXY` and its like count: `environment`, or `off`. */
  proxy?: 'off' | 'environment' | null;

  /** Whether `sondage ctl` may ask and change the profiler; by default `true`. */
  control?: boolean | null;
  /**
   * The share of the program's CPU time that the profiler may use before it samples less often; by
   * default 0.01.
   */
  budget?: number | string | null;
  /** The share of processes that profile, and count for all; by default 1. */
  participation?: number | string | null;
  /** The file with the token that readers of a `pull+http` target must send. */
  pullTokenFile?: string | URL | null;
  /** Seconds, 0 to 30, that the end of the process waits for the last profile; by default 2. */
  exitTimeout?: number | string | null;
  /** Seconds, or a text such as `30d`, that a directory of profiles keeps them; by default 7 days. */
  fileAge?: number | string | null;
  /** The bytes that it keeps of one service: `256MiB`, as by default. The oldest go. */
  fileBytes?: number | string | null;
  /** The files that it keeps of one service; by default 10000. */
  fileCount?: number | null;
  /** The directory where uploads wait, so that they outlive an outage and this process. */
  spool?: string | URL | null;
  /** The bytes that may wait there: `64MiB`. */
  spoolLimit?: number | string | null;
  /** The bytes of memory that the profiler may use. */
  memoryLimit?: number | string | null;
  /** Of these, the bytes for names of functions. */
  symbolMemoryLimit?: number | string | null;
  /** Threads that are sampled at once. */
  maxThreads?: number | null;
  /** Frames of a stack. */
  maxDepth?: number | null;
  /** Different combinations of labels. */
  maxLabelSets?: number | null;

  /**
   * Whether workers of `worker_threads` are profiled with their JavaScript: by default they are,
   * and `Worker` is stood in for while the profiler runs.
   */
  workers?: boolean;
  /**
   * Whether labels follow asynchronous code by `async_hooks` where V8 does not keep them itself:
   * with Node.js 20, and 22 without `--experimental-async-context-frame`. Each callback costs about
   * 0.1 µs more then; without it, labels hold there while synchronous code runs. By default false.
   */
  asyncHooks?: boolean;
}

/**
 * What a label can be. Numbers and booleans become text; `undefined`, `null` and what has no text
 * is left out. Use route templates and names of jobs, not ids: distinct values are bounded.
 */
export type LabelValue = string | number | bigint | boolean | undefined | null;

/** Labels by name. */
export type Labels = Readonly<Record<string, LabelValue>>;

/**
 * Starts profiling this process. Where a profiler runs already, nothing happens; one that was
 * started from outside (by `sondage record` excepted) gives way to the program's own.
 *
 * A wrong variable of the environment is a warning, and nothing is profiled.
 *
 * @throws {TypeError | RangeError} for a wrong option; names it and what is allowed.
 * @throws {Error} where this process, kernel or build does not allow profiling.
 */
export function start(options?: Options): void;

/**
 * Stops profiling: the last profile goes to the targets, and nothing is left behind, neither a
 * thread nor a signal handler. Without a profiler nothing happens.
 */
export function stop(): Promise<void>;

/**
 * Finishes the profile of the time since the last flush: gzipped pprof; `null` where no profiler
 * runs. It goes to the targets too.
 */
export function flush(): Promise<Buffer | null>;

/** Whether this process is profiled. */
export function isRunning(): boolean;

/**
 * Runs `fn(...args)` under the current labels and these, and returns what it returns. What it
 * starts has them too: promises, timers, streams.
 */
export function withLabels<A extends unknown[], R>(
  labels: Labels,
  fn: (...args: A) => R,
  ...args: A
): R;

/** Adds labels for the rest of the current asynchronous context. */
export function setLabels(labels: Labels): void;

/** The current labels. */
export function currentLabels(): Record<string, string>;

/**
 * What the profiler has done, lost and cost so far, as of the last flush. Empty where none runs.
 */
export function stats(): Partial<Stats>;

/** Counters since the start. CPU times are in nanoseconds. */
export interface Stats {
  /** Finished profiles. */
  flushes: number;
  /** Samples taken. */
  samples: number;
  /** CPU time of the program's threads. */
  hostCpu: number;
  /** CPU time that samples stand for. */
  sampledCpu: number;
  /** CPU time of samples that found no room. */
  droppedCpu: number;
  /** CPU time beyond the most that one sample stands for. */
  missedCpu: number;
  /** CPU time that no sample covers. */
  unsampledCpu: number;
  /** CPU time of Sondage's own threads. */
  agentCpu: number;
  /** Time spent in the signal handler, at most. */
  handlerTime: number;
  /** The time that half of the handlers stayed below, to a factor of 1.4. */
  handlerP50: number;
  /** Threads sampled now. */
  threads: number;
  /** Threads that could not be sampled. */
  refusedThreads: number;
  /** The last reason for that. */
  lastRefusal: string | null;
  /** Signals of our number that others sent. */
  foreignSignals: number;
  /** Labels that were left out. */
  skippedLabels: number;
  /** Stacks that JavaScript handed over, where the handler cannot read them. */
  foreignStacks: number;
  /** Of these, those that found no room. */
  droppedForeign: number;
  /** Times that the rate was lowered to keep the cost within `budget`. */
  slowdowns: number;
  /** Bytes of unwind tables. */
  tableBytes: number;
  /** CPU time between two samples of a thread. */
  intervalNanos: number;
  /** What takes the samples: `timer`, `perf`, `process-timer`, or how stacks are taken instead. */
  engine: string;
  /** Why it does. */
  engineReason: string | null;
  /** The last file that could not be read. */
  moduleError: string | null;
  /** Profiles of memory. */
  memory: MemoryStats;
  /** The cache of names. */
  symbols: SymbolStats;
  /** What became of the profiles, for each target. */
  exports: ExportStats[];
  /** The share of processes that profile. */
  participation: number;
  /** What was asked for and could not be had, while profiling goes on. */
  warnings: string[];
  /** Set when the profiler has failed and profiling is off. */
  failure: string | null;
}

/** Sampled allocations. */
export interface MemoryStats {
  /** Whether they are sampled now. */
  sampling: boolean;
  /** Blocks sampled. */
  samples: number;
  /** Of these, those that count as allocated but never as in use: there were too many. */
  untracked: number;
  /** Of these, those whose stack found no room. */
  stackless: number;
  /** Blocks that were to be sampled while another thread took a sample. */
  contended: number;
  /** Time in which threads took samples, in nanoseconds. */
  time: number;
  /** Why nothing is sampled although it should be. */
  error: string | null;
}

/** The cache of names of native functions. */
export interface SymbolStats {
  /** Addresses looked up in files. */
  lookedUp: number;
  /** Addresses answered from the cache. */
  cached: number;
  /** Addresses without a name. */
  unresolved: number;
  /** Addresses whose names were dropped to keep the limit. */
  evicted: number;
  /** Files, or parts of files, that could not be used. */
  errors: number;
  /** The last of those errors. */
  lastError: string | null;
  /** Bytes the cache takes now. */
  cacheBytes: number;
}

/** What became of the profiles for one target. */
export interface ExportStats {
  /** The target, without secrets. */
  sink: string;
  /** Profiles that wait or are being delivered. */
  waiting: number;
  /** Uploads that arrived. */
  pushed: number;
  /** Tries that failed and were to be tried again. */
  retried: number;
  /** Uploads split because the server found them too large. */
  split: number;
  /** Profiles dropped because too many waited. */
  droppedQueue: number;
  /** Uploads that were refused. */
  droppedRejected: number;
  /** Uploads given up. */
  droppedExpired: number;
  /** Uploads sent without an answer; they may have arrived. */
  ambiguous: number;
  /** Uploads dropped because the spool was full. */
  droppedSpool: number;
  /** Records of the spool that could not be read. */
  damaged: number;
  /** Uploads that wait in the spool. */
  spooled: number;
  /** Uploads taken over from processes that have ended. */
  replayed: number;
  /** Times that the spool began to fail. */
  spoolErrors: number;
  /** Defects caught. */
  panicked: number;
  /** The last failure. */
  lastError: string | null;
  /** What the last upload left out. */
  note: string | null;
}
