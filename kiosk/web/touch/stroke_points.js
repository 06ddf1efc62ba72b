// @ts-check
// Strokes → the points that carry them, as engine/strokes.py. Kernels know points alone.
import { clamp } from '../dom.js';
import { PLANE } from './touch.js';

/** @typedef {import('./touch.js').Hint} Hint */
/** A place [x, y] in 0…1. @typedef {[number, number]} Point */
/** One colour along lines, or at several places: lines of one point. @typedef {{lines: Point[][], a: number, b: number, size: number}} Stroke */
/** What an edit holds: points as arrays, and strokes. @typedef {Hint | Stroke} Mark */

/** Distance between the points of a line in working pixels, where there are enough of them. */
const SPACING_PX = 12;
/** A mark within this distance of a place lies on it, in working pixels. */
const ON_PX = 0.5;

/** @param {Mark} mark @returns {mark is Hint} */
const isPoint = (mark) => Array.isArray(mark);

/**
 * The points of marks, the colours of strokes as they were picked. @param {Mark[]} marks @param {number} most points of all together
 * @returns {Hint[]} Throws RangeError where not even one point for each line fits.
 */
export function pointsOf(marks, most) {
  if (marks.every(isPoint)) return marks;
  const lines = marks.map((mark) => (isPoint(mark) ? [[]] : mark.lines));
  const wanted = lines.flat().map(pointsWanted);
  if (wanted.length > most) throw new RangeError(`there is room for ${most} points and lines of strokes, not for ${wanted.length}`);
  const counts = fairShares(wanted, most);
  let next = 0;
  return marks.flatMap((mark) => {
    if (isPoint(mark)) {
      next += 1;
      return [mark];
    }
    const { a, b, size } = mark;
    return mark.lines.flatMap((line) => spaced(line, counts[next++]).map(([x, y]) => /** @type {Hint} */ ([x, y, a, b, size])));
  });
}

/** Arc length from the start to each point of a line, in working pixels. @param {Point[]} line */
function lengths(line) {
  let length = 0;
  return line.map(([x, y], i) => {
    if (i) length += Math.hypot(x - line[i - 1][0], y - line[i - 1][1]) * PLANE;
    return length;
  });
}

/** How many points carry a line. @param {Point[]} line */
function pointsWanted(line) {
  return line.length > 1 ? 1 + Math.ceil(lengths(line)[line.length - 1] / SPACING_PX - 1e-9) : 1;
}

/** How many of `room` each gets, see `fair_shares` in engine/strokes.py. @param {number[]} wanted @param {number} room */
function fairShares(wanted, room) {
  const taken = (/** @type {number} */ limit) => wanted.reduce((sum, want) => sum + Math.min(want, limit), 0);
  const most = Math.max(0, ...wanted);
  let limit = 0;
  while (limit < most && taken(limit + 1) <= room) limit += 1;
  let left = room - taken(limit);
  return wanted.map((want) => {
    const extra = want > limit && left > 0 ? 1 : 0;
    left -= extra;
    return Math.min(want, limit) + extra;
  });
}

/** Points on a line at equal distances of arc length; its middle for one. @param {Point[]} line @param {number} count @returns {Point[]} */
function spaced(line, count) {
  const along = lengths(line);
  const total = along[along.length - 1];
  return Array.from({ length: count }, (_, i) => placeAt(line, along, count > 1 ? (total * i) / (count - 1) : total / 2));
}

/** The place of a line at an arc length. @param {Point[]} line @param {number[]} along @param {number} length @returns {Point} */
function placeAt(line, along, length) {
  const after = along.findIndex((value) => value > length);
  if (after < 0) return line[line.length - 1];
  const [from, to] = [line[after - 1], line[after]];
  const share = (length - along[after - 1]) / (along[after] - along[after - 1]);
  return [clamp(from[0] + (to[0] - from[0]) * share), clamp(from[1] + (to[1] - from[1]) * share)];
}

/** Whether a mark lies on a place, or a stroke passes through it. @param {Mark} mark @param {number} x @param {number} y */
export function isOn(mark, x, y) {
  if (isPoint(mark)) return farther(mark[0] - x, mark[1] - y) <= ON_PX;
  return mark.lines.some((line) => line.some((from, i) => {
    const to = line[i + 1] ?? (line.length === 1 ? from : null);
    if (!to) return false;
    const [dx, dy] = [(to[0] - from[0]) * PLANE, (to[1] - from[1]) * PLANE];
    const [px, py] = [(x - from[0]) * PLANE, (y - from[1]) * PLANE];
    const share = clamp((px * dx + py * dy) / Math.max(dx * dx + dy * dy, 1e-12));
    return farther(from[0] + (share * dx) / PLANE - x, from[1] + (share * dy) / PLANE - y) <= ON_PX;
  }));
}

/** The larger of two distances, in working pixels. @param {number} dx @param {number} dy */
const farther = (dx, dy) => Math.max(Math.abs(dx), Math.abs(dy)) * PLANE;
