// @ts-check
// The swatches round the chosen point: five likely colours, each with its name.
import { css, cssHue, nameOf, project } from './colour.js';
import { clamp, byId } from './dom.js';
import { colourWords, makeDistinct } from './language.js';

/** @typedef {NonNullable<import('./link.js').Header['colours']>} Colours */
/** @typedef {import('./stage.js').Place} Place */
/** @typedef {{x: number, y: number, w: number, h: number}} Box */

/** Arcs round the point: their radius, and the angle in radians between neighbours, whose rims do not touch. The wide one
 * is a half circle, for points near an edge. */
const ARCS = [{ radius_mm: 25, step: 0.98 }, { radius_mm: 36, step: 0.66 }];
/** Half the width of a swatch, its rim included. */
const HALF_MM = 11;
/** Middles of the arc to try, in degrees, the best one first. */
const MIDDLES = [-90, -60, -120, -30, -150, 0, 180, 45, 135, 90];
/** Weight of overlapping against being moved from where an arrangement has a swatch. */
const OVERLAP_COST = 100;
/** A swatch whose ab is this near to the point's is the one that was picked. */
const SAME_AB = 1;

export class Swatches {
  /** @param {import('./stage.js').Stage} stage @param {(a: number, b: number) => void} pick */
  constructor(stage, pick) {
    this.stage = stage;
    this.pick = pick;
    this.box = byId('swatches');
    /** @type {Colours | null} */
    this.colours = null;
    /** @type {Box} */
    this.zoom = { x: 0, y: 0, w: 0, h: 0 };
    this.zoomKey = '';
  }

  /** @param {import('./edit_history.js').Hint | undefined} hint the chosen point @param {Colours | null} colours suggested for it */
  show(hint, colours) {
    this.colours = colours;
    this.box.hidden = !hint || !colours;
    if (!hint || !colours) return;
    const { L, swatches } = colours;
    while (this.box.children.length > swatches.length) this.box.lastElementChild?.remove();
    while (this.box.children.length < swatches.length) this.box.append(this.createSwatch(this.box.children.length));
    const places = this.arrange(this.stage.toStage(hint), swatches.length);
    const picked = swatches.map(([a, b]) => Math.hypot(a - hint.a, b - hint.b) < SAME_AB);
    // The picked swatch has the name of the point, also where a small difference would change it.
    const pointName = nameOf(L, ...project(L, hint.a, hint.b));
    const names = makeDistinct(swatches.map(([a, b], i) => colourWords(picked[i] ? pointName : nameOf(L, a, b))));
    swatches.forEach(([a, b], i) => {
      const swatch = /** @type {HTMLElement} */ (this.box.children[i]);
      swatch.style.left = `${places[i].x}px`;
      swatch.style.top = `${places[i].y}px`;
      swatch.style.setProperty('--colour', css(L, a, b));
      swatch.style.setProperty('--rim', cssHue(L, a, b));
      swatch.style.setProperty('--name-colour', L > 55 ? '#000' : '#fff');
      swatch.setAttribute('aria-pressed', String(picked[i]));
      if (swatch.textContent !== names[i]) /** @type {HTMLElement} */ (swatch.firstElementChild).textContent = names[i];
    });
  }

  /** Hide the swatches while a finger moves: they would be in its way. @param {boolean} moving */
  setMoving(moving) {
    this.box.classList.toggle('moving', moving);
  }

  /** @param {number} index */
  createSwatch(index) {
    const swatch = document.createElement('button');
    swatch.className = 'swatch';
    swatch.append(document.createElement('span'));
    swatch.addEventListener('click', () => {
      const colour = this.colours?.swatches[index];
      if (colour) this.pick(colour[0], colour[1]);
    });
    return swatch;
  }

