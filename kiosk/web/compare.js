// @ts-check
// The grey original: while a button is held, or beside the colours with a slider between.
import { byId } from './dom.js';

export class Compare {
  /** @param {import('./stage.js').Stage} stage */
  constructor(stage) {
    this.stage = stage;
    this.slider = /** @type {HTMLInputElement} */ (byId('compare'));
    this.slider.addEventListener('input', () => this.part(Number(this.slider.value) / 100));
    byId('split').addEventListener('click', () => this.show(stage.split < 0));
    this.wireHold();
  }

  wireHold() {
    const hold = byId('hold');
    /** @param {boolean} on */
    const set = (on) => {
      if (this.stage.grey === on) return;
      this.stage.grey = on;
      hold.setAttribute('aria-pressed', String(on));
      this.stage.draw();
    };
    hold.addEventListener('pointerdown', (event) => {
      hold.setPointerCapture(event.pointerId);
      set(true);
    });
    for (const name of ['pointerup', 'pointercancel', 'lostpointercapture']) hold.addEventListener(name, () => set(false));
    // A switch cannot hold; a press of a key turns grey on, the next one off.
    hold.addEventListener('click', (event) => event.detail === 0 && set(!this.stage.grey));
    hold.addEventListener('blur', () => set(false));
  }

  /** @param {boolean} on */
  show(on) {
    this.slider.hidden = !on;
    byId('seam').hidden = !on;
    this.slider.value = '50';
    byId('split').setAttribute('aria-pressed', String(on));
    document.body.classList.toggle('comparing', on);
    this.part(on ? 0.5 : -1);
  }

  /** @param {number} at */
  part(at) {
    this.stage.split = at;
    this.place();
    this.stage.draw();
  }

  /** The slider's thumb and the line stand where the picture parts. */
  place() {
    const f = this.stage.frame;
    const { h } = this.stage.size;
    Object.assign(this.slider.style, { left: `${f.x - 12}px`, width: `${f.w + 24}px` });
    const [top, bottom] = [Math.max(0, f.y), Math.min(h, f.y + f.h)];
    Object.assign(byId('seam').style, { transform: `translate(${f.x + Math.max(0, this.stage.split) * f.w}px, ${top}px)`, height: `${bottom - top}px` });
  }
}
