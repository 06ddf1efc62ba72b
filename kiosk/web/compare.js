// @ts-check
// Comparison with the grey original: all of it while a button is held, or one side of a slider.
import { byId } from './dom.js';

export class Compare {
  /** @param {import('./stage.js').Stage} stage */
  constructor(stage) {
    this.stage = stage;
    this.slider = /** @type {HTMLInputElement} */ (byId('compare'));
    this.slider.addEventListener('input', () => this.setSplit(Number(this.slider.value) / 100));
    byId('split').addEventListener('click', () => this.show(stage.split < 0));
    this.listenToHold();
  }

  listenToHold() {
    const hold = byId('hold');
    /** @param {boolean} on */
    const setGrey = (on) => {
      if (this.stage.grey === on) return;
      this.stage.grey = on;
      hold.setAttribute('aria-pressed', String(on));
      this.stage.draw();
    };
    hold.addEventListener('pointerdown', (event) => {
      hold.setPointerCapture(event.pointerId);
      setGrey(true);
    });
    for (const name of ['pointerup', 'pointercancel', 'lostpointercapture']) hold.addEventListener(name, () => setGrey(false));
    // A switch cannot hold: one press of a key (a click with detail 0) turns grey on, the next one off.
    hold.addEventListener('click', (event) => event.detail === 0 && setGrey(!this.stage.grey));
    hold.addEventListener('blur', () => setGrey(false));
  }

  /** @param {boolean} on */
  show(on) {
    this.slider.hidden = !on;
    byId('seam').hidden = !on;
    this.slider.value = '50';
    byId('split').setAttribute('aria-pressed', String(on));
    document.body.classList.toggle('comparing', on);
    this.setSplit(on ? 0.5 : -1);
  }

  /** @param {number} split share of the photograph's width that is grey, −1 for none */
  setSplit(split) {
    this.stage.split = split;
    this.place();
    this.stage.draw();
  }

  /** Put the slider's thumb and the seam where grey meets colour. */
  place() {
    const f = this.stage.frame;
    const [top, bottom] = [Math.max(0, f.y), Math.min(this.stage.size.h, f.y + f.h)];
    const x = f.x + Math.max(0, this.stage.split) * f.w;
    Object.assign(this.slider.style, { left: `${f.x - 12}px`, width: `${f.w + 24}px` });
    Object.assign(byId('seam').style, { transform: `translate(${x}px, ${top}px)`, height: `${bottom - top}px` });
  }
}
