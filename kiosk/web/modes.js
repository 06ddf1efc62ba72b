// @ts-check
// What the next touch does: place a hint, or something with the chosen hint; and whether fingers paint lines.
import { byId } from './dom.js';
import { translate } from './language.js';

/** What the next touch does with the chosen hint: moves it, gives it another place, or draws around a thing. @typedef {'' | 'move' | 'same' | 'draw'} Mode */

/** What the page asks for in each mode. @type {Record<Mode, string>} */
const ASKS = { '': 'coach', move: 'move_where', same: 'same_where', draw: 'draw_where' };
/** @type {Mode[]} */
const HIDES_RING = ['same', 'draw'];

export class Modes {
  /** @param {import('./painting.js').Painting} painting */
  constructor(painting) {
    this.painting = painting;
    /** @type {Mode} */
    this.mode = '';
    /** Fingers paint lines. */
    this.brush = false;
    byId('brush').addEventListener('click', () => this.setBrush(!this.brush));
    byId('same').addEventListener('click', () => this.toggle('same'));
    addEventListener('keydown', (event) => event.key === 'Escape' && this.mode && this.set(''));
  }

  /** Let the next touch do something else than to place a hint. @param {Mode} mode */
  set(mode) {
    this.mode = mode;
    // The ring makes way; the focus must not vanish with it.
    if (HIDES_RING.includes(mode) && byId('ring-bar').contains(document.activeElement)) byId('cross').focus();
    if (mode) byId('coach').classList.remove('gone');
    else if (this.painting.edits.present.hints.length) byId('coach').classList.add('gone');
    this.show();
  }

  /** Choose a mode, or leave it if it is chosen. @param {Mode} mode */
  toggle(mode) {
    this.set(this.mode === mode ? '' : mode);
  }

  /** Let fingers paint lines, or place points. @param {boolean} on */
  setBrush(on) {
    this.brush = on;
    this.set('');
    if (on) byId('coach').classList.remove('gone');
  }

  /** Say what the next touch does. */
  show() {
    byId('coach').textContent = translate(!this.mode && this.brush ? 'brush_coach' : ASKS[this.mode]);
    document.body.dataset.mode = this.mode;
    byId('brush').setAttribute('aria-pressed', String(this.brush));
    byId('cross').setAttribute('aria-label', translate(this.brush ? 'brush_cross' : 'cross'));
    this.painting.showPalette();
  }
}
