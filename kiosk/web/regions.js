// @ts-check
// "Stay inside": the region that a hint may colour. It is the network's own outline, which follows the hint and can be
// shrunk and grown, or a line drawn around a thing by hand.
import { byId, clamp } from './dom.js';
import { translate } from './language.js';
import { say } from './status.js';
import { MAX_REGIONS, drawnOutline, extended, fits, lacksOutline, ownOutline, rounded } from './strokes.js';

/** @typedef {import('./strokes.js').Hint} Hint */
/** @typedef {import('./strokes.js').Line} Line */
/** @typedef {import('./stage.js').Place} Place */

export class Regions {
  /** @param {import('./painting.js').Painting} painting */
  constructor(painting) {
    this.painting = painting;
    /** The hint whose outline the request under way asks for. @type {{seq: number, hint: Hint} | null} */
    this.asked = null;
    /** The border of a region that was grown, as the engine told it. @type {{inside: Hint['inside'], polygons: Line[]}} */
    this.border = { inside: undefined, polygons: [] };
    /** The line that a finger draws around a thing. @type {Line | null} */
    this.drawing = null;
    this.slider = /** @type {HTMLInputElement} */ (byId('grow'));
    this.listen();
  }

  listen() {
    const { painting, slider } = this;
    byId('inside').addEventListener('click', () => this.toggle());
    byId('draw').addEventListener('click', () => painting.hint?.inside && painting.modes.toggle('draw'));
    slider.addEventListener('pointerdown', () => painting.edits.begin());
    slider.addEventListener('input', (event) => this.grow(Number(slider.value), event.timeStamp));
    // A touch that leaves the slider where it was fires no change event.
    for (const name of ['pointerup', 'pointercancel', 'change']) {
      slider.addEventListener(name, () => {
        painting.edits.commit();
        painting.changed();
      });
    }
    painting.requests.addEventListener('sent', (event) => {
      const index = this.wanted;
      const seq = /** @type {CustomEvent} */ (event).detail;
      this.asked = index === null ? null : { seq, hint: painting.edits.present.hints[index] };
    });
  }

  /** Whether every region is known. */
  get complete() {
    return !this.painting.edits.present.hints.some(lacksOutline);
  }

  /** Index of the hint whose outline the next request has to ask for. @returns {number | null} */
  get wanted() {
    const { painting } = this;
    // While a finger moves a hint, its colour goes where it goes; the outline comes when the finger is lifted.
    if (painting.dragging) return null;
    const { hints } = painting.edits.present;
    const missing = hints.findIndex(lacksOutline);
    if (missing >= 0) return missing;
    const inside = hints[painting.chosen]?.inside;
    return inside?.grow_px && inside !== this.border.inside && painting.ring.open ? painting.chosen : null;
  }

  /** Take the outline of an answer. @param {import('./link.js').Header} header */
  take({ seq, outline }) {
    if (!outline || seq !== this.asked?.seq) return;
    const { edits } = this.painting;
    const hint = edits.present.hints[outline.hint];
    if (!hint?.inside || hint !== this.asked.hint) return;
    if (!lacksOutline(hint)) {
      this.border = { inside: hint.inside, polygons: outline.polygons };
      return;
    }
    const completed = { ...hint, inside: { ...hint.inside, polygons: outline.polygons } };
    if (outline.polygons.length && fits(edits.withHint(outline.hint, completed))) edits.amendHint(outline.hint, completed);
    else {
      edits.amendHint(outline.hint, without(hint));
      say(translate(outline.polygons.length ? 'too_many_regions' : 'no_outline'), { beside: byId('inside') });
    }
    this.painting.changed();
  }

  /** Keep the chosen hint inside the network's own outline, or let it colour anything again. */
  toggle() {
    const { painting } = this;
    const { hint, edits } = painting;
    if (!hint) return;
    if (hint.inside) painting.replace(without(hint));
    else if (this.isFull(edits.present.hints)) say(translate('too_many_regions'), { beside: byId('inside') });
    else painting.replace({ ...hint, inside: ownOutline() });
  }

  /** Whether the picture takes no further region. @param {Hint[]} hints */
  isFull(hints) {
    return hints.filter(({ inside }) => inside).length >= MAX_REGIONS;
  }

  /** @param {number} grow_px @param {number} time_ms of the event behind it */
  grow(grow_px, time_ms) {
    const { hint } = this.painting;
    if (hint?.inside) this.painting.replace({ ...hint, inside: { ...hint.inside, grow_px } }, time_ms);
  }

  // A line around a thing

  /** @param {Place} place where a finger comes down */
  beginLine({ x, y }) {
    this.drawing = [[rounded(x), rounded(y)]];
  }

  /** @param {Place} place where it moves */
  drawOn({ x, y }) {
    if (this.drawing) this.drawing = extended(this.drawing, { x: clamp(x), y: clamp(y) });
  }

  /** The finger is lifted, or was a palm. @param {boolean} kept */
  endLine(kept) {
    const { painting, drawing } = this;
    this.drawing = null;
    const { hint } = painting;
    if (!kept || !drawing || !hint) return;
    const inside = drawnOutline(drawing);
    painting.modes.set('');
    if (inside.polygons[0].length < 3) return;
    if (!hint.inside && this.isFull(painting.edits.present.hints)) say(translate('too_many_regions'), { beside: byId('inside') });
    else painting.replace({ ...hint, inside });
    painting.ring.set(true);
  }

  // What is shown

  /** The outline to show: the one that is being drawn, or that of the chosen hint. @returns {Line[]} */
  get outline() {
    if (this.drawing) return [this.drawing];
    const { painting, border } = this;
    const inside = painting.hint?.inside;
    if (!inside?.polygons.length || !painting.ring.open || painting.dragging) return [];
    // Until the engine has told the new border, the one before stays.
    return inside.grow_px && border.inside?.polygons === inside.polygons ? border.polygons : inside.polygons;
  }

  /** The buttons and the slider. */
  show() {
    const { hint, modes: { mode } } = this.painting;
    const inside = hint?.inside;
    byId('inside').setAttribute('aria-pressed', String(Boolean(inside)));
    byId('draw').setAttribute('aria-pressed', String(mode === 'draw'));
    byId('region').hidden = !inside;
    this.slider.value = String(inside?.grow_px ?? 0);
  }
}

/** The hint without a region. @param {Hint} hint @returns {Hint} */
function without({ inside: _, ...hint }) {
  return hint;
}
