// @ts-check
// The swatches round the chosen point: five likely colours, each with its name.
import { css, cssHue, nameOf, project } from './colour.js';
import { clamp, byId } from './dom.js';
import { colourWords, makeDistinct } from './language.js';

/** @typedef {NonNullable<import('./link.js').Header['colours']>} Colours */
/** @typedef {import('./stage.js').Place} Place */

/** From the point to the middle of a swatch. */
const RADIUS_MM = 25;
/** Half the width of a swatch, its rim included. */
const HALF_MM = 11;
/** Angle between neighbours in radians: their rims do not touch. */
const STEP = 0.98;
/** Middles of the arc to try, in degrees, the best one first. */
const MIDDLES = [-90, -60, -120, -30, -150, 0, 180, 45, 135, 90];
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

  /** Middles of the swatches: on an arc round the point, on the side with the most space. @param {Place} point @param {number} count @returns {Place[]} */
  arrange(point, count) {
    const { w, h } = this.stage.size;
    const half = HALF_MM * this.stage.pxPerMm();
    /** How far a swatch would lie outside the stage. @param {Place} p */
    const outside = (p) => Math.max(0, half - p.x, p.x + half - w) + Math.max(0, half - p.y, p.y + half - h);
    const arcs = MIDDLES.map((degrees) => this.arc(point, count, (degrees * Math.PI) / 180));
    const costs = arcs.map((places) => places.reduce((sum, p) => sum + outside(p), 0));
    const cost = Math.min(...costs);
    // In a corner no arc fits.
    if (cost > half) return this.row(point, count);
    return arcs[costs.indexOf(cost)].map((p) => ({ x: clamp(p.x, half, w - half), y: clamp(p.y, half, h - half) }));
  }

  /** @param {Place} point @param {number} count @param {number} middle angle in radians @returns {Place[]} */
  arc(point, count, middle) {
    const radius = RADIUS_MM * this.stage.pxPerMm();
    return Array.from({ length: count }, (_, i) => {
      const angle = middle + (i - (count - 1) / 2) * STEP;
      return { x: point.x + radius * Math.cos(angle), y: point.y + radius * Math.sin(angle) };
    });
  }

  /** A row above or below the point, clear of it. @param {Place} point @param {number} count @returns {Place[]} */
  row(point, count) {
    const { w, h } = this.stage.size;
    const half = HALF_MM * this.stage.pxPerMm();
    const step = Math.min(2.1 * half, (w - 2 * half) / (count - 1));
    const width = step * (count - 1);
    const left = clamp(point.x - width / 2, half, Math.max(half, w - half - width));
    const y = clamp(point.y > h / 2 ? point.y - 2.4 * half : point.y + 2.4 * half, half, h - half);
    return Array.from({ length: count }, (_, i) => ({ x: left + i * step, y }));
  }
}
