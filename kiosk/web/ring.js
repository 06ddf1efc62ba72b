// @ts-check
// When the ring of swatches is open: from the touch of a point until a touch beside it, Escape, grey held, or a while
// without input. Keys and screen readers keep it open as long as their focus is on it or on its point.
import { byId } from './dom.js';

/** Without any input for this long the ring closes. */
const CLOSE_MS = 6000;
const INPUTS = ['pointerdown', 'pointermove', 'pointerup', 'keydown', 'wheel'];

export class Ring {
  /** @param {() => void} changed called when the ring has opened or closed */
  constructor(changed) {
    this.changed = changed;
    this.open = false;
    this.timer = 0;
    /** The last input came from a finger, a pen or a mouse. */
    this.byPointer = false;
    /** A mouse button or a finger is about to move the focus. */
    this.pressing = false;
    this.listen();
  }

  listen() {
    for (const name of INPUTS) {
      addEventListener(name, (event) => {
        this.byPointer = event.type !== 'keydown';
        this.restart();
      }, { capture: true, passive: true });
    }
    // Browsers send these before the focus moves, for fingers too.
    addEventListener('mousedown', () => { this.pressing = true; }, { capture: true });
    addEventListener('mouseup', () => { this.pressing = false; }, { capture: true });
    // A focus that no press brought comes from keys, a switch or a screen reader.
    byId('stage').addEventListener('focusin', () => {
      if (!this.pressing) this.byPointer = false;
    });
    addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && this.open && !document.querySelector('dialog[open]')) this.close();
    });
    byId('hold').addEventListener('pointerdown', () => this.close());
    byId('hold').addEventListener('click', () => this.close());
  }

  /** Whether keys, a switch or a screen reader are at the ring or at what opened it. */
  get focused() {
    return !this.byPointer && Boolean(document.activeElement?.closest('#swatches, #ring-bar, #marks, #cross'));
  }

  restart() {
    clearTimeout(this.timer);
    if (this.open) this.timer = setTimeout(() => (this.focused ? this.restart() : this.close()), CLOSE_MS);
  }

  /** @param {boolean} open */
  set(open) {
    if (this.open === open) return;
    this.open = open;
    this.restart();
    this.changed();
  }

  close() {
    // The focus must not vanish with the ring: its point has it next.
    if (document.activeElement?.closest('#swatches, #ring-bar')) /** @type {HTMLElement | null} */ (document.querySelector('.mark.chosen'))?.focus();
    this.set(false);
  }
}
