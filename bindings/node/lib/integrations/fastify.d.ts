/**
 * A plugin for Fastify 4.10 and later that labels requests with `route`, the template of the path,
 * and `method`. To be registered before every other, and once:
 *
 *     await app.register(plugin);
 *
 * It is for the whole application, prefixes included: hooks that come after it, handlers,
 * serializers and handlers of errors have the labels.
 */
export function plugin(
  fastify: { addHook(name: 'onRequest', hook: (...args: any[]) => void): unknown },
  options: unknown,
  done: (error?: Error) => void,
): void;
