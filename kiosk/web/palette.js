// @ts-check
// Beside the picture: name and colour of the chosen point, all colours it could have, recent ones, and its size.
import { css, nameOf, project } from './colour.js';
import { button, byId } from './dom.js';
import { GamutField } from './gamut_field.js';
import { colourWords, translate } from './language.js';

/** @typedef {import('./edit_history.js').Hint} Hint */

const SIZES = [1, 3, 5, 7, 9];
const DEFAULT_SIZE = 5;
const MAX_RECENT = 6;
/** L at which the field shows its colours while no point is chosen. */
const FIELD_L = 65;
/** Recent colours nearer than this in ab count as the same. */
const SAME_AB = 4;
const GREY_AB = 1;

/** @typedef {import('./gamut_field.js').FieldHandlers & {recolour: (a: number, b: number) => void, resize: (size: number) => void,
 *   move: () => void, remove: () => void}} PaletteHandlers */

export class Palette {
  /** @param {import('./stage.js').Stage} stage @param {PaletteHandlers} handlers @param {(event: PointerEvent) => boolean} isPalm */
  constructor(stage, handlers, isPalm) {
    this.stage = stage;
    this.handlers = handlers;
    this.field = new GamutField(handlers, isPalm);
    /** @type {[number, number][]} */
    this.recent = [];
    this.recentKey = '';
    /** Size of the chosen point, or of the next one. */
    this.size = DEFAULT_SIZE;
    byId('grey').addEventListener('click', () => handlers.recolour(0, 0));
    byId('move').addEventListener('click', () => handlers.move());
    byId('delete').addEventListener('click', () => handlers.remove());
    byId('smaller').addEventListener('click', () => this.stepSize(-1));
    byId('bigger').addEventListener('click', () => this.stepSize(1));
  }

  /** @param {number} steps */
  stepSize(steps) {
    const size = SIZES[SIZES.indexOf(this.size) + steps];
    if (!size) return;
    this.size = size;
    this.handlers.resize(size);
  }

  /**
   * @param {Hint | undefined} hint the chosen one
   * @param {number | undefined} lightness L there, if the server has told it
   * @param {import('./modes.js').Mode} mode what the next touch does
   */
  show(hint, lightness, mode) {
    document.body.classList.toggle('has-point', Boolean(hint));
    for (const id of ['grey', 'delete', 'move', 'same']) button(id).disabled = !hint;
    for (const id of ['move', 'same']) byId(id).setAttribute('aria-pressed', String(mode === id));
    const L = hint ? (lightness ?? this.stage.lightnessAt(hint)) : FIELD_L;
    if (hint) this.showColour(hint, L);
    else byId('chosen-name').textContent = translate('no_point');
    this.field.show(L, hint ? project(L, hint.a, hint.b) : null);
    this.showRecent(L, Boolean(hint));
    if (hint) this.size = hint.size;
    byId('size').style.setProperty('--dot', `${this.size / 9}`);
    byId('size').setAttribute('aria-label', `${translate('size')}: ${this.size}`);
    button('smaller').disabled = this.size === SIZES[0];
    button('bigger').disabled = this.size === SIZES.at(-1);
  }

  /** Show the colour of a point and its name. @param {Hint} hint @param {number} L there */
  showColour(hint, L = this.stage.lightnessAt(hint)) {
    const [a, b] = project(L, hint.a, hint.b);
    byId('chip').style.setProperty('--colour', css(L, a, b));
    byId('chosen-name').textContent = colourWords(nameOf(L, a, b));
  }

  /** @param {number} L @param {boolean} usable */
  showRecent(L, usable) {
    const key = JSON.stringify([Math.round(L), usable, document.documentElement.lang, this.recent]);
    if (key === this.recentKey) return;
    this.recentKey = key;
    byId('recent').replaceChildren(...this.recent.map(([p, q]) => {
      const dot = document.createElement('button');
      const [a, b] = project(L, p, q);
      dot.className = 'dot';
      dot.style.setProperty('--colour', css(L, a, b));
      dot.setAttribute('aria-label', colourWords(nameOf(L, a, b)));
      dot.disabled = !usable;
      dot.addEventListener('click', () => this.handlers.recolour(p, q));
      return dot;
    }));
  }

  /** Add a colour to the recent ones. Grey has its own button. @param {number} a @param {number} b */
  remember(a, b) {
    if (Math.hypot(a, b) < GREY_AB) return;
    const others = this.recent.filter(([p, q]) => Math.hypot(p - a, q - b) > SAME_AB);
    this.recent = [/** @type {[number, number]} */ ([a, b]), ...others].slice(0, MAX_RECENT);
  }

  forget() {
    this.recent = [];
    this.size = DEFAULT_SIZE;
  }
}
