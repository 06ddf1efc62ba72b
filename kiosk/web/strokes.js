// @ts-check
// What a hint looks like: a point, a line of the brush, or several places of one colour. A value is never changed in place.

import { clamp } from './dom.js';

/**
 * Places are 0…1 of the photograph. `lines`: what the brush painted, each a list of points; a line of one point is a tap.
 * A hint without them is a point. (x, y) is the end of the first line, where its marker lies.
 * `inside`: the region that the hint may colour, as in the JSON of the engine. Its polygons are empty while the engine is
 * asked for its own outline; `fill` is false for that outline, which follows the hint, and true for one drawn by hand.
 * @typedef {[number, number][]} Line
 * @typedef {{polygons: Line[], grow_px: number, edge_px: number, fill: boolean}} Inside
 * @typedef {{x: number, y: number, a: number, b: number, size: number, lines?: Line[], inside?: Inside}} Hint
 * @typedef {import('./stage.js').Place} Place
 */

/** Side of the engine's working picture. */
const WORKING_PX = 256;
/** Points of a line are at least this far apart, and stray from what the finger drew by no more than that, in working pixels. */
const [STEP_PX, TOLERANCE_PX] = [1.5, 0.6];
/** After so many points a line is simplified while it is drawn. */
const SIMPLIFY_EVERY = 32;
/** A hundredth of a working pixel is as good as more digits. */
const DIGITS = 4;
/** The most points and lines of a picture, as the model takes no more; the most points of all lines and outlines, so that
 * an edit fits into a message (MAX_BYTES in kiosk/messages.py); the most regions (MAX_REGIONS there). */
export const [MAX_PLACES, MAX_LINE_POINTS, MAX_REGIONS] = [128, 2000, 12];
/** As of `Region` in the engine: around a line drawn by hand the network decides, in a band of this width. */
const HAND_EDGE_PX = 6;

/** @param {Hint} hint @returns {Line[]} */
export const linesOf = (hint) => hint.lines ?? [[[hint.x, hint.y]]];

/** Where the marker of a line lies: at its end. @param {Line} line @returns {Place} */
export function endOf(line) {
  const [x, y] = line[line.length - 1];
  return { x, y };
}

/** The hint with other lines; with one line of one point it is a point. @param {Hint} hint @param {Line[]} lines @returns {Hint} */
export function withLines(hint, lines) {
  const { lines: _, ...rest } = hint;
  const isPoint = lines.length === 1 && lines[0].length === 1;
  return unsettled({ ...rest, ...endOf(lines[0]), ...(isPoint ? {} : { lines }) });
}

/** The hint, whose own outline has to be asked for again. @param {Hint} hint @returns {Hint} */
function unsettled(hint) {
  return hint.inside && !hint.inside.fill ? { ...hint, inside: { ...hint.inside, polygons: [] } } : hint;
}

/** @param {Hint} hint @param {number} index of a line @param {(line: Line) => Line} change @returns {Hint} */
function withLine(hint, index, change) {
  return withLines(hint, linesOf(hint).map((line, i) => (i === index ? change(line) : line)));
}

/**
 * The hint with one of its lines moved as a whole, its end to `place`, as far as the photograph's edges let it.
 * @param {Hint} hint @param {number} index of the line @param {Place} place @returns {Hint}
 */
export function moved(hint, index, place) {
  return withLine(hint, index, (line) => {
    const end = endOf(line);
    const [dx, dy] = [shift(line.map(([x]) => x), place.x - end.x), shift(line.map(([, y]) => y), place.y - end.y)];
    return line.map(([x, y]) => [clamp(x + dx), clamp(y + dy)]);
  });
}

/** A shift that keeps values in 0…1. @param {number[]} values @param {number} wanted */
function shift(values, wanted) {
  return clamp(wanted, -Math.min(...values), 1 - Math.max(...values));
}

