// @ts-check
// A touch under way: a place whose colour is asked for, a hint that a finger moves, or a line that the brush paints. All
// that a finger does from its coming down to its lifting is one step of undo.
import { drawnOn, endOf, extended, moved, rounded, simplified, simplifiedLine } from './strokes.js';

/** @typedef {import('./strokes.js').Line} Line */
/** @typedef {import('./stage.js').Place} Place */

export class Drag {
  /** @param {import('./painting.js').Painting} painting */
  constructor(painting) {
    this.painting = painting;
    /** A touched place whose colour has been asked for; the answer makes it a hint. @type {Place | null} */
    this.pending = null;
    /** The line that the brush has painted from there. @type {Line | null} */
    this.pendingLine = null;
    /** Number of the first request that carried it: older answers are about other places. */
    this.pendingSeq = Infinity;
    /** A finger moves the chosen place, or paints its line on. */
    this.on = false;
    this.paints = false;
    painting.requests.addEventListener('sent', (event) => {
      if (this.pending && this.pendingSeq === Infinity) this.pendingSeq = /** @type {CustomEvent} */ (event).detail;
    });
  }

  /** Where the marker of the pending place lies. @returns {Place | null} */
  get pendingEnd() {
    return this.pendingLine ? endOf(this.pendingLine) : this.pending;
  }

  /** Ask for the colours of a new place. @param {Place} place */
  ask(place) {
    this.pending = place;
    this.pendingLine = this.painting.modes.brush ? [[rounded(place.x), rounded(place.y)]] : null;
    this.pendingSeq = Infinity;
  }

  /** Ask no more. */
  forget() {
    this.pending = this.pendingLine = null;
  }

  /**
   * Take what was asked for out, if an answer is about it.
   * @param {number} seq number of the answer @returns {Line | null} the touched place, or what was painted from there
   */
  take(seq) {
    const { pending, pendingLine } = this;
    if (!pending || seq < this.pendingSeq) return null;
    this.forget();
    // A finger that is still down drags the new point, or paints on.
    if (this.painting.gestures.painting) this.begin(pendingLine !== null);
    return pendingLine ? simplified(pendingLine) : [[pending.x, pending.y]];
  }

  /** A finger takes hold of the chosen place. @param {boolean} paints it paints its line on, else it moves it */
  begin(paints) {
    this.painting.edits.begin();
    this.on = true;
    this.paints = paints;
  }

  /** @param {Place} place where the finger is now @returns {boolean} whether there is something that follows it */
  to(place) {
    const { hint, chosen, chosenLine, edits } = this.painting;
    if (this.pendingLine) this.pendingLine = extended(this.pendingLine, place);
    else if (this.pending) this.pending = place;
    else if (!this.on || !hint) return false;
    else if (!edits.setHint(chosen, this.paints ? drawnOn(hint, chosenLine, place) : moved(hint, chosenLine, place))) {
      this.painting.sayFull(place);
      return false;
    }
    return true;
  }

  /** The finger is lifted. */
  end() {
    const { hint, chosen, chosenLine, edits } = this.painting;
    if (this.paints && hint) edits.setHint(chosen, simplifiedLine(hint, chosenLine));
    this.on = this.paints = false;
    if (!this.pending) edits.commit();
  }

  /** The finger was none: everything is as before it came. */
  drop() {
    this.on = this.paints = false;
    this.forget();
    this.painting.edits.rollback();
  }
}
