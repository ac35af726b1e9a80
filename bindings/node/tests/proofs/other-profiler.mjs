// Another profiler beside ours: V8's own by the inspector, and @datadog/pprof where it is
// installed, started before ours and after it. Both must have their samples, and ours must show the
// function that works; V8's tells its caller instead where the function was inlined.
import inspector from 'node:inspector';

import { conclude, count, options, packages, recording, worked } from './recording.mjs';

const { seconds, hz, least } = options({ seconds: 2, hz: 1000, least: 100 });

function busyBeside(until) {
  let total = 0;
  while (performance.now() < until) {
    for (let n = 0; n < 10_000; n += 1) total = (total * 31 + n) | 0;
  }
  return total;
}

/** V8's profiler; `end` returns how many samples it has, and how many are in the function. */
function byInspector() {
  const session = new inspector.Session();
  return {
    begin() {
      session.connect();
      session.post('Profiler.enable');
      session.post('Profiler.setSamplingInterval', { interval: 1e6 / hz });
      session.post('Profiler.start');
    },
    end() {
      let profile;
      session.post('Profiler.stop', (error, answer) => { profile = answer.profile; });
      session.disconnect();
      const inside = new Set(profile.nodes
        .filter((node) => /busyBeside/.test(node.callFrame.functionName)).map((node) => node.id));
      const hits = profile.samples.filter((id) => inside.has(id)).length;
      return { all: profile.samples.length, hits };
    },
  };
}

function byDatadog() {
  const { time } = packages('@datadog/pprof');
  return {
    begin: () => time.start({ intervalMicros: 1e6 / hz, durationMillis: 60_000 }),
    end() {
      const { sample, location, function: functions, stringTable } = time.stop();
      const name = (id) => stringTable.strings[functions.find((one) => one.id === id).name];
      const named = new Set(location
        .filter(({ line }) => line.some((one) => /busyBeside/.test(name(one.functionId))))
        .map(({ id }) => id));
      const sum = (some) => some.reduce((total, one) => total + Number(one.value[0]), 0);
      const hits = sample.filter(({ locationId }) => locationId.some((id) => named.has(id)));
      return { all: sum(sample), hits: sum(hits) };
    },
  };
}

async function beside(other, first) {
  if (first) other.begin();
  const { result, samples, stats } = await recording({ hz }, async (breathe) => {
    if (!first) other.begin();
    for (const end = worked() + seconds * 1000; worked() < end;) {
      busyBeside(performance.now() + 20);
      await breathe();
    }
    return first ? undefined : other.end();
  });
  const { all, hits } = result ?? other.end();
  const own = samples.filter(({ frames }) => frames.some((one) => /busyBeside/.test(one.name)));
  return { theirs: all, theirHits: hits, ours: count(samples), ourHits: count(own), stats };
}

const others = { inspector: byInspector };
try {
  packages.resolve('@datadog/pprof');
  others.datadog = byDatadog;
} catch {
  // Not installed here: the inspector's will do.
}
const runs = {};
for (const [name, make] of Object.entries(others)) {
  runs[`${name} after`] = await beside(make(), false);
  runs[`${name} before`] = await beside(make(), true);
}
const all = Object.values(runs);
conclude(runs, {
  'too few of ours': all.some((one) => one.ourHits < least),
  'too few of theirs': all.some((one) => one.theirs < least),
});