/** The hint with another place. @param {Hint} hint @param {Line} line @returns {Hint} */
export const withPlace = (hint, line) => withLines(hint, [...linesOf(hint), line]);

/** The hint without one of its places; null without any. @param {Hint} hint @param {number} index @returns {Hint | null} */
export function withoutPlace(hint, index) {
  const left = linesOf(hint).filter((_, i) => i !== index);
  return left.length ? withLines(hint, left) : null;
}

/** The hint with one of its lines drawn on. @param {Hint} hint @param {number} index of the line @param {Place} place @returns {Hint} */
export const drawnOn = (hint, index, place) => withLine(hint, index, (line) => extended(line, place));

/** The hint with one of its lines simplified. @param {Hint} hint @param {number} index @returns {Hint} */
export function simplifiedLine(hint, index) {
  const line = linesOf(hint)[index];
  return line && line.length > 2 ? withLine(hint, index, simplified) : hint;
}

/** A line drawn on to a place; the same line where that is no step. @param {Line} line @param {Place} place @returns {Line} */
export function extended(line, place) {
  const end = endOf(line);
  if (Math.hypot(place.x - end.x, place.y - end.y) * WORKING_PX < STEP_PX) return line;
  const longer = /** @type {Line} */ ([...line, [rounded(place.x), rounded(place.y)]]);
  return longer.length % SIMPLIFY_EVERY ? longer : simplified(longer);
}

/** @param {number} value */
export const rounded = (value) => Number(value.toFixed(DIGITS));

/** A line with fewer points, between its ends, that strays from it by no more than TOLERANCE_PX. @param {Line} line @returns {Line} */
export function simplified(line) {
  if (line.length < 3) return line;
  const [first, last] = [line[0], line[line.length - 1]];
  let [farthest, distance] = [0, 0];
  for (let i = 1; i < line.length - 1; i += 1) {
    const d = fromSegment(line[i], first, last);
    if (d > distance) [farthest, distance] = [i, d];
  }
  if (distance * WORKING_PX <= TOLERANCE_PX) return [first, last];
  return [...simplified(line.slice(0, farthest + 1)).slice(0, -1), ...simplified(line.slice(farthest))];
}

/** Distance of a point from a segment. @param {Line[0]} p @param {Line[0]} from @param {Line[0]} to */
function fromSegment([x, y], [x0, y0], [x1, y1]) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const squared = dx * dx + dy * dy;
  const along = squared ? Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / squared)) : 0;
  return Math.hypot(x - x0 - along * dx, y - y0 - along * dy);
}

// Regions

/** The region of the network's own outline, which is not known yet. @returns {Inside} */
export const ownOutline = (grow_px = 0) => ({ polygons: [], grow_px, edge_px: 0, fill: false });

/** The region within a line drawn by hand. @param {Line} line @returns {Inside} */
export const drawnOutline = (line) => ({ polygons: [simplified(line)], grow_px: 0, edge_px: HAND_EDGE_PX, fill: true });

/** Whether the outline of a hint has to be asked for. @param {Hint} hint */
export const lacksOutline = (hint) => Boolean(hint.inside && !hint.inside.polygons.length);

// Limits and messages

/** Whether an edit with these hints can be asked for. @param {Hint[]} hints */
export function fits(hints) {
  let [places, points] = [0, 0];
  for (const { lines, inside } of hints) {
    places += lines ? lines.length : 1;
    for (const line of [...(lines ?? []), ...(inside?.polygons ?? [])]) points += line.length;
  }
  return places <= MAX_PLACES && points <= MAX_LINE_POINTS;
}

/** A hint as the engine reads it, see kiosk/messages.py. @param {Hint} hint */
export function messageOf(hint) {
  const { x, y, a, b, size, lines, inside } = hint;
  const region = inside?.polygons.length ? inside : undefined;
  return lines || region ? { lines: linesOf(hint), a, b, size, inside: region } : [x, y, a, b, size];
}
