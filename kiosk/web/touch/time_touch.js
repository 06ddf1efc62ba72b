// @ts-check
// How quick this browser is: the time of a typical touch, one point of 16 moving on a photograph of no features.

const HINTS = 16;
const TRIALS = 9;
/** While a page starts, much else runs. The third best time is not disturbed by it. */
const RANK = 2;

/** In ms. It leaves the kernels without a photograph. @param {import('./touch.js').Touch} touch */
export function timeTouch(touch) {
  touch.open(new Float32Array(touch.features.length), 1);
  /** @type {import('./touch.js').Hint[]} */
  const hints = Array.from({ length: HINTS }, (_, i) => [(i + 0.5) / HINTS, 0.5, 20, 30, 5]);
  const times = [];
  for (let i = 0; i < TRIALS; i += 1) {
    const started = performance.now();
    hints[0] = [0.5, (i + 0.5) / TRIALS, 20, 30, 5];
    touch.colorize(hints);
    touch.packed();
    times.push(performance.now() - started);
  }
  return times.sort((a, b) => a - b)[RANK];
}
