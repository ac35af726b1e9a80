// Functions whose frames are known, for the self-test, which finds their lines by the comments. The
// file is loaded under two names: frames of one must not be taken for those of the other.
'use strict';

/** Functions that call each other, the last of which calls `next`. */
module.exports = function makeChain(next) {
  // Captured, so that what describes their scopes has variables.
  let calls = 0;
  let last;

  // prettier-ignore
  function inner(value) { // inner begins
    calls += value & 1;
    last = calls;

    return next(last); // inner calls
  }

  // prettier-ignore
  function middle(value) { // middle begins
    if (value < 0) {
      return inner(value);
    }
    return inner(value + 1); // middle calls
  }

  // prettier-ignore
  class Outer {
    constructor(value) { // Outer begins
      this.seen = middle(value); // Outer calls
    }
  }

  // prettier-ignore
  return function run(times) { // run begins
    let sum = 0;
    const add = (value) => {
      sum += value;
    };
    for (let index = 0; index < times; index++) add(index & 3);
    return new Outer(sum).seen; // run calls
  };
};
