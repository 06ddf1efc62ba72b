// @ts-check
// The ring round the chosen point: swatches of likely colours or of all hues, each with its name, and its bar.
import { arrange } from './arrange.js';
import { css, cssHue, nameOf, project } from './colour.js';
import { byId } from './dom.js';
import { colourWords } from './language.js';
import { RingBar } from './ring_bar.js';

/** @typedef {NonNullable<import('./link.js').Header['colours']>} Colours */
/** @typedef {import('./stage.js').Place} Place */

/** Half the width of a swatch, its rim included. */
const HALF_MM = 11;
/** A swatch whose ab is this near to the point's is the one that was picked. */
const SAME_AB = 1;

export class Swatches {
  /** @param {import('./stage.js').Stage} stage @param {(a: number, b: number) => void} pick */
  constructor(stage, pick) {
    this.stage = stage;
    this.pick = pick;
    this.box = byId('swatches');
    this.bar = new RingBar(stage, {
      changed: () => this.show(this.hint, this.colours),
      keepGrey: () => pick(0, 0),
    });
    /** @type {import('./edit_history.js').Hint | undefined} */
    this.hint = undefined;
    /** Suggested for it. @type {Colours | null} */
    this.colours = null;
    /** The swatches shown: a, b and confidence. @type {Colours['swatches']} */
    this.shown = [];
    /** @type {import('./arrange.js').Box} */
    this.zoom = { x: 0, y: 0, w: 0, h: 0 };
    this.zoomKey = '';
    this.placesKey = '';
    /** @type {Place[]} */
    this.lastPlaces = [];
  }

  /** @param {import('./edit_history.js').Hint | undefined} hint the chosen point @param {Colours | null} colours suggested for it */
  show(hint, colours) {
    [this.hint, this.colours] = [hint, colours];
    this.box.hidden = !hint || !colours;
    if (this.box.hidden) this.bar.hide();
    // All is put in place again when the finger stops.
    if (!hint || !colours || this.box.classList.contains('moving')) return;
    const bar = this.bar.show(hint, this.zoomBox());
    const { L } = colours;
    const swatches = this.shown = this.bar.all ? this.bar.colours(L) : colours.swatches;
    while (this.box.children.length > swatches.length) this.box.lastElementChild?.remove();
    while (this.box.children.length < swatches.length) this.box.append(this.createSwatch(this.box.children.length));
    const places = this.places(hint, swatches.length, bar);
    const picked = swatches.map(([a, b]) => Math.hypot(a - hint.a, b - hint.b) < SAME_AB);
    // The picked swatch has the name of the point, also where a small difference would change it.
    const pointName = nameOf(L, ...project(L, hint.a, hint.b));
    const names = swatches.map(([a, b], i) => colourWords(picked[i] ? pointName : nameOf(L, a, b)));
    swatches.forEach(([a, b], i) => {
      const swatch = /** @type {HTMLElement} */ (this.box.children[i]);
      swatch.style.left = `${places[i].x}px`;
      swatch.style.top = `${places[i].y}px`;
      swatch.style.setProperty('--colour', css(L, a, b));
      swatch.style.setProperty('--rim', cssHue(L, a, b));
      swatch.style.setProperty('--name-colour', L > 55 ? '#000' : '#fff');
      swatch.setAttribute('aria-pressed', String(picked[i]));
      swatch.setAttribute('aria-label', names[i]);
      // A name that another swatch has already would tell nothing: it is only read out.
      const shown = names.indexOf(names[i]) === i ? names[i] : '';
      if (swatch.textContent !== shown) /** @type {HTMLElement} */ (swatch.firstElementChild).textContent = shown;
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
      const colour = this.shown[index];
      if (colour) this.pick(colour[0], colour[1]);
    });
    return swatch;
  }

  /**
   * Middles of the swatches. Places are worked out again when the point, the photograph or the layout has moved.
   * @param {Place} place of the photograph @param {number} count @param {import('./arrange.js').Box} bar @returns {Place[]}
   */
  places(place, count, bar) {
    const { stage } = this;
    const point = stage.toStage(place);
    const [frame, bounds, zoom] = [stage.visible, stage.reachable, this.zoomBox()];
    const half = HALF_MM * stage.pxPerMm();
    const key = JSON.stringify([point, count, half, bounds, frame, zoom, bar]);
    if (key !== this.placesKey) {
      const thing = stage.thingAt(place, half / 2).map((at) => stage.toStage(at));
      [this.placesKey, this.lastPlaces] = [key, arrange({ point, count, half, bounds, frame, zoom, bar, thing })];
    }
    return this.lastPlaces;
  }

  /** The rectangle of the zoom buttons on the stage, measured again when the layout has changed. */
  zoomBox() {
    const key = [this.stage.size.w, this.stage.size.h, this.stage.pxPerMm(), document.documentElement.dir].join();
    if (key !== this.zoomKey) {
      const { offsetLeft: x, offsetTop: y, offsetWidth: w, offsetHeight: h } = byId('zoom');
      [this.zoomKey, this.zoom] = [key, { x, y, w, h }];
    }
    return this.zoom;
  }
}
