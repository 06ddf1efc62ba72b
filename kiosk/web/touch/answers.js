// @ts-check
// Edits → answers, as kiosk/engine/service.py gives them, computed in the page. The worker calls it.
import { project } from '../colour.js';
import { loadHistogram } from './features.js';
import { firstColour, pixelAt } from './first_colour.js';
import { isMood, moodOf, vectorOf } from './global_hints.js';
import { OpenPhoto } from './open_photo.js';
import { isOn, pointsOf } from './stroke_points.js';
import { suggest } from './suggest.js';
import { PLANE } from './touch.js';

/** @typedef {import('./touch.js').Hint} Hint */
/** @typedef {import('./global_hints.js').GlobalHints} GlobalHints */
/**
 * An edit with the addresses of the files that it needs.
 * @typedef {{seq: number, photo: string, hints: import('./stroke_points.js').Mark[], mood?: string, reference?: string | null, saturation?: number | null,
 *   point?: [number, number] | null, addresses: import('./open_photo.js').Addresses & {histogram: string | null}}} Asked
 */
/** A photograph to load, without an edit. @typedef {{photo: string, reference?: null, addresses: Asked['addresses']}} Opened */
/** @typedef {{header: import('../link.js').Header, pixels: ArrayBuffer}} Reply */

const SWATCHES = 5;
const MAX_PHOTOS = 3;
/** @type {GlobalHints} */
const NOTHING = { histogram: null, saturation: null };

export class Answers {
  /** @param {import('./touch.js').Touch} touch @param {number} vivid factor of the automatic colours */
  constructor(touch, vivid) {
    this.touch = touch;
    this.vivid = vivid;
    /** The last photographs, the newest last. @type {Map<string, OpenPhoto>} */
    this.photos = new Map();
    /** @type {Map<string, Float32Array>} */
    this.histograms = new Map();
    /** The photograph whose maps the kernels hold. @type {OpenPhoto | null} */
    this.mapped = null;
    /** What the kernels have been asked of the whole picture. */
    this.asked = '';
    /** The hints that `touch.ab` is the answer to; null while it is something else. @type {string | null} */
    this.shown = null;
  }

  /** Load what an edit needs, unless it is there. Throws TouchError, and AbortError. @param {Asked | Opened} edit @param {AbortSignal} signal */
  async load({ photo, reference, addresses }, signal) {
    const { model } = this.touch.heads;
    const open = this.photos.get(photo) ?? await OpenPhoto.load(photo, addresses, model, signal);
    this.photos.delete(photo);
    this.photos.set(photo, open);
    for (const id of this.photos.keys()) if (this.photos.size > MAX_PHOTOS) this.photos.delete(id);
    if (reference && addresses.histogram && !this.histograms.has(reference)) {
      this.histograms.set(reference, await loadHistogram(addresses.histogram, model, signal));
    }
  }

  /** Answer an edit whose files are loaded. @param {Asked} edit @returns {Reply} */
  answer(edit) {
    /** @type {Record<string, number>} */
    const timings = {};
    let started = performance.now();
    const note = (/** @type {string} */ stage) => {
      const now = performance.now();
      timings[stage] = Math.round((now - started) * 100) / 100;
      started = now;
    };
    const photo = /** @type {OpenPhoto} */ (this.photos.get(edit.photo));
    this.open(photo);
    note('encode_ms');
    const hints = this.points(photo, edit.hints);
    const asked = this.globalHints(photo, edit);
    if (edit.point) this.automatic(photo, asked);  // before the answer, for the kernels hold one ab alone
    this.colorize(hints, asked);
    note('touch_ms');
    const colours = edit.point ? this.colours(photo, edit.hints, asked, edit.point) : null;
    if (colours) note('suggest_ms');
    const pixels = this.touch.packed();
    note('pack_ms');
    return { header: { seq: edit.seq, kind: 'planes', timings, colours }, pixels: pixels.buffer };
  }

  /** The points of hints, each with its colour in the gamut at the L there. @param {OpenPhoto} photo @param {Asked['hints']} hints */
  points(photo, hints) {
    return pointsOf(hints, this.touch.heads.maxHints).map(([x, y, a, b, size]) => (
      /** @type {Hint} */ ([x, y, ...project(photo.lightnessAt(x, y), a, b), size])));
  }

  /** Compute the maps of a photograph that is loaded. @param {string} id */
  openById(id) {
    this.open(/** @type {OpenPhoto} */ (this.photos.get(id)));
  }

  /** Give the kernels a photograph. @param {OpenPhoto} photo */
  open(photo) {
    if (this.mapped === photo) return;
    this.touch.open(photo.features, this.vivid);
    [this.mapped, this.asked, this.shown] = [photo, nameOf(NOTHING), null];
  }

  /** `touch.ab` ← the colours of hints. @param {Hint[]} hints @param {GlobalHints} asked */
  colorize(hints, asked) {
    const name = nameOf(asked);
    if (this.asked !== name) this.touch.useGlobalHints(vectorOf(asked));
    const shown = `${name};${hints.join(';')}`;
    if (this.shown !== shown) this.touch.colorize(hints);
    [this.asked, this.shown] = [name, shown];
  }

  /** ab without hints, at `vivid` 1; computed once. @param {OpenPhoto} photo @param {GlobalHints} asked */
  automatic(photo, asked) {
    const name = nameOf(asked);
    let found = photo.automatic.get(name);
    if (!found) {
      this.colorize([], asked);
      found = this.touch.ab.map((value) => value / this.vivid);
      photo.automatic.clear();
      photo.automatic.set(name, found);
    }
    return found;
  }

  /** @param {OpenPhoto} photo @param {Asked} edit @returns {GlobalHints} */
  globalHints(photo, { mood, reference, saturation }) {
    let asked = NOTHING;
    if (reference) asked = { histogram: this.histograms.get(reference) ?? null, saturation: null };
    else if (mood && isMood(mood)) {
      if (!photo.moods.has(mood)) {
        photo.moods.set(mood, moodOf(mood, this.automatic(photo, NOTHING), photo.working, this.touch.heads.centres));
      }
      asked = photo.moods.get(mood) ?? NOTHING;
    }
    return typeof saturation === 'number' ? { ...asked, saturation } : asked;
  }

  /**
   * Suggestions at a point. A hint on the point itself, or a stroke through it, is left out: its colour is the one to be
   * changed. @param {OpenPhoto} photo @param {Asked['hints']} hints @param {GlobalHints} asked @param {[number, number]} point
   * @returns {NonNullable<import('../link.js').Header['colours']>}
   */
  colours(photo, hints, asked, point) {
    const [x, y] = point, L = photo.lightnessAt(x, y), { touch } = this, at = pixelAt(point);
    const others = this.points(photo, hints.filter((hint) => !isOn(hint, x, y)));
    const swatches = suggest(touch.distribution(others, x, y), touch.heads.centres, L, SWATCHES);
    const current = project(L, touch.ab[at], touch.ab[PLANE * PLANE + at]);
    const likeliest = /** @type {[number, number]} */ (swatches[0].slice(0, 2));
    const first = firstColour(photo.working, touch.ab, this.automatic(photo, asked), point, L, likeliest);
    return { L, swatches, current, first };
  }
}

/** A name for what is asked of a whole picture. @param {GlobalHints} asked */
function nameOf({ histogram, saturation }) {
  return `${histogram ? histogram.join() : ''}|${saturation}`;
}
