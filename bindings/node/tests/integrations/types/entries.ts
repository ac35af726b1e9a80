// The entry points as a program in TypeScript uses them; compiled only.
import http from 'node:http';

import Router from '@koa/router';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import RealPyroscope from '@pyroscope/nodejs';
import express from 'express';
import Fastify from 'fastify';
import Koa from 'koa';
import Pyroscope, { init, start, stop, wrapWithLabels } from 'sondage/compat/pyroscope';
import { middleware as forExpress } from 'sondage/integrations/express';
import { plugin } from 'sondage/integrations/fastify';
import { labelled, setRoute } from 'sondage/integrations/http';
import { middleware as forKoa } from 'sondage/integrations/koa';
import { labelled as next } from 'sondage/integrations/next';
import { instrument, ProfileIds } from 'sondage/integrations/opentelemetry';

express().use(forExpress()).use(Pyroscope.expressMiddleware());

const fastify = Fastify();
fastify.register(plugin);
fastify.register(Pyroscope.fastifyMiddleware());

new Koa().use(forKoa()).use(new Router().routes());

http.createServer(labelled((request, response) => {
  setRoute(request, '/orders/:id');
  response.end(request.url);
}, (request) => request.method));

export const GET = next('/orders/[id]', async (request: Request) => new Response(request.url));
const answered: Promise<Response> = GET(new Request('http://localhost'));

new NodeTracerProvider({ spanProcessors: [new ProfileIds()] })
  .register({ contextManager: instrument(new AsyncLocalStorageContextManager()) });
instrument();

init({ appName: 'shop', wall: { collectCpuTime: true } });
start();
const measure = (text: string) => text.length;
const length: number = wrapWithLabels({ vehicle: 'bike', wheels: 2 }, measure, 'a');
void stop();

// Whatever a program does with the real package, it can do with this one.
type Names = keyof typeof RealPyroscope;
const everything: Record<Names, unknown> = Pyroscope;
const same: { [K in Exclude<Names, 'SourceMapper'>]: (typeof RealPyroscope)[K] } = Pyroscope;
void [answered, length, everything, same];
