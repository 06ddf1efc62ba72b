// @ts-check
// The points on the picture, the cross that places one by keys, and the spot that shows where to begin.
import { css, nameOf, project } from './colour.js';
import { arrow, clamp, byId } from './dom.js';
import { colourWords, translate } from './words.js';

/** @typedef {import('./edits.js').Hint} Hint */

/** @typedef {{choose: (index: number) => void, alter: (index: number, place: {x: number, y: number}) => void,
 *   remove: (index: number) => void, ask: (place: {x: number, y: number}) => void}} MarkActs */

export class Marks {
  /** @param {import('./stage.js').Stage} stage @param {MarkActs} acts */
  constructor(stage, acts) {
    this.stage = stage;
    this.acts = acts;
    /** @type {Hint[]} */
    this.hints = [];
    this.cross = { x: 0.5, y: 0.5 };
    const cross = byId('cross');
    cross.addEventListener('keydown', (event) => {
      const step = arrow(event);
      if (!step) return;
      event.preventDefault();
      this.cross = { x: clamp(this.cross.x + step[0] * 2), y: clamp(this.cross.y + step[1] * 2) };
      this.placeCross();
    });
    cross.addEventListener('focus', () => this.placeCross());
    cross.addEventListener('click', () => acts.ask({ ...this.cross }));
  }

  /** @param {Hint[]} hints @param {number} chosen @param {{x: number, y: number} | null} asking a place whose colour is being asked for */
  show(hints, chosen, asking) {
    this.hints = hints;
    const box = byId('marks');
    while (box.children.length > hints.length + 1) box.lastElementChild?.remove();
    while (box.children.length < hints.length + 1) box.append(this.made(box.children.length));
    [...box.children].forEach((element, i) => {
      const mark = /** @type {HTMLElement} */ (element);
      const pending = i === hints.length;
      const place = pending ? asking : hints[i];
      mark.hidden = !place;
      if (!place) return;
      const { x, y } = this.stage.toStage(place);
      mark.style.transform = `translate(${x}px, ${y}px)`;
      mark.classList.toggle('chosen', i === chosen || pending);
      mark.classList.toggle('pending', pending);
      mark.tabIndex = pending ? -1 : 0;
      if (!pending) this.dress(mark, hints[i], i, i === chosen);
    });
    this.placeCross();
  }

  /** @param {HTMLElement} mark @param {Hint} hint @param {number} index @param {boolean} chosen */
  dress(mark, hint, index, chosen) {
    const L = this.stage.lightnessAt(hint);
    const [a, b] = project(L, hint.a, hint.b);
    mark.style.setProperty('--colour', css(L, a, b));
    mark.setAttribute('aria-label', `${translate('point')} ${index + 1}: ${colourWords(nameOf(L, a, b))}`);
    mark.setAttribute('aria-pressed', String(chosen));
  }

  /** @param {number} index */
  made(index) {
    const mark = document.createElement('button');
    mark.className = 'mark';
    mark.dataset.through = '';
    // Fingers choose by nearness; a click without a place is a key or a switch.
    mark.addEventListener('click', (event) => event.detail === 0 && this.acts.choose(index));
    mark.addEventListener('keydown', (event) => {
      const hint = this.hints[index];
      const step = arrow(event);
      if (hint && step) {
        event.preventDefault();
        this.acts.alter(index, { x: clamp(hint.x + step[0]), y: clamp(hint.y + step[1]) });
      } else if (hint && (event.key === 'Delete' || event.key === 'Backspace')) this.acts.remove(index);
    });
    return mark;
  }

  placeCross() {
    const { x, y } = this.stage.toStage(this.cross);
    byId('cross').style.transform = `translate(${x}px, ${y}px)`;
  }

  /** The point under a finger, −1 for none. @param {number} x @param {number} y @param {number} reach_px */
  at(x, y, reach_px) {
    let [best, nearest] = [-1, reach_px];
    this.hints.forEach((hint, i) => {
      const at = this.stage.toStage(hint);
      const far = Math.hypot(at.x - x, at.y - y);
      if (far <= nearest) [best, nearest] = [i, far];
    });
    return best;
  }
}
