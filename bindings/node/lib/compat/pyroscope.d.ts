// As @pyroscope/nodejs 0.6 declares it, but `wrapWithLabels` returns what its function does.

export type LabelSet = Record<string, string | number>;
export type TagList = LabelSet;
export type StripFilenamesMode = 'all' | 'dependencies';

export interface PyroscopeWallConfig {
  samplingDurationMs?: number | undefined;
  samplingIntervalMicros?: number | undefined;
  collectCpuTime?: boolean | undefined;
}

export interface PyroscopeHeapConfig {
  samplingIntervalBytes?: number | undefined;
  stackDepth?: number | undefined;
}

/** Below it are the variables PYROSCOPE_*; PYROSCOPE_ADHOC_SERVER_ADDRESS is above it. */
export interface PyroscopeConfig {
  appName?: string | undefined;
  authToken?: string | undefined;
  flushIntervalMs?: number | undefined;
  heap?: PyroscopeHeapConfig | undefined;
  serverAddress?: string | undefined;
  tags?: LabelSet | undefined;
  wall?: PyroscopeWallConfig | undefined;
  sourceMapper?: SourceMapper | undefined;
  basicAuthUser?: string | undefined;
  basicAuthPassword?: string | undefined;
  tenantID?: string | undefined;
  stripFilenames?: StripFilenamesMode | undefined;
  shortenPaths?: boolean | undefined;
}

export interface GeneratedLocation {
  file: string;
  name?: string;
  line: number;
  column: number;
}

export interface SourceLocation {
  file?: string;
  name?: string;
  line?: number;
  column?: number;
}

/** Has no effect: source maps are found without it. */
export class SourceMapper {
  infoMap: Map<string, unknown>;
  debug: boolean;
  static create(searchDirs: string[], debug?: boolean): Promise<SourceMapper>;
  constructor(debug?: boolean);
  hasMappingInfo(inputPath: string): boolean;
  mappingInfo(location: GeneratedLocation): SourceLocation;
}

interface Logger {
  error(...args: Array<{}>): void;
  trace(...args: Array<{}>): void;
  debug(...args: Array<{}>): void;
  info(...args: Array<{}>): void;
  warn(...args: Array<{}>): void;
  fatal(...args: Array<{}>): void;
}

/** Takes the configuration, for the starts to come. Throws where it has not the declared types. */
export function init(config?: PyroscopeConfig): void;
/** Profiles CPU and wall-clock time, and the heap. */
export function start(): void;
/** Resolves when the last profile is delivered. */
export function stop(): Promise<void>;
export function startWallProfiling(): void;
export function stopWallProfiling(): Promise<void>;
export function startCpuProfiling(): void;
export function stopCpuProfiling(): Promise<void>;
export function startHeapProfiling(): void;
export function stopHeapProfiling(): Promise<void>;

/**
 * Runs `fn(...args)` under the current labels and these, and returns what it returns. They follow
 * what it starts over `await`, and end when it throws, too.
 */
export function wrapWithLabels<A extends unknown[], R>(
  labels: LabelSet,
  fn: (...args: A) => R,
  ...args: A
): R;
/** Labels the rest of the current asynchronous context, in place of the labels that it has. */
export function setLabels(labels: LabelSet): void;
export function getLabels(): Record<string, string>;
export function setWallLabels(labels: LabelSet): void;
export function getWallLabels(): Record<string, string>;
/** Has no effect. */
export function setLogger(logger: Logger): void;

interface ExpressResponse {
  status(code: number): this;
  send(body: unknown): this;
}

/** Answers `GET /debug/pprof/profile?seconds=10` and `GET /debug/pprof/heap`. */
export function expressMiddleware(): (
  req: { method: string; path: string; query: Record<string, unknown> },
  res: ExpressResponse,
  next: (error?: unknown) => void,
) => void;
/** A plugin for Fastify with the same two routes. */
export function fastifyMiddleware(): (
  instance: { get(path: string, handler: (...args: any[]) => any): unknown },
  options: unknown,
  done: (error?: Error) => void,
) => void;

declare const Pyroscope: typeof import('./pyroscope');
export default Pyroscope;