  /**
   * Middles of the swatches: the arrangement round the point with the most space.
   * @param {Place} point @param {number} count @returns {Place[]}
   */
  arrange(point, count) {
    const { w, h } = this.stage.size;
    const half = HALF_MM * this.stage.pxPerMm();
    const zoom = this.zoomBox();
    /** @param {Place} p */
    const inside = (p) => ({ x: clamp(p.x, half, w - half), y: clamp(p.y, half, h - half) });
    const arrangements = [...this.arcs(point, count), ...this.lines(point, count, zoom)].map((wanted) => {
      const places = wanted.map(inside);
      const moved = wanted.reduce((sum, p, i) => sum + Math.hypot(p.x - places[i].x, p.y - places[i].y), 0);
      return { places, cost: moved + OVERLAP_COST * overlap(places, half, point, zoom) };
    });
    return arrangements.reduce((best, other) => (other.cost < best.cost ? other : best)).places;
  }

  /** The rectangle of the zoom buttons on the stage, measured again when the layout has changed. @returns {Box} */
  zoomBox() {
    const key = [this.stage.size.w, this.stage.size.h, this.stage.pxPerMm(), document.documentElement.dir].join();
    if (key !== this.zoomKey) {
      const { offsetLeft: x, offsetTop: y, offsetWidth: w, offsetHeight: h } = byId('zoom');
      [this.zoomKey, this.zoom] = [key, { x, y, w, h }];
    }
    return this.zoom;
  }

  /** Arcs round the point, the best one first. @param {Place} point @param {number} count @returns {Place[][]} */
  arcs(point, count) {
    return ARCS.flatMap(({ radius_mm, step }) => MIDDLES.map((degrees) => Array.from({ length: count }, (_, i) => {
      const angle = (degrees * Math.PI) / 180 + (i - (count - 1) / 2) * step;
      const radius = radius_mm * this.stage.pxPerMm();
      return { x: point.x + radius * Math.cos(angle), y: point.y + radius * Math.sin(angle) };
    })));
  }

  /**
   * Rows above and below the point and columns beside it, for corners where no arc fits.
   * @param {Place} point @param {number} count @param {Box} zoom @returns {Place[][]}
   */
  lines(point, count, zoom) {
    const { w, h } = this.stage.size;
    const half = HALF_MM * this.stage.pxPerMm();
    /** Middles along one side of the stage, as near to `at` as they can be. @param {number} at @param {number} from @param {number} to */
    const along = (at, from, to) => {
      const step = Math.min(2.1 * half, (to - from - 2 * half) / (count - 1));
      const start = clamp(at - (step * (count - 1)) / 2, from + half, to - half - step * (count - 1));
      return Array.from({ length: count }, (_, i) => start + i * step);
    };
    const rows = [[0, w], [0, zoom.x], [zoom.x + zoom.w, w]].map(([from, to]) => along(point.x, from, to));
    const columns = [[0, h], [0, zoom.y]].map(([from, to]) => along(point.y, from, to));
    return [-2.4 * half, 2.4 * half].flatMap((distance) => [
      ...rows.map((xs) => xs.map((x) => ({ x, y: point.y + distance }))),
      ...columns.map((ys) => ys.map((y) => ({ x: point.x + distance, y }))),
    ]);
  }
}

/**
 * How far swatches lie on one another, on the point's marker and on the zoom buttons: the sum, in pixels.
 * @param {Place[]} places @param {number} half @param {Place} point @param {Box} zoom
 */
function overlap(places, half, point, zoom) {
  let sum = 0;
  places.forEach((p, i) => {
    for (const other of places.slice(0, i)) sum += Math.max(0, 2 * half - Math.hypot(p.x - other.x, p.y - other.y));
    sum += Math.max(0, 1.5 * half - Math.hypot(p.x - point.x, p.y - point.y));
    const [dx, dy] = [Math.max(zoom.x - p.x, 0, p.x - zoom.x - zoom.w), Math.max(zoom.y - p.y, 0, p.y - zoom.y - zoom.h)];
    sum += Math.max(0, half - Math.hypot(dx, dy));
  });
  return sum;
}
