// The parts of OpenTelemetry's interfaces that are used, so that none of its packages is needed.
interface Span {
  spanContext(): { spanId: string; traceId: string; traceFlags: number; isRemote?: boolean };
  setAttribute(key: string, value: string): unknown;
}
interface Context {
  getValue(key: symbol): unknown;
}
interface ContextManager {
  active(): any;
  with(context: any, fn: any, thisArg?: any, ...args: any[]): any;
}

/** What Grafana looks for in a span of Tempo, to show the profile of Pyroscope beside it. */
export const PROFILE_ID: 'pyroscope.profile.id';

/**
 * A span processor that marks local root spans with `pyroscope.profile.id`, the `span_id` of the
 * samples that are taken in them and in their children.
 *
 * A local root is a span whose parent is in another process, is not sampled, or does not exist.
 * Exports nothing; put it beside the processor that does. For `@opentelemetry/api` 1, and
 * `@opentelemetry/sdk-trace-base` 1 and 2.
 */
export class ProfileIds {
  onStart(span: Span, parentContext: Context): void;
  onEnd(span: unknown): void;
  forceFlush(): Promise<void>;
  shutdown(): Promise<void>;
}

/**
 * Lets samples carry the ids of the *current* span, as a context manager has it, and of its trace;
 * returns the manager. Without one, it is the manager that is registered.
 *
 *     const sdk = new NodeSDK({
 *       contextManager: instrument(new AsyncLocalStorageContextManager()),
 *       spanProcessors: [new ProfileIds(), new BatchSpanProcessor(exporter)],
 *     });
 *
 * A span that was only started labels nothing, since nobody can say which work belongs to it. Work
 * under a span that is not sampled has no ids: nobody could look it up.
 */
export function instrument<M extends ContextManager>(manager?: M): M;
