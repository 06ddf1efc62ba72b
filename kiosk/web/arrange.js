// @ts-check
// Where the swatches of a point lie: close to it, clear of the zoom buttons, and not on the thing that was touched.
import { clamp } from './dom.js';

/** @typedef {import('./stage.js').Place} Place */
/** @typedef {{x: number, y: number, w: number, h: number}} Box */

/**
 * All in CSS pixels of the stage. `half`: half the width of a swatch, its rim included. `bounds`: swatches lie inside
 * it. `frame`: the visible part of the photograph. `thing`: places of the touched thing.
 * @typedef {{point: Place, count: number, half: number, bounds: Box, frame: Box, zoom: Box, thing: Place[]}} Scene
 */

/** Arcs round the point: their radius in halves of a swatch, and the angle in radians between neighbours, whose rims do
 * not touch. The wide one is a half circle, for points near an edge. */
const ARCS = [{ radius: 2.27, step: 0.98 }, { radius: 3.27, step: 0.66 }, { radius: 4.4, step: 0.48 }];
/** Middles of the arc to try, in degrees, the best one first. */
const MIDDLES = [-90, -60, -120, -30, -150, 0, 180, 45, 135, 90];
/** Distance of neighbours in a row, in halves of a swatch. */
const PITCH = 2.1;
/** Costs of an arrangement, in pixels: of a pixel of overlap, of hiding all of the thing, of a swatch on the photograph,
 * of a pixel between point and swatch. */
const [OVERLAP_COST, HIDDEN_COST, COVER_COST, TRAVEL_COST] = [100, 3000, 25, 0.35];

/** Middles of the swatches: the arrangement with the lowest cost. @param {Scene} scene @returns {Place[]} */
export function arrange(scene) {
  const { bounds, half } = scene;
  /** @param {Place} p */
  const inside = (p) => ({
    x: clamp(p.x, bounds.x + half, bounds.x + bounds.w - half),
    y: clamp(p.y, bounds.y + half, bounds.y + bounds.h - half),
  });
  let best = { places: /** @type {Place[]} */ ([]), cost: Infinity };
  for (const wanted of [...arcs(scene), ...lines(scene), ...docks(scene)]) {
    const places = wanted.map(inside);
    const moved = wanted.reduce((sum, p, i) => sum + distance(p, places[i]), 0);
    const cost = moved + costOf(places, scene);
    if (cost < best.cost) best = { places, cost };
  }
  return best.places;
}

/** @param {Place} p @param {Place} q */
const distance = (p, q) => Math.hypot(p.x - q.x, p.y - q.y);

/** @param {Place[]} places @param {Scene} scene */
function costOf(places, scene) {
  const { point, half, frame, thing } = scene;
  const hidden = thing.filter((t) => places.some((p) => distance(p, t) < half)).length / Math.max(1, thing.length);
  const covering = places.filter((p) => gap(p, frame) < half).length;
  const travel = places.reduce((sum, p) => sum + distance(p, point), 0) / places.length;
  return OVERLAP_COST * overlap(places, scene) + HIDDEN_COST * hidden + COVER_COST * covering + TRAVEL_COST * travel;
}

/** Distance of a place from a rectangle, 0 inside. @param {Place} p @param {Box} box */
function gap(p, box) {
  return Math.hypot(Math.max(box.x - p.x, 0, p.x - box.x - box.w), Math.max(box.y - p.y, 0, p.y - box.y - box.h));
}

/**
 * How far swatches lie on one another, on the point's marker and on the zoom buttons: the sum, in pixels.
 * @param {Place[]} places @param {Scene} scene
 */
function overlap(places, { half, point, zoom }) {
  let sum = 0;
  places.forEach((p, i) => {
    for (const other of places.slice(0, i)) sum += Math.max(0, 2 * half - distance(p, other));
    sum += Math.max(0, 1.5 * half - distance(p, point)) + Math.max(0, half - gap(p, zoom));
  });
  return sum;
}

/** Arcs round the point, the best one first. @param {Scene} scene @returns {Place[][]} */
function arcs({ point, count, half }) {
  return ARCS.flatMap(({ radius, step }) => MIDDLES.map((degrees) => Array.from({ length: count }, (_, i) => {
    const angle = (degrees * Math.PI) / 180 + (i - (count - 1) / 2) * step;
    return { x: point.x + radius * half * Math.cos(angle), y: point.y + radius * half * Math.sin(angle) };
  })));
}

/**
 * Middles in a line, as near to `at` as they can be between `from` and `to`.
 * @param {number} at @param {number} from @param {number} to @param {number} count @param {number} half @returns {number[]}
 */
function along(at, from, to, count, half) {
  const step = count > 1 ? Math.min(PITCH * half, (to - from - 2 * half) / (count - 1)) : 0;
  const start = clamp(at - (step * (count - 1)) / 2, from + half, to - half - step * (count - 1));
  return Array.from({ length: count }, (_, i) => start + i * step);
}

/** Rows above and below the point and columns beside it, for corners where no arc fits. @param {Scene} scene @returns {Place[][]} */
function lines({ point, count, half, bounds, zoom }) {
  const [left, right, top, bottom] = [bounds.x, bounds.x + bounds.w, bounds.y, bounds.y + bounds.h];
  const rows = [[left, right], [left, zoom.x], [zoom.x + zoom.w, right]].map(([from, to]) => along(point.x, from, to, count, half));
  const columns = [[top, bottom], [top, zoom.y]].map(([from, to]) => along(point.y, from, to, count, half));
  return [-2.4 * half, 2.4 * half].flatMap((away) => [
    ...rows.map((xs) => xs.map((x) => ({ x, y: point.y + away }))),
    ...columns.map((ys) => ys.map((y) => ({ x: point.x + away, y }))),
  ]);
}

/** Columns beside the photograph and rows above and below it, and at the edges of the stage. @param {Scene} scene @returns {Place[][]} */
function docks({ point, count, half, bounds, frame, zoom }) {
  const [right, bottom] = [bounds.x + bounds.w, bounds.y + bounds.h];
  const pitch = PITCH * half;
  /** @type {Place[][]} */
  const found = [];
  // Two columns where one is too long.
  for (const columns of [1, 2]) {
    const rows = Math.ceil(count / columns);
    for (const end of [bottom, zoom.y]) {
      const ys = along(point.y, bounds.y, end, rows, half);
      const width = (columns - 1) * pitch;
      const lefts = [frame.x - half - 4 - width, bounds.x + half, frame.x + frame.w + half + 4, right - half - width];
      found.push(...lefts.map((x) => Array.from({ length: count }, (_, i) => ({ x: x + (i % columns) * pitch, y: ys[Math.floor(i / columns)] }))));
    }
  }
  for (const [from, to] of [[bounds.x, right], [bounds.x, zoom.x], [zoom.x + zoom.w, right]]) {
    const xs = along(point.x, from, to, count, half);
    for (const y of [frame.y - half - 4, bounds.y + half, frame.y + frame.h + half + 4, bottom - half]) found.push(xs.map((x) => ({ x, y })));
  }
  return found;
}
