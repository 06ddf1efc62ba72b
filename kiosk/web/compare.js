// @ts-check
// Comparison with the grey original: all of it while a button is held, or one side of a line that fingers grab.
import { clamp, byId } from './dom.js';

/** A finger this near to the line takes hold of it; elsewhere the line comes to the finger. */
const GRAB_MM = 12;

export class Compare {
  /** @param {import('./stage.js').Stage} stage */
  constructor(stage) {
    this.stage = stage;
    /** For keys and screen readers. */
    this.slider = /** @type {HTMLInputElement} */ (byId('compare'));
    this.slider.addEventListener('input', () => this.setSplit(Number(this.slider.value) / 100));
    /** Distance of the line from the finger that holds it, in CSS pixels. */
    this.offset = 0;
    byId('split').addEventListener('click', () => this.show(!this.on));
    addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && this.on && !document.querySelector('dialog[open]')) this.show(false);
    });
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

  /** Whether the line is shown. Nothing can be painted then. */
  get on() {
    return !byId('seam').hidden;
  }

  /** @param {boolean} on */
  show(on) {
    this.slider.hidden = !on;
    byId('seam').hidden = !on;
    byId('palette').inert = on;
    byId('split').setAttribute('aria-pressed', String(on));
    document.body.classList.toggle('comparing', on);
    this.setSplit(on ? 0.5 : -1);
  }

  /** @param {number} split share of the photograph's width that is grey, −1 for none */
  setSplit(split) {
    this.stage.split = split;
    this.slider.value = String(Math.max(0, split) * 100);
    this.place();
    this.stage.draw();
  }

  /** A finger comes down on the stage. @param {number} x CSS pixels of the stage */
  grab(x) {
    const distance = this.stage.toStage({ x: this.stage.split, y: 0 }).x - x;
    this.offset = Math.abs(distance) < GRAB_MM * this.stage.pxPerMm() ? distance : 0;
    this.drag(x);
  }

  /** The finger moves. @param {number} x CSS pixels of the stage */
  drag(x) {
    this.setSplit(clamp(this.stage.toPhoto(x + this.offset, 0).x));
  }

  /** Put the line where grey meets colour. */
  place() {
    const f = this.stage.frame;
    const [top, bottom] = [Math.max(0, f.y), Math.min(this.stage.size.h, f.y + f.h)];
    const x = f.x + Math.max(0, this.stage.split) * f.w;
    Object.assign(this.slider.style, { left: `${f.x}px`, width: `${f.w}px` });
    Object.assign(byId('seam').style, { transform: `translate(${x}px, ${top}px)`, height: `${bottom - top}px` });
  }
}
