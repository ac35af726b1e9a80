// What `stats()` tells of the event loop, the collector of garbage and the memory.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker, isMainThread } from 'node:worker_threads';
import { pause, sondage } from './installed.mjs';

function block(millis) {
  const end = performance.now() + millis;
  while (performance.now() < end);
}

if (isMainThread) {
  test('a stall of the event loop is told, until the next flush', async () => {
    assert.deepEqual(sondage.stats(), {});
    sondage.start({ push: [] });
    await pause(200);
    block(300);
    await pause(100);
    const { eventLoop: seen, memoryUsage: memory, workers } = sondage.stats();
    assert.ok(seen.delayMaxMs >= 200, JSON.stringify(seen));
    assert.ok(seen.delayP50Ms <= seen.delayP99Ms, JSON.stringify(seen));
    assert.ok(seen.delayP99Ms <= seen.delayMaxMs, JSON.stringify(seen));
    assert.ok(seen.utilization > 0.2 && seen.utilization <= 1, JSON.stringify(seen));
    assert.ok(memory.rss > memory.heapUsed && memory.heapUsed > 1e6, JSON.stringify(memory));
    assert.deepEqual(workers, {});
    // The longest delay is one of the time since the last flush. A busy machine has its own.
    let later = seen;
    for (let round = 0; round < 20 && later.delayMaxMs >= seen.delayMaxMs; round += 1) {
      await sondage.flush();
      await pause(300);
      later = sondage.stats().eventLoop;
    }
    assert.ok(later.delayMaxMs < seen.delayMaxMs, JSON.stringify(later));
    await sondage.stop();
    assert.deepEqual(sondage.stats(), {});
  });

  test('an event loop that sleeps is not woken up for it, and nothing is lost', async () => {
    sondage.start({ push: [] });
    await pause(100);
    block(300);
    await pause(4000);
    assert.ok(sondage.stats().eventLoop.delayMaxMs >= 200);
    const before = process.cpuUsage();
    await pause(2000);
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 60_000, `${user + system} µs in 2 s`);
    await sondage.stop();
  });

  test('pauses for collecting garbage are told by kind', async () => {
    sondage.start({ push: [] });
    let kept = [];
    for (let number = 0; number < 3e6; number++) {
      kept.push({ number });
      if (kept.length > 1e5) kept = [];
    }
    await pause(100);
    const { gc } = sondage.stats();
    assert.ok(gc.count > 0, JSON.stringify(gc));
    assert.ok(gc.pauseNs.scavenge > 0, JSON.stringify(gc));
    const total = Object.values(gc.pauseNs).reduce((sum, nanos) => sum + nanos, 0);
    assert.ok(gc.maxPauseNs > 0 && gc.maxPauseNs <= total, JSON.stringify(gc));
    await sondage.stop();
  });

  test('each worker tells of itself, as long as it lives', async () => {
    sondage.start({ push: [] });
    const worker = new Worker(fileURLToPath(import.meta.url));
    const { threadId } = worker;
    try {
      const end = performance.now() + 60_000;
      while (!sondage.stats().workers[threadId] && performance.now() < end) await pause(100);
      const told = sondage.stats().workers[threadId];
      assert.ok(told.memoryUsage.heapUsed > 1e6, JSON.stringify(told));
      assert.ok(told.eventLoop.utilization >= 0);
    } finally {
      await worker.terminate();
    }
    assert.equal(sondage.stats().workers[threadId], undefined);
    await sondage.stop();
  });

  test('a program ends while it is watched', () => {
    const program = "require('sondage').start({ push: [], memory: true })";
    const { status, stderr } = spawnSync(process.execPath, ['-e', program], { timeout: 20_000 });
    assert.equal(status, 0, stderr.toString());
  });
} else {
  await import('./installed.mjs');
  setInterval(() => undefined, 1000);
}
