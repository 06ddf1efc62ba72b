// @ts-check
// What a visitor has asked of a picture, with undo and redo. Values are never changed in place.

/**
 * @typedef {{x: number, y: number, a: number, b: number, size: number}} Hint
 * `strength`: factor of the finished colours, 0…2; 0 is grey.
 * @typedef {{hints: Hint[], mood: string, reference: string | null, strength: number}} Edit
 */

/** @type {Edit} */
const EMPTY = { hints: [], mood: 'none', reference: null, strength: 1 };
export const MAX_HINTS = 128;

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

  /** @param {Hint} hint @returns {number} its index; −1 if the picture has MAX_HINTS already */
  addHint(hint) {
    const { hints } = this.present;
    if (hints.length >= MAX_HINTS) return -1;
    this.apply({ hints: [...hints, hint] });
    return hints.length;
  }

  /** @param {number} index @param {Partial<Hint>} change */
  changeHint(index, change) {
    this.apply({ hints: this.present.hints.map((hint, i) => (i === index ? { ...hint, ...change } : hint)) });
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
