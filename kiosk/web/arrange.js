// @ts-check
// Where the swatches of a point lie: close to it, clear of the zoom buttons and of the ring's bar, and not on the thing
// that was touched.
import { clamp } from './dom.js';

/** @typedef {import('./stage.js').Place} Place */
/** @typedef {{x: number, y: number, w: number, h: number}} Box */

/**
 * All in CSS pixels of the stage. `half`: half the width of a swatch, its rim included. `bounds`: swatches lie inside
 * it. `frame`: the visible part of the photograph. `zoom`, `bar`: to be kept clear. `thing`: places of the touched thing.
 * @typedef {{point: Place, count: number, half: number, bounds: Box, frame: Box, zoom: Box, bar: Box, thing: Place[]}} Scene
 */

/** Arcs round the point: their radius in halves of a swatch, and the angle in radians between neighbours, whose rims do
 * not touch. The wide one is a half circle, for points near an edge. */
const ARCS = [{ radius: 2.27, step: 0.98 }, { radius: 2.2, step: 1.02 }, { radius: 3.27, step: 0.66 }, { radius: 4.4, step: 0.48 }];
/** Middles of the arc to try, in degrees, the best one first. */
const MIDDLES = [-90, -75, -105, -60, -120, -45, -135, -30, -150, 0, 180, 20, 160, 45, 135, 75, 105, 90];
/** Distance of neighbours in a row, in halves of a swatch. */
const PITCH = 2.1;
/** Costs of an arrangement, in pixels: of a pixel of overlap, of hiding all of the thing, of a swatch on the photograph,
 * of a pixel between point and swatch. */
const [OVERLAP_COST, HIDDEN_COST, COVER_COST, TRAVEL_COST] = [1000, 3000, 45, 0.35];

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
  const covering = places.reduce((sum, p) => sum + Math.max(0, 1 - gap(p, frame) / half), 0);
  const travel = places.reduce((sum, p) => sum + distance(p, point), 0) / places.length;
  return OVERLAP_COST * overlap(places, scene) + HIDDEN_COST * hidden + COVER_COST * covering + TRAVEL_COST * travel;
}

/** Distance of a place from a rectangle, 0 inside. @param {Place} p @param {Box} box */
function gap(p, box) {
  return Math.hypot(Math.max(box.x - p.x, 0, p.x - box.x - box.w), Math.max(box.y - p.y, 0, p.y - box.y - box.h));
}

/**
 * How far swatches lie on one another, on the point's marker, on the zoom buttons and on the bar: the sum, in pixels.
 * @param {Place[]} places @param {Scene} scene
 */
function overlap(places, { half, point, zoom, bar }) {
  let sum = 0;
  places.forEach((p, i) => {
    for (const other of places.slice(0, i)) sum += Math.max(0, 2 * half - distance(p, other));
    sum += Math.max(0, 1.5 * half - distance(p, point));
    for (const box of [zoom, bar]) sum += Math.max(0, half - gap(p, box));
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

/**
 * Where a column may begin and end: on the whole stage, above the zoom buttons, clear of the bar, or of both.
 * @param {{bounds: Box, zoom: Box, bar: Box}} scene @returns {[number, number][]}
 */
function heights({ bounds, zoom, bar }) {
  const [top, bottom] = [bounds.y, bounds.y + bounds.h];
  const [from, to] = bar.y - top > bottom - bar.y - bar.h ? [top, bar.y] : [bar.y + bar.h, bottom];
  return [[top, bottom], [top, zoom.y], [from, to], [from, Math.min(to, zoom.y)]];
}

/**
 * Rows above and below the point and columns beside it, for corners where no arc fits: all swatches on one side, or half
 * of them on each.
 * @param {Scene} scene @returns {Place[][]}
 */
function lines({ point, count, half, bounds, zoom, bar }) {
  const [left, right, away] = [bounds.x, bounds.x + bounds.w, 2.4 * half];
  const shares = [[count, 0], [0, count], [Math.ceil(count / 2), Math.floor(count / 2)]];
  return shares.flatMap((share) => {
    const rows = [[left, right], [left, zoom.x], [zoom.x + zoom.w, right]].map(([from, to]) => share.flatMap((n, side) => (
      along(point.x, from, to, n, half).map((x) => ({ x, y: point.y + (side ? away : -away) })))));
    const columns = heights({ bounds, zoom, bar }).map(([from, to]) => share.flatMap((n, side) => (
      along(point.y, from, to, n, half).map((y) => ({ x: point.x + (side ? away : -away), y })))));
    return [...rows, ...columns];
  });
}

/** Columns beside the photograph and rows above and below it, and at the edges of the stage. @param {Scene} scene @returns {Place[][]} */
function docks({ point, count, half, bounds, frame, zoom, bar }) {
  const [right, bottom] = [bounds.x + bounds.w, bounds.y + bounds.h];
  const pitch = PITCH * half;
  /** @type {Place[][]} */
  const found = [];
  // More columns where one is too long.
  for (const columns of [1, 2, 3, 4]) {
    const rows = Math.ceil(count / columns);
    for (const [from, to] of heights({ bounds, zoom, bar })) {
      const ys = along(point.y, from, to, rows, half);
      const width = (columns - 1) * pitch;
      const lefts = [frame.x - half - 4 - width, bounds.x + half, frame.x + frame.w + half + 4, right - half - width];
      found.push(...lefts.map((x) => Array.from({ length: count }, (_, i) => ({ x: x + (i % columns) * pitch, y: ys[Math.floor(i / columns)] }))));
    }
  }
  for (const [from, to] of [[bounds.x, right], [bounds.x, zoom.x], [zoom.x + zoom.w, right]]) {
    const xs = along(point.x, from, to, count, half);
    const beside = [frame, bar, zoom].flatMap(({ y, h }) => [y - half - 4, y + h + half + 4]);
    for (const y of [...beside, bounds.y + half, bottom - half]) found.push(xs.map((x) => ({ x, y })));
  }
  return found;
}
