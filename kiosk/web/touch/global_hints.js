// @ts-check
// What is asked of a picture as a whole: a histogram and a saturation, as engine/colour/global_hints.py and the moods of
// kiosk/engine/photo_state.py; held equal by tests.
import { labToSrgb } from '../colour.js';
import { PLANE } from './touch.js';

const POOL_PX = 4;
const POOLED = PLANE / POOL_PX;
const CELLS = PLANE * PLANE;
/** Of each mood: gain of chroma, shift of a, shift of b. @type {Record<string, [number, number, number]>} */
const MOODS = { sunlit: [1.1, 5, 14], cool: [1, -4, -14], rich: [1.7, 0, 0], faded: [0.45, 1, 4] };

/** null where nothing is asked for. @typedef {{histogram: Float32Array | null, saturation: number | null}} GlobalHints */

/**
 * What a mood asks for. @param {string} name @param {Float32Array} automatic ab without hints, [2, 256, 256], at `vivid` 1
 * @param {Float32Array} L working L [256, 256] @param {Float32Array} centres of the bins @returns {GlobalHints}
 */
export function moodOf(name, automatic, L, centres) {
  const [gain, ...shift] = MOODS[name];
  const ab = automatic.map((value, i) => Math.fround(value * gain) + shift[Math.floor(i / CELLS)]);
  return { histogram: histogramOf(ab, centres), saturation: gain === 1 ? null : saturationOf(L, ab) };
}

/** @param {string} name */
export const isMood = (name) => name in MOODS;

/** The input of the kernels [316]. @param {GlobalHints} hints */
export function vectorOf({ histogram, saturation }) {
  const bins = 313, vector = new Float32Array(bins + 3);
  if (histogram) {
    vector.set(histogram);
    vector[bins] = 1;
  }
  if (saturation !== null) vector.set([saturation, 1], bins + 1);
  return vector;
}

/** Shares [313] of the bins nearest to ab averaged over 4 × 4 pixels. @param {Float32Array} ab [2, 256, 256] @param {Float32Array} centres */
function histogramOf(ab, centres) {
  const bins = centres.length / 2, counts = new Float32Array(bins);
  for (let i = 0; i < POOLED * POOLED; i += 1) {
    const start = Math.floor(i / POOLED) * POOL_PX * PLANE + (i % POOLED) * POOL_PX;
    const [a, b] = [pooled(ab, start), pooled(ab, CELLS + start)];
    let [best, nearest] = [0, Infinity];
    for (let k = 0; k < bins; k += 1) {
      const distance = (a - centres[2 * k]) ** 2 + (b - centres[2 * k + 1]) ** 2;
      if (distance < nearest) [best, nearest] = [k, distance];
    }
    counts[best] += 1;
  }
  return counts.map((count) => count / (POOLED * POOLED));
}

/** The mean of 4 × 4 pixels. @param {Float32Array} plane @param {number} start of their corner */
function pooled(plane, start) {
  let sum = 0;
  for (let row = 0; row < POOL_PX; row += 1) {
    for (let i = 0; i < POOL_PX; i += 1) sum += plane[start + row * PLANE + i];
  }
  return sum / (POOL_PX * POOL_PX);
}

/** Mean HSV saturation. @param {Float32Array} L @param {Float32Array} ab */
function saturationOf(L, ab) {
  let sum = 0;
  for (let i = 0; i < CELLS; i += 1) {
    const rgb = labToSrgb(L[i], ab[i], ab[CELLS + i]), highest = Math.max(...rgb);
    if (highest > 0) sum += (highest - Math.min(...rgb)) / highest;
  }
  return sum / CELLS;
}
