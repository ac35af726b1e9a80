/**
 * Starts profiling where Next.js serves with Node.js: not at the edge, nor while it builds. In
 * `instrumentation.ts`:
 *
 *     export async function register() {
 *       if (process.env.NEXT_RUNTIME === 'nodejs') {
 *         const sondage = await import('sondage/integrations/next');
 *         sondage.register({ serviceName: 'shop' });
 *       }
 *     }
 *
 * and in `next.config.ts`, since a bundler cannot take in native code:
 *
 *     serverExternalPackages: ['sondage'],
 */
export function register(options?: Parameters<typeof import('../index').start>[0]): void;

/**
 * A function that does what `fn` does, under the label `route`, and `method` where its first
 * argument tells it. Next.js tells nobody the route of a request: each function that is to have the
 * label is wrapped by itself.
 *
 *     // app/orders/[id]/route.ts: handlers
 *     export const GET = labelled('/orders/[id]', async (request, { params }) => ...);
 *     // app/orders/[id]/page.tsx: server components
 *     export default labelled('/orders/[id]', async function Page({ params }) { ... });
 *     // pages/api/orders/[id].ts and getServerSideProps
 *     export default labelled('/api/orders/[id]', (req, res) => ...);
 *
 * What is not wrapped has no label: layouts, middleware, rendering on the server of components that
 * are called by others, and Next.js' own work before and after.
 */
export function labelled<F extends (...args: any[]) => unknown>(route: string, fn: F): F;
