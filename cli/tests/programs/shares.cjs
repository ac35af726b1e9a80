// Three in four parts of its time in heavy, one in light, until it is killed.
'use strict';

function heavy(count) {
  let total = 0;
  for (let number = 0; number < count; number++) total += (number * number) ^ (total >> 3);
  return total;
}

function light(count) {
  let total = 0;
  for (let number = 0; number < count; number++) total += (number * number) ^ (total >> 3);
  return total;
}

let sink = 0;

function work() {
  // At random: rounds of one length could keep step with the samples.
  const part = Math.floor((0.5 + Math.random()) * 1000000);
  sink += heavy(3 * part);
  sink += light(part);
}

console.log('started');
for (;;) work();
