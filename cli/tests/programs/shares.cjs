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
  sink += heavy(3000000);
  sink += light(1000000);
}

console.log('started');
for (;;) work();
