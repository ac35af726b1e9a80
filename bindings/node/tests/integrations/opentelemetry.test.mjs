import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import test from 'node:test';

import { context, ROOT_CONTEXT, trace, TraceFlags } from '@opentelemetry/api';
import * as managers2 from '@opentelemetry/context-async-hooks';
import * as sdk2 from '@opentelemetry/sdk-trace-base';
import * as managers1 from 'context-async-hooks-1';
import * as sdk1 from 'sdk-trace-base-1';
import { currentLabels, setLabels, withLabels } from 'sondage';
import { instrument, PROFILE_ID, ProfileIds } from 'sondage/integrations/opentelemetry';

import { burn, cpu, profile, wander } from './serving.mjs';

const KINDS = [['1', managers1, sdk1], ['2', managers2, sdk2]];

/** The ids of the current labels. */
function ids() {
  const { span_id: span, trace_id: of } = currentLabels();
  return [span, of];
}

function idsOf(span) {
  const { spanId, traceId } = span.spanContext();
  return [spanId, traceId];
}

const NONE = [undefined, undefined];

/** A tracer of an SDK whose context manager is the registered one. */
function tracing(t, managers, sdk, options) {
  const manager = new managers.AsyncLocalStorageContextManager().enable();
  context.setGlobalContextManager(manager);
  assert.equal(instrument(), manager);
  assert.equal(instrument(manager), manager);
  t.after(() => context.disable());
  return tracerOf(sdk, options);
}

function tracerOf(sdk, options = {}) {
  const processor = new ProfileIds();
  // 1.x has a method for it up to its last versions, 2.x only the option.
  const provider = new sdk.BasicTracerProvider({ ...options, spanProcessors: [processor] });
  if (!provider._config?.spanProcessors) provider.addSpanProcessor?.(processor);
  return provider.getTracer('shop');
}

test('without a context manager it says what to do', () => {
  assert.throws(() => instrument(), /start its SDK/);
});

