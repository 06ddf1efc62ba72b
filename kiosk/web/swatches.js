// @ts-check
// Five likely colours round the finger, each with its name.
import { css, cssHue, nameOf, project } from './colour.js';
import { clamp, byId } from './dom.js';
import { apart, colourWords } from './words.js';

/** @typedef {NonNullable<import('./link.js').Header['colours']>} Colours */

/** Millimetres: from the point to the middle of a swatch, and half a swatch with its rim. */
const RADIUS_MM = 25;
const ROOM_MM = 11;
/** Radians between neighbours: far enough that their rims do not touch. */
const STEP = 0.98;

export class Swatches {
  /** @param {import('./stage.js').Stage} stage @param {(a: number, b: number) => void} pick */
  constructor(stage, pick) {
    this.stage = stage;
    this.pick = pick;
    this.box = byId('swatches');
    /** @type {Colours | null} */
    this.colours = null;
  }

  /** @param {import('./edits.js').Hint | undefined} hint the point they are for @param {Colours | null} colours */
  show(hint, colours) {
    this.colours = colours;
    this.box.hidden = !hint || !colours;
    if (!hint || !colours) return;
    while (this.box.children.length > colours.swatches.length) this.box.lastElementChild?.remove();
    while (this.box.children.length < colours.swatches.length) this.box.append(this.made(this.box.children.length));
    const spots = this.arc(this.stage.toStage(hint), colours.swatches.length);
    // The picked one is called what the point itself is called.
    const picked = colours.swatches.map(([a, b]) => Math.hypot(a - hint.a, b - hint.b) < 1);
    const names = apart(colours.swatches.map(([a, b], i) =>
      colourWords(picked[i] ? nameOf(colours.L, ...project(colours.L, hint.a, hint.b)) : nameOf(colours.L, a, b))));
    colours.swatches.forEach(([a, b], i) => {
      const swatch = /** @type {HTMLElement} */ (this.box.children[i]);
      swatch.style.left = `${spots[i].x}px`;
      swatch.style.top = `${spots[i].y}px`;
      swatch.style.setProperty('--colour', css(colours.L, a, b));
      swatch.style.setProperty('--hue', cssHue(colours.L, a, b));
      swatch.style.setProperty('--ink', colours.L > 55 ? '#000' : '#fff');
      swatch.setAttribute('aria-pressed', String(picked[i]));
      if (swatch.textContent !== names[i]) /** @type {HTMLElement} */ (swatch.firstElementChild).textContent = names[i];
    });
  }

  /** While a finger moves they would be in its way. @param {boolean} on */
  away(on) {
    this.box.classList.toggle('away', on);
  }

  /** @param {number} index */
  made(index) {
    const swatch = document.createElement('button');
    swatch.className = 'swatch';
    swatch.append(document.createElement('span'));
    swatch.addEventListener('click', () => {
      const colour = this.colours?.swatches[index];
      if (colour) this.pick(colour[0], colour[1]);
    });
    return swatch;
  }

  /** Places round a point, on the side where most fit. @param {{x: number, y: number}} at @param {number} count */
  arc(at, count) {
    const { w, h } = this.stage.size;
    const [room, radius] = [ROOM_MM * this.stage.mm(), RADIUS_MM * this.stage.mm()];
    /** @param {number} middle */
    const places = (middle) => Array.from({ length: count }, (_, i) => {
      const angle = middle + (i - (count - 1) / 2) * STEP;
      return { x: at.x + radius * Math.cos(angle), y: at.y + radius * Math.sin(angle) };
    });
    /** @param {{x: number, y: number}} p */
    const outside = (p) => Math.max(0, room - p.x, p.x + room - w) + Math.max(0, room - p.y, p.y + room - h);
    const tries = [-90, -60, -120, -30, -150, 0, 180, 45, 135, 90].map((d) => places((d * Math.PI) / 180));
    const costs = tries.map((spots) => spots.reduce((sum, p) => sum + outside(p), 0));
    const best = tries[costs.indexOf(Math.min(...costs))];
    // In a corner no arc fits: they stand in a row along the edge instead, still clear of one another.
    if (Math.min(...costs) > room) return this.row(at, count, room, w, h);
    return best.map((p) => ({ x: clamp(p.x, room, w - room), y: clamp(p.y, room, h - room) }));
  }

  /** @param {{x: number, y: number}} at @param {number} count @param {number} room @param {number} w @param {number} h */
  row(at, count, room, w, h) {
    const step = Math.min(2.1 * room, (w - 2 * room) / (count - 1));
    const left = clamp(at.x - step * (count - 1) / 2, room, Math.max(room, w - room - step * (count - 1)));
    const y = at.y > h / 2 ? at.y - 2.4 * room : at.y + 2.4 * room;
    return Array.from({ length: count }, (_, i) => ({ x: left + i * step, y: clamp(y, room, h - room) }));
  }
}
