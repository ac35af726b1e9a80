// Functions of mixed kinds, about a millisecond each: what the tables use as a load.
const WORDS = Array.from({ length: 400 }, (_, n) => `word${(n * 7919) % 977}x${n}`);
const RECORDS = Array.from({ length: 60 }, (_, n) => (
  { id: n, name: `name ${n}`, tags: ['a', 'b', String(n)], price: n / 7 }
));
const NUMBERS = Float64Array.from({ length: 40_000 }, (_, n) => Math.sin(n));

/** What the functions found, so that no compiler may leave anything out. */
export const found = { value: 0 };

function loadArithmetic() {
  let total = 0;
  for (let n = 0; n < 300_000; n += 1) total = (total * 31 + n) % 65_537;
  return total;
}

// More shapes of callbacks than an inline cache remembers.
const CALLBACKS = [
  (one) => one + 1, (one) => one * 3, (one) => one ^ 5, (one) => one - 7, (one) => one & 0xffff,
  (one) => one >> 1, (one) => one | 2, (one) => ~one,
];

function loadCallbacks() {
  let total = 1;
  for (let n = 0; n < 80_000; n += 1) total = CALLBACKS[n & 7](total + n) | 0;
  return total;
}

function fibonacci(n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

function loadRecursion() {
  return fibonacci(25);
}

function loadJson() {
  let total = 0;
  for (let n = 0; n < 16; n += 1) total += JSON.parse(JSON.stringify(RECORDS)).length;
  return total;
}

function loadRegex() {
  let total = 0;
  for (let n = 0; n < 40; n += 1) {
    for (const word of WORDS) total += /(\w+?)(\d+)x(\d+)/.exec(word)[3].length;
  }
  return total;
}

function loadSorting() {
  let total = 0;
  for (let n = 0; n < 20; n += 1) {
    total += WORDS.toSorted((one, other) => (one < other ? -1 : 1))[n].length;
  }
  return total;
}

function counter(step) {
  let value = 0;
  return () => { value = (value + step) % 1_000_003; return value; };
}

function loadClosures() {
  let total = 0;
  for (let n = 1; n < 150; n += 1) {
    const next = counter(n);
    for (let m = 0; m < 1500; m += 1) total ^= next();
  }
  return total;
}

function loadStrings() {
  let total = 0;
  for (let n = 0; n < 20; n += 1) {
    let text = '';
    for (const word of WORDS) text += `${word.toUpperCase()},`;
    total += text.replaceAll('WORD', 'w').split(',').length;
  }
  return total;
}

function loadBigInts() {
  const mask = 2n ** 64n - 1n;
  let total = 1n;
  for (let n = 0n; n < 10_000n; n += 1n) total = (total * 6364136223846793005n + n) & mask;
  return Number(total & 0xffn);
}

function loadMathematics() {
  let total = 0;
  for (const number of NUMBERS) total += Math.atan2(number, 2) + Math.log1p(Math.abs(number));
  return total;
}

function loadMaps() {
  const table = new Map();
  for (let n = 0; n < 80_000; n += 1) {
    const key = n % 613;
    table.set(key, (table.get(key) ?? 0) + n);
  }
  return table.size;
}

function* squares(limit) {
  for (let n = 0; n < limit; n += 1) yield n * n;
}

function loadGenerators() {
  let total = 0;
  for (const square of squares(60_000)) total += square % 3;
  return total;
}

/** The functions; each is told apart by its name. */
export const LOADS = [
  loadArithmetic, loadCallbacks, loadRecursion, loadJson, loadRegex, loadSorting, loadClosures,
  loadStrings, loadBigInts, loadMathematics, loadMaps, loadGenerators,
];

/** Their names, in a stack. */
export const NAMES = /\bload[A-Z]\w*/;

/** Puts the items into another order, in place. */
export function shuffle(items, random) {
  for (let n = items.length - 1; n > 0; n -= 1) {
    const other = Math.floor(random() * (n + 1));
    [items[n], items[other]] = [items[other], items[n]];
  }
  return items;
}
