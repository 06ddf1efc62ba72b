// @ts-check
// The bar of the open ring: colours that fit, all colours, or grey. It lies at the edge of the stage where it hides less
// of the touched thing.
import { project } from './colour.js';
import { byId, clamp } from './dom.js';

/** @typedef {import('./stage.js').Place} Place */
/** @typedef {import('./arrange.js').Box} Box */

/** Hues of the swatches for "all colours", in degrees of CIELAB: red, orange, yellow, green, teal, blue, purple, pink. */
const HUES = [36, 62, 92, 138, 190, 268, 312, 355];
/** Those that are left out on a stage whose shorter side is under so many mm: orange and teal, then pink too. */
const LEFT_OUT = [{ under_mm: 82, hues: [62, 190, 355] }, { under_mm: 100, hues: [62, 190] }];
/** Their chroma, where sRGB has it at the L of the point. */
const CHROMA = 60;
/** A colour nearer to grey than this is grey. */
const GREY_AB = 1;
const MARGIN_MM = 1;

export class RingBar {
  /** @param {import('./stage.js').Stage} stage @param {{changed: () => void, keepGrey: () => void}} handlers */
  constructor(stage, handlers) {
    this.stage = stage;
    this.box = byId('ring-bar');
    /** The ring shows all colours, not those that fit. */
    this.all = false;
    this.key = '';
    /** @type {Box} */
    this.place = { x: 0, y: 0, w: 0, h: 0 };
    /** @param {boolean} all */
    const choose = (all) => {
      this.all = all;
      handlers.changed();
    };
    byId('fitting').addEventListener('click', () => choose(false));
    byId('all-colours').addEventListener('click', () => choose(true));
    byId('ring-grey').addEventListener('click', () => handlers.keepGrey());
  }

  /** Colours of all hues at L, each with its confidence, which is unknown. @param {number} L @returns {[number, number, number][]} */
  colours(L) {
    const { w, h } = this.stage.reachable;
    const side_mm = Math.min(w, h) / this.stage.pxPerMm();
    const leftOut = LEFT_OUT.find(({ under_mm }) => side_mm < under_mm)?.hues ?? [];
    return HUES.filter((degrees) => !leftOut.includes(degrees)).map((degrees) => {
      const angle = (degrees * Math.PI) / 180;
      return [...project(L, CHROMA * Math.cos(angle), CHROMA * Math.sin(angle)), 0];
    });
  }

  /** Another point is chosen: its ring begins with the colours that fit. */
  reset() {
    this.all = false;
  }

  hide() {
    this.box.hidden = true;
  }

  /**
   * @param {import('./edit_history.js').Hint} hint the point of the open ring @param {Box} zoom the zoom buttons
   * @returns {Box} where the bar lies on the stage
   */
  show(hint, zoom) {
    this.box.hidden = false;
    byId('fitting').setAttribute('aria-pressed', String(!this.all));
    byId('all-colours').setAttribute('aria-pressed', String(this.all));
    byId('ring-grey').setAttribute('aria-pressed', String(Math.hypot(hint.a, hint.b) < GREY_AB));
    const { stage } = this;
    const bounds = stage.reachable;
    const more = !byId('region').hidden;
    const key = JSON.stringify([stage.toStage(hint), bounds, stage.frame, zoom, more, document.documentElement.lang]);
    if (key !== this.key) [this.key, this.place] = [key, this.quieterEdge(hint, bounds, zoom)];
    Object.assign(this.box.style, { left: `${this.place.x}px`, top: `${this.place.y}px` });
    return this.place;
  }

  /**
   * At the lower edge, or at the upper one where it hides less of the touched thing; beside the zoom buttons or above them.
   * @param {Place} hint @param {Box} bounds @param {Box} zoom @returns {Box}
   */
  quieterEdge(hint, bounds, zoom) {
    const { stage } = this;
    const margin = MARGIN_MM * stage.pxPerMm();
    const [w, h] = [this.box.offsetWidth, this.box.offsetHeight];
    const bottom = bounds.y + bounds.h;
    // The zoom buttons are at the left, or at the right of a page that runs from right to left.
    const [from, to] = zoom.x < bounds.w / 2 ? [zoom.x + zoom.w + margin, bounds.w] : [0, zoom.x - margin];
    const middle = bounds.x + (bounds.w - w) / 2;
    const beside = w <= to - from ? { x: clamp(middle, from, to - w), y: bottom - h - margin } : null;
    const lower = beside ?? { x: middle, y: Math.min(bottom, zoom.y) - h - margin };
    const upper = { x: middle, y: bounds.y + margin };
    const thing = stage.thingAt(hint, h).map((place) => stage.toStage(place));
    const [hiddenBelow, hiddenAbove] = [lower, upper].map(({ x, y }) => (
      thing.filter((p) => p.x > x && p.x < x + w && p.y > y - margin && p.y < y + h + margin).length));
    const isUpper = hiddenAbove < hiddenBelow;
    this.box.dataset.edge = isUpper ? 'upper' : 'lower';
    return { ...(isUpper ? upper : lower), w, h };
  }
}