for (const [name, managers, sdk] of KINDS) {
  test(`SDK ${name}: samples have the id of the local root, which is marked`, async (t) => {
    const tracer = tracing(t, managers, sdk);
    await tracer.startActiveSpan('root', async (root) => {
      assert.equal(root.attributes[PROFILE_ID], idsOf(root)[0]);
      assert.deepEqual(ids(), idsOf(root));
      await wander();
      await tracer.startActiveSpan('child', async (child) => {
        assert.equal(PROFILE_ID in child.attributes, false);
        await wander();
        assert.deepEqual(ids(), idsOf(root));
        tracer.startActiveSpan('grandchild', () => assert.deepEqual(ids(), idsOf(root)));
        child.end();
      });
      assert.deepEqual(ids(), idsOf(root));
      root.end();
    });
    assert.deepEqual(ids(), NONE);
  });

  test(`SDK ${name}: a span that is not current labels nothing until it is`, (t) => {
    const tracer = tracing(t, managers, sdk);
    const span = tracer.startSpan('later');
    assert.deepEqual(ids(), NONE);
    context.with(trace.setSpan(context.active(), span), () => {
      assert.deepEqual(ids(), idsOf(span));
      context.with(ROOT_CONTEXT, () => assert.deepEqual(ids(), NONE));
      assert.deepEqual(ids(), idsOf(span));
    });
    assert.throws(() => context.with(trace.setSpan(context.active(), span), () => {
      throw new Error('at once');
    }));
    assert.deepEqual(ids(), NONE);
  });

  test(`SDK ${name}: what is bound has the ids of its context`, async (t) => {
    const tracer = tracing(t, managers, sdk);
    const span = tracer.startSpan('bound');
    const inSpan = trace.setSpan(context.active(), span);
    assert.deepEqual(context.bind(inSpan, ids)(), idsOf(span));
    const emitter = context.bind(inSpan, new EventEmitter());
    const heard = new Promise((resolve) => emitter.on('event', () => resolve(ids())));
    emitter.emit('event');
    assert.deepEqual(await heard, idsOf(span));
    const receiver = { name: 'receiver' };
    const called = context.with(inSpan, function (...args) {
      return [this.name, ...args, ...ids()];
    }, receiver, 1, 2);
    assert.deepEqual(called, ['receiver', 1, 2, ...idsOf(span)]);
  });

  test(`SDK ${name}: labels and spans leave each other alone`, async (t) => {
    const tracer = tracing(t, managers, sdk);
    await withLabels({ route: '/pay' }, () => tracer.startActiveSpan('root', async (root) => {
      const [span_id, trace_id] = idsOf(root);
      assert.deepEqual(currentLabels(), { route: '/pay', span_id, trace_id });
      await withLabels({ step: 'one' }, async () => {
        await wander();
        assert.deepEqual(currentLabels(), { route: '/pay', step: 'one', span_id, trace_id });
      });
      setLabels({ user: 'seven' });
      await wander();
      tracer.startActiveSpan('child', () => {
        assert.deepEqual(currentLabels(), { route: '/pay', user: 'seven', span_id, trace_id });
      });
    }));
    assert.deepEqual(currentLabels(), {});
  });

  test(`SDK ${name}: a span with a parent in another process is a local root`, (t) => {
    const tracer = tracing(t, managers, sdk);
    const remote = trace.setSpanContext(ROOT_CONTEXT, {
      spanId: '00f067aa0ba902b7',
      traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
      traceFlags: TraceFlags.SAMPLED,
      isRemote: true,
    });
    context.with(remote, () => {
      assert.deepEqual(ids(), NONE);
      tracer.startActiveSpan('server', (span) => {
        assert.equal(span.attributes[PROFILE_ID], idsOf(span)[0]);
        assert.deepEqual(ids(), [idsOf(span)[0], '4bf92f3577b34da6a3ce929d0e0e4736']);
      });
    });
  });

  test(`SDK ${name}: what is not sampled has no ids`, (t) => {
    const tracer = tracing(t, managers, sdk);
    const dropping = tracerOf(sdk, { sampler: new sdk.AlwaysOffSampler() });
    dropping.startActiveSpan('dropped', () => {
      assert.deepEqual(ids(), NONE);
      tracer.startActiveSpan('kept', { root: true }, (kept) => {
        assert.equal(kept.attributes[PROFILE_ID], idsOf(kept)[0]);
        assert.deepEqual(ids(), idsOf(kept));
      });
      assert.deepEqual(ids(), NONE);
    });
  });

  test(`SDK ${name}: interleaved requests have each their own span`, async (t) => {
    const tracer = tracing(t, managers, sdk);
    const request = () => tracer.startActiveSpan('request', async (root) => {
      for (let round = 0; round < 5; round++) {
        await wander();
        assert.deepEqual(ids(), idsOf(root));
        await Promise.all([1, 2].map(() => tracer.startActiveSpan('child', async () => {
          await wander();
          assert.deepEqual(ids(), idsOf(root));
        })));
      }
      root.end();
    });
    await Promise.all(Array.from({ length: 50 }, request));
  });

  for (const later of [false, true]) {
    const when = later ? 'after await' : 'at once';
    test(`SDK ${name}: samples that are taken ${when} have the ids`, async (t) => {
      const tracer = tracing(t, managers, sdk);
      const roots = [];
      const samples = await profile(() => Promise.all([1, 2].map((n) => (
        withLabels({ request: `r${n}` }, () => tracer.startActiveSpan('request', async (root) => {
          roots.push(root);
          if (later) await wander();
          tracer.startActiveSpan('child', () => burn(150));
        }))))));
      for (const [index, root] of roots.entries()) {
        const [span_id] = idsOf(root);
        const ofSpan = cpu(samples, { span_id });
        assert.ok(ofSpan > 75 && ofSpan < 250, `${ofSpan} ms of 150`);
        assert.equal(cpu(samples, { span_id, request: `r${index + 1}` }), ofSpan);
      }
    });
  }
}

test('a context that is attached has its ids until it is detached', (t) => {
  const tracer = tracing(t, managers2, sdk2);
  const span = tracer.startSpan('attached');
  const manager = instrument();
  const token = manager.attach(trace.setSpan(context.active(), span));
  assert.deepEqual(ids(), idsOf(span));
  token.dispose();
  assert.deepEqual(ids(), NONE);
});

test('the store of a span is 32 bytes as the signal handler reads them', async () => {
  const addon = (await import('../../node_modules/@sondage/linux-x64-gnu/index.cjs')).default;
  const set = addon.withPairs(0, ['route', '/pay']);
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
  const store = Buffer.from(addon.spanStore(set, '00f067aa0ba902b7', trace), 'latin1');
  assert.equal(store.length, 32);
  assert.equal(store.toString('latin1', 0, 4), 'SDG1');
  assert.equal(store.readUInt32LE(4), set);
  assert.equal(store.readBigUInt64LE(8), 0x00f067aa0ba902b7n);
  assert.equal(store.readBigUInt64LE(16), 0x4bf92f3577b34da6n);
  assert.equal(store.readBigUInt64LE(24), 0xa3ce929d0e0e4736n);
  const moved = addon.withSet(store.toString('latin1'), 0);
  assert.deepEqual(addon.pairsOf(moved), ['span_id', '00f067aa0ba902b7', 'trace_id', trace]);
  assert.equal(addon.spanStore(set, '0000000000000000', trace), null);
  assert.equal(addon.spanStore(set, 'no id', trace), null);
  assert.equal(addon.withSet('no store', 1), null);
  assert.deepEqual(addon.pairsOf('no store'), []);
});
