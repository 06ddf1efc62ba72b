// @ts-check
// All colours that sRGB can show at one L, as one surface to touch.
import { extent, inGamut, labToBytes, project } from './colour.js';
import { arrow, byId } from './dom.js';

/** Pixels across of the surface that is computed; the canvas stretches it. Pixels of its rim are looked at SOFT times finer. */
const GRAIN = 160;
const SOFT = 4;
const ARROW_AB = 400;

/** @typedef {{begin: () => void, pick: (a: number, b: number, time: number) => void, end: () => void}} FieldActs */

export class Field {
  /** @param {FieldActs} acts @param {(event: PointerEvent) => boolean} isPalm */
  constructor(acts, isPalm) {
    this.acts = acts;
    this.canvas = /** @type {HTMLCanvasElement} */ (byId('field'));
    this.L = NaN;
    /** The square of ab shown: its middle and half its side. */
    this.square = { a: 0, b: 0, reach: 100 };
    this.surface = new OffscreenCanvas(GRAIN, GRAIN);
    /** @type {[number, number] | null} */
    this.now = null;
    this.finger = -1;
    this.wire(isPalm);
  }

  /** @param {number} L @param {[number, number] | null} now the colour that is chosen; null: no point is */
  show(L, now) {
    this.now = now;
    if (Math.round(L) !== this.L) this.paint(Math.round(L));
    const { width } = this.canvas;
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext('2d'));
    context.clearRect(0, 0, width, width);
    context.globalAlpha = now ? 1 : 0.25;
    context.drawImage(this.surface, 0, 0, width, width);
    context.globalAlpha = 1;
    if (!now) return;
    const { a, b, reach } = this.square;
    const [x, y] = [((now[0] - a) / reach + 1) / 2 * width, (1 - (now[1] - b) / reach) / 2 * width];
    for (const [radius, colour] of /** @type {[number, string][]} */ ([[19, '#000'], [16, '#fff']])) {
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      context.lineWidth = 4;
      context.strokeStyle = colour;
      context.stroke();
    }
  }

  /** @param {number} L */
  paint(L) {
    this.L = L;
    this.square = extent(L);
    const image = new ImageData(GRAIN, GRAIN);
    /** @param {number} x @param {number} y */
    const shown = (x, y) => Number(inGamut(L, ...this.colourAt(x / GRAIN, y / GRAIN)));
    const side = GRAIN + 1;
    const corners = Uint8Array.from({ length: side ** 2 }, (_, i) => shown(i % side, Math.floor(i / side)));
    for (let y = 0; y < GRAIN; y += 1) {
      for (let x = 0; x < GRAIN; x += 1) {
        const i = y * side + x;
        const inside = corners[i] + corners[i + 1] + corners[i + side] + corners[i + side + 1];
        if (!inside) continue;
        const [a, b] = this.colourAt((x + 0.5) / GRAIN, (y + 0.5) / GRAIN);
        image.data.set([...labToBytes(L, a, b), inside === 4 ? 255 : 255 * share(shown, x, y)], (y * GRAIN + x) * 4);
      }
    }
    /** @type {OffscreenCanvasRenderingContext2D} */ (this.surface.getContext('2d')).putImageData(image, 0, 0);
  }

  /** ab at a place of the surface, both 0…1 from its top left. @param {number} x @param {number} y @returns {[number, number]} */
  colourAt(x, y) {
    const { a, b, reach } = this.square;
    return [a + (x * 2 - 1) * reach, b + (1 - y * 2) * reach];
  }

  /** @param {number} a @param {number} b @param {number} time */
  give(a, b, time) {
    const [p, q] = project(this.L, a, b);
    this.acts.pick(p, q, time);
  }

  /** @param {PointerEvent} event */
  touch(event) {
    const box = this.canvas.getBoundingClientRect();
    const [a, b] = this.colourAt((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    this.give(a, b, event.timeStamp);
  }

  /** @param {(event: PointerEvent) => boolean} isPalm */
  wire(isPalm) {
    const { canvas } = this;
    canvas.addEventListener('pointerdown', (event) => {
      if (!this.now || this.finger >= 0 || isPalm(event)) return;
      this.finger = event.pointerId;
      canvas.setPointerCapture(this.finger);
      this.acts.begin();
      this.touch(event);
    });
    canvas.addEventListener('pointermove', (event) => event.pointerId === this.finger && this.touch(event));
    for (const name of ['pointerup', 'pointercancel', 'lostpointercapture']) {
      canvas.addEventListener(name, (event) => {
        if (/** @type {PointerEvent} */ (event).pointerId !== this.finger) return;
        this.finger = -1;
        this.acts.end();
      });
    }
    canvas.addEventListener('keydown', (event) => {
      const step = arrow(event);
      if (!step || !this.now) return;
      event.preventDefault();
      this.give(this.now[0] + step[0] * ARROW_AB, this.now[1] - step[1] * ARROW_AB, event.timeStamp);
    });
  }
}

/** How much of a pixel on the rim can be shown, 0…1. @param {(x: number, y: number) => number} shown @param {number} x @param {number} y */
function share(shown, x, y) {
  let sum = 0;
  for (let i = 0.5; i < SOFT; i += 1) for (let j = 0.5; j < SOFT; j += 1) sum += shown(x + i / SOFT, y + j / SOFT);
  return sum / SOFT ** 2;
}
