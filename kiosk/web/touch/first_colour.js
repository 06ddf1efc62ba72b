// @ts-check
// The first colour of a tap, as engine/first_colour.py, which says why; held equal by tests.
import { labToSrgb, project } from '../colour.js';
import { PLANE } from './touch.js';

const STEP_AB = 6.25;
const MIN_GAIN_AB = 0.3;
const [EXPECTED_SCALE, WARMTH_AB] = [0.85, [1, 5]];
const [MAX_TURN_DEGREES, COLOURED_AB, GREYISH_AB] = [30, 10, 3];
const CLEARLY_BETTER = 0.5;
const DIRECTIONS = 48;
const GAMUT_STEPS = 12;
const TAP_PX = 5;
const CELLS = PLANE * PLANE;

/** @typedef {[number, number]} Ab */

/**
 * @param {Float32Array} working working L [256, 256] @param {Float32Array} ab shown, [2, 256, 256]
 * @param {Float32Array} automatic ab without hints at `vivid` 1, [2, 256, 256]
 * @param {[number, number]} point x, y in 0…1 @param {number} L of the point
 * @param {Ab | null} likeliest the likeliest suggestion @returns {Ab}
 */
export function firstColour(working, ab, automatic, point, L, likeliest) {
  const { shown, chroma } = shownAt(working, ab, point, L);
  const at = pixelAt(point), expected = WARMTH_AB.map((warmth, c) => EXPECTED_SCALE * automatic[c * CELLS + at] + warmth);
  const ring = Array.from({ length: DIRECTIONS }, (_, i) => {
    const angle = (i * 2 * Math.PI) / DIRECTIONS;
    return project(L, shown[0] + STEP_AB * Math.cos(angle), shown[1] + STEP_AB * Math.sin(angle), GAMUT_STEPS);
  });
  const isVisible = (/** @type {Ab} */ colour, /** @type {number} */ step) =>
    Math.hypot(...colour) >= chroma + MIN_GAIN_AB && Math.hypot(colour[0] - shown[0], colour[1] - shown[1]) >= step;
  const visible = ring.filter((colour) => isVisible(colour, STEP_AB - 0.05));
  if (!visible.length) return least(ring, (colour) => -Math.hypot(...colour));
  const target = labToSrgb(L, expected[0], expected[1]);
  const error = (/** @type {Ab} */ [a, b]) => labToSrgb(L, a, b).reduce((sum, v, i) => sum + (v - target[i]) ** 2, 0);
  const sameHue = visible.filter((colour) => keepsHue(colour, shown));
  const best = least(sameHue.length ? sameHue : visible, error);
  const better = likeliest && isVisible(likeliest, STEP_AB) && error(likeliest) <= CLEARLY_BETTER * error(best);
  return better ? likeliest : best;
}

/** The number of the working pixel at a point. @param {[number, number]} point x, y in 0…1 */
export function pixelAt([x, y]) {
  return Math.min(Math.floor(y * PLANE), PLANE - 1) * PLANE + Math.min(Math.floor(x * PLANE), PLANE - 1);
}

/** @param {Ab[]} colours @param {(colour: Ab) => number} of @returns {Ab} the first with the least value */
function least(colours, of) {
  return colours.reduce((best, colour) => (of(colour) < of(best) ? colour : best));
}

/**
 * The mean ab of a tap's patch in the gamut at L, and the mean chroma of its pixels as they are seen.
 * @param {Float32Array} working @param {Float32Array} ab @param {[number, number]} point @param {number} L
 */
function shownAt(working, ab, [x, y], L) {
  const [top, bottom] = span(y), [left, right] = span(x), count = (bottom - top) * (right - left);
  let [a, b, chroma] = [0, 0, 0];
  for (let row = top; row < bottom; row += 1) {
    for (let i = row * PLANE + left; i < row * PLANE + right; i += 1) {
      a += ab[i] / count;
      b += ab[CELLS + i] / count;
      chroma += Math.hypot(...project(working[i], ab[i], ab[CELLS + i], GAMUT_STEPS)) / count;
    }
  }
  const shown = project(L, a, b, GAMUT_STEPS);
  return { shown, chroma: Math.max(chroma, Math.hypot(...shown)) };
}

/** Start and stop of a tap's patch along an axis, as engine/hints.py's patch_bounds. @param {number} centre in 0…1 */
function span(centre) {
  const first = Math.floor(centre * PLANE - TAP_PX / 2 + 0.5);
  return [Math.max(first, 0), Math.min(first + TAP_PX, PLANE)];
}

/** Whether a colour has about the hue of the colour shown; any has where that is nearly grey. @param {Ab} colour @param {Ab} shown */
function keepsHue(colour, shown) {
  const chroma = Math.hypot(...shown);
  if (chroma <= GREYISH_AB) return true;
  const free = Math.max(0, (COLOURED_AB - chroma) / (COLOURED_AB - GREYISH_AB));
  const limit = ((MAX_TURN_DEGREES + free * (180 - MAX_TURN_DEGREES)) * Math.PI) / 180;
  const cosine = (colour[0] * shown[0] + colour[1] * shown[1]) / Math.max(Math.hypot(...colour) * chroma, 1e-9);
  return Math.acos(Math.min(1, Math.max(-1, cosine))) <= limit;
}
