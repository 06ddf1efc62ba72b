// @ts-check
// A distribution over the bins → a few swatches, as engine/suggest.py; held equal by tests.
import { project } from '../colour.js';

const MAX_ITERATIONS = 30;
const DISTINCT_COUNT = 5;
const [APART, NEAR, MIN_MASS] = [15, 10, 0.001];

/** @typedef {[number, number]} Ab */

/** @param {Ab} p @param {Ab} q */
const squared = (p, q) => (p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2;

/** The index of the first largest value. @param {ArrayLike<number>} values */
export function argmax(values) {
  let best = 0;
  for (let i = 1; i < values.length; i += 1) if (values[i] > values[best]) best = i;
  return best;
}

/** The index of the colour nearest to a point. @param {Ab} point @param {Ab[]} colours */
function nearestOf(point, colours) {
  let best = 0;
  for (let k = 1; k < colours.length; k += 1) if (squared(point, colours[k]) < squared(point, colours[best])) best = k;
  return best;
}

/**
 * At most `count` colours in the gamut at L with their masses, [a, b, confidence], the likeliest first.
 * @param {Float32Array} probabilities [bins] @param {Float32Array} centres [bins, 2] @param {number} L @param {number} count
 * @returns {[number, number, number][]}
 */
export function suggest(probabilities, centres, L, count) {
  const points = Array.from(probabilities, (_, i) => project(L, centres[2 * i], centres[2 * i + 1]));
  const sum = probabilities.reduce((total, p) => total + p, 0);
  const weights = Float64Array.from(probabilities, (p) => p / sum);
  let means = weightedKmeans(points, weights, count);
  means = means.map(({ colour: [a, b], mass }) => ({ colour: project(L, a, b), mass }));
  if (count <= DISTINCT_COUNT) means = byMass(distinct(points, weights, means.map(({ colour }) => colour), count), points, weights);
  return means.map(({ colour: [a, b], mass }) => [a, b, mass]);
}

/**
 * @param {Ab[]} points @param {Float64Array} weights of sum 1 @param {number} count
 * @returns {{colour: Ab, mass: number}[]} by falling mass, which is above 0
 */
function weightedKmeans(points, weights, count) {
  let means = seeds(points, weights, count);
  /** @type {number[]} */
  let cluster = [];
  for (let i = 0; i < MAX_ITERATIONS; i += 1) {
    const nearest = points.map((point) => nearestOf(point, means));
    if (nearest.every((k, j) => k === cluster[j])) break;
    cluster = nearest;
    const sums = means.map(() => [0, 0, 0]);
    cluster.forEach((k, j) => {
      sums[k][0] += weights[j] * points[j][0];
      sums[k][1] += weights[j] * points[j][1];
      sums[k][2] += weights[j];
    });
    means = means.map((mean, k) => (sums[k][2] > 0 ? [sums[k][0] / sums[k][2], sums[k][1] / sums[k][2]] : mean));
  }
  return sorted(means, cluster, weights).filter(({ mass }) => mass > 0);
}

/** The heaviest point, and those with the largest weight × squared distance to the seeds so far. @param {Ab[]} points @param {Float64Array} weights @param {number} count */
function seeds(points, weights, count) {
  const found = [points[argmax(weights)]], distances = points.map((point) => squared(point, found[0]));
  while (found.length < Math.min(count, points.length)) {
    const gains = distances.map((distance, i) => distance * weights[i]), next = argmax(gains);
    if (gains[next] <= 0) break;
    found.push(points[next]);
    points.forEach((point, i) => { distances[i] = Math.min(distances[i], squared(point, points[next])); });
  }
  return found;
}

/** Colours with the masses of their clusters, by falling mass. @param {Ab[]} colours @param {number[]} cluster @param {Float64Array} weights */
function sorted(colours, cluster, weights) {
  const masses = colours.map(() => 0);
  cluster.forEach((k, i) => { masses[k] += weights[i]; });
  return colours.map((colour, k) => ({ colour, mass: masses[k] })).sort((p, q) => q.mass - p.mass);
}

/** @param {Ab[]} colours @param {Ab[]} points @param {Float64Array} weights */
function byMass(colours, points, weights) {
  return sorted(colours, points.map((point) => nearestOf(point, colours)), weights);
}

/**
 * Colours at least APART from each other: those of the means, then those of the points with the most mass near them,
 * then the other means.
 * @param {Ab[]} points @param {Float64Array} weights @param {Ab[]} means @param {number} count
 */
function distinct(points, weights, means, count) {
  const isApart = (/** @type {Ab} */ colour) => chosen.every((other) => Math.sqrt(squared(colour, other)) >= APART);
  const chosen = [means[0]];
  /** @type {Ab[]} */
  const others = [];
  for (const mean of means.slice(1)) (isApart(mean) ? chosen : others).push(mean);
  while (chosen.length < count) {
    const apart = points.map(isApart);
    const mass = points.map((point, i) => (apart[i] ? massNear(point, points, weights, apart) : 0)), best = argmax(mass);
    if (mass[best] < MIN_MASS) break;
    chosen.push(points[best]);
  }
  return [...chosen, ...others].slice(0, count);
}

/** @param {Ab} at @param {Ab[]} points @param {Float64Array} weights @param {boolean[]} counted */
function massNear(at, points, weights, counted) {
  let mass = 0;
  points.forEach((point, i) => { if (counted[i] && Math.sqrt(squared(at, point)) < NEAR) mass += weights[i]; });
  return mass;
}
