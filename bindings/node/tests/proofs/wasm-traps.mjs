// Faults that are V8's own: WebAssembly that reads beyond its memory makes SIGSEGV, which V8 turns
// into an exception. They must arrive there, whoever else handles that signal for samples.
import { conclude, count, options, recording, worked } from './recording.mjs';

const { seconds, hz, least } = options({ seconds: 5, hz: 1000, least: 100 });

// (module (memory 1) (func (export "load") (param i32) (result i32) local.get 0 i32.load))
const MODULE = Uint8Array.from([
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, // magic, version
  0x01, 0x06, 0x01, 0x60, 0x01, 0x7f, 0x01, 0x7f, // type: i32 to i32
  0x03, 0x02, 0x01, 0x00, // function: of type 0
  0x05, 0x03, 0x01, 0x00, 0x01, // memory: of one page
  0x07, 0x08, 0x01, 0x04, 0x6c, 0x6f, 0x61, 0x64, 0x00, 0x00, // export: "load"
  0x0a, 0x09, 0x01, 0x07, 0x00, 0x20, 0x00, 0x28, 0x02, 0x00, 0x0b, // code
]);
const { load } = new WebAssembly.Instance(new WebAssembly.Module(MODULE)).exports;

function trap(address) {
  try {
    load(address);
    return false;
  } catch (error) {
    return error instanceof WebAssembly.RuntimeError;
  }
}

const { result, samples, stats } = await recording({ hz }, async (breathe) => {
  const counts = { traps: 0, missed: 0, reads: 0 };
  for (const end = worked() + seconds * 1000; worked() < end;) {
    for (let n = 0; n < 500; n += 1) {
      counts[trap(0x7fff0000 - n * 4096) ? 'traps' : 'missed'] += 1;
      counts.reads += load(n * 4) === 0 ? 1 : 0;
    }
    await breathe();
  }
  return counts;
});
conclude(
  { ...result, samples: count(samples), stats },
  {
    missed: result.missed > 0 || result.reads !== result.traps,
    'too few traps': result.traps < 1000,
    'too few samples': count(samples) < least,
  },
);
