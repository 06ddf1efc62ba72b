// @ts-check
// Beside the picture: the chosen point's colour by name, all colours it could have, recent ones, its size and fate.
import { css, nameOf, project } from './colour.js';
import { button, byId } from './dom.js';
import { Field } from './field.js';
import { colourWords, translate } from './words.js';

/** @typedef {import('./edits.js').Hint} Hint */

const SIZES = [1, 3, 5, 7, 9];
const RECENT = 6;
/** Colours nearer than this are one colour to the eye. */
const SAME = 4;

/** @typedef {import('./field.js').FieldActs & {use: (a: number, b: number) => void, size: (size: number) => void, grey: () => void,
 *   move: () => void, remove: () => void}} PaletteActs */

export class Palette {
  /** @param {import('./stage.js').Stage} stage @param {PaletteActs} acts @param {(event: PointerEvent) => boolean} isPalm */
  constructor(stage, acts, isPalm) {
    this.stage = stage;
    this.acts = acts;
    this.field = new Field(acts, isPalm);
    /** @type {[number, number][]} */
    this.recent = [];
    this.dotsFor = '';
    /** Of the next point. */
    this.size = 5;
    byId('grey').addEventListener('click', () => acts.grey());
    byId('move').addEventListener('click', () => acts.move());
    byId('delete').addEventListener('click', () => acts.remove());
    byId('smaller').addEventListener('click', () => this.step(-1));
    byId('bigger').addEventListener('click', () => this.step(1));
  }

  /** @param {number} by */
  step(by) {
    const size = SIZES[SIZES.indexOf(this.size) + by];
    if (!size) return;
    this.size = size;
    this.acts.size(size);
  }

  /** @param {Hint | undefined} hint @param {number | undefined} lightness L there, where the server has told it @param {boolean} moving */
  show(hint, lightness, moving) {
    document.body.classList.toggle('has-point', Boolean(hint));
    for (const id of ['grey', 'delete', 'move']) button(id).disabled = !hint;
    byId('move').setAttribute('aria-pressed', String(moving));
    const L = hint ? (lightness ?? this.stage.lightnessAt(hint)) : 65;
    const [a, b] = hint ? project(L, hint.a, hint.b) : [0, 0];
    byId('chip').style.setProperty('--colour', css(L, a, b));
    byId('chosen-name').textContent = hint ? colourWords(nameOf(L, a, b)) : translate('no_point');
    this.field.show(L, hint ? [a, b] : null);
    this.showRecent(L, Boolean(hint));
    if (hint) this.size = hint.size;
    byId('size').style.setProperty('--dot', `${this.size / 9}`);
    byId('size').setAttribute('aria-label', `${translate('size')}: ${this.size}`);
    button('smaller').disabled = this.size === SIZES[0];
    button('bigger').disabled = this.size === SIZES.at(-1);
  }

  /** @param {number} L @param {boolean} usable */
  showRecent(L, usable) {
    const words = document.documentElement.lang;
    const key = JSON.stringify([Math.round(L), usable, words, this.recent]);
    if (key === this.dotsFor) return;
    this.dotsFor = key;
    byId('recent').replaceChildren(...this.recent.map(([p, q]) => {
      const dot = document.createElement('button');
      const [a, b] = project(L, p, q);
      dot.className = 'dot';
      dot.style.setProperty('--colour', css(L, a, b));
      dot.setAttribute('aria-label', colourWords(nameOf(L, a, b)));
      dot.disabled = !usable;
      dot.addEventListener('click', () => this.acts.use(p, q));
      return dot;
    }));
  }

  /** @param {number} a @param {number} b */
  remember(a, b) {
    if (Math.hypot(a, b) < 1) return;
    const others = this.recent.filter(([p, q]) => Math.hypot(p - a, q - b) > SAME);
    this.recent = [/** @type {[number, number]} */ ([a, b]), ...others].slice(0, RECENT);
  }

  forget() {
    this.recent = [];
    this.size = 5;
  }
}
