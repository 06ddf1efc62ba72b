// @ts-check
// What a visitor has asked of a picture, with undo and redo. Values are never changed in place.
import { fits } from './strokes.js';

/**
 * @typedef {import('./strokes.js').Hint} Hint
 * `strength`: factor of the finished colours, 0…2; 0 is grey.
 * @typedef {{hints: Hint[], mood: string, reference: string | null, strength: number}} Edit
 */

/** @type {Edit} */
const EMPTY = { hints: [], mood: 'none', reference: null, strength: 1 };

export class EditHistory {
  constructor() {
    this.present = EMPTY;
    /** @type {Edit[]} */
    this.past = [];
    /** @type {Edit[]} */
    this.future = [];
    /** The edit before the gesture under way. @type {Edit | null} */
    this.beforeGesture = null;
  }

  /** Start a gesture: all changes until `commit` are one step of undo. */
  begin() {
    this.beforeGesture ??= this.present;
  }

  /** End the gesture. One that changed nothing adds no step, so that every undo can be seen. */
  commit() {
    const before = this.beforeGesture;
    this.beforeGesture = null;
    if (!before) return;
    if (JSON.stringify(before) === JSON.stringify(this.present)) this.present = before;
    else {
      this.past.push(before);
      this.future = [];
    }
  }

  /** Take the gesture back. */
  rollback() {
    this.present = this.beforeGesture ?? this.present;
    this.beforeGesture = null;
  }

  /** @param {Partial<Edit>} change */
  apply(change) {
    const alone = this.beforeGesture === null;
    this.begin();
    this.present = { ...this.present, ...change };
    if (alone) this.commit();
  }

  /** @param {Hint} hint @returns {number} its index; −1 if the picture takes no more */
  addHint(hint) {
    const hints = [...this.present.hints, hint];
    if (!fits(hints)) return -1;
    this.apply({ hints });
    return hints.length - 1;
  }

  /** @param {number} index @param {Partial<Hint>} change */
  changeHint(index, change) {
    this.setHint(index, { ...this.present.hints[index], ...change });
  }

  /** Put another hint into the place of one. @param {number} index @param {Hint} changed @returns {boolean} false if the picture takes no more */
  setHint(index, changed) {
    const hints = this.withHint(index, changed);
    if (!fits(hints)) return false;
    this.apply({ hints });
    return true;
  }

  /** Complete a hint by what the engine has found, within the step that is there. @param {number} index @param {Hint} completed */
  amendHint(index, completed) {
    this.present = { ...this.present, hints: this.withHint(index, completed) };
  }

  /** @param {number} index @param {Hint} changed */
  withHint(index, changed) {
    return this.present.hints.map((hint, i) => (i === index ? changed : hint));
  }

  /** @param {number} index */
  removeHint(index) {
    this.apply({ hints: this.present.hints.filter((_, i) => i !== index) });
  }

  clear() {
    if (this.present !== EMPTY) this.apply(EMPTY);
  }

  /** @returns {boolean} whether there was a step */
  undo() {
    this.commit();
    const previous = this.past.pop();
    if (!previous) return false;
    this.future.push(this.present);
    this.present = previous;
    return true;
  }

  /** @returns {boolean} whether there was a step */
  redo() {
    this.commit();
    const next = this.future.pop();
    if (!next) return false;
    this.past.push(this.present);
    this.present = next;
    return true;
  }
}
