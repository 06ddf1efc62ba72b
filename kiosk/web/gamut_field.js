// @ts-check
// The field of colours: all colours that sRGB can show at one L, on one surface to touch.
import { brightened, extent, inGamut, labToBytes, project } from './colour.js';
import { arrowStep, byId } from './dom.js';

/** The surface is computed with this many pixels across and stretched to the canvas. */
const SURFACE_PX = 160;
/** Pixels on the border of the gamut are sampled this many times in each direction. */
const SAMPLES = 4;
/** Change of a or b for an arrow step of 1; a plain key press steps 0.01. */
const ARROW_AB = 400;

/** @typedef {{begin: () => void, pick: (a: number, b: number, time_ms: number) => void, end: () => void}} FieldHandlers */

export class GamutField {
  /** @param {FieldHandlers} handlers @param {(event: PointerEvent) => boolean} isPalm */
  constructor(handlers, isPalm) {
    this.handlers = handlers;
    this.canvas = /** @type {HTMLCanvasElement} */ (byId('field'));
    this.L = NaN;
    /** The square of ab that is shown: its centre and half its side. */
    this.square = { a: 0, b: 0, reach: 100 };
    this.surface = new OffscreenCanvas(SURFACE_PX, SURFACE_PX);
    /** @type {[number, number] | null} */
    this.chosen = null;
    this.pointerId = -1;
    this.listen(isPalm);
  }

  /** @param {number} L @param {[number, number] | null} chosen ab of the chosen hint; null dims the field */
  show(L, chosen) {
    this.chosen = chosen;
    if (Math.round(L) !== this.L) this.computeSurface(Math.round(L));
    const { width } = this.canvas;
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext('2d'));
    context.clearRect(0, 0, width, width);
    context.globalAlpha = chosen ? 1 : 0.25;
    context.drawImage(this.surface, 0, 0, width, width);
    context.globalAlpha = 1;
    if (chosen) this.drawRing(context, chosen);
  }

  /** @param {CanvasRenderingContext2D} context @param {[number, number]} ab */
  drawRing(context, [a, b]) {
    const { square, canvas: { width } } = this;
    const x = (((a - square.a) / square.reach + 1) / 2) * width;
    const y = ((1 - (b - square.b) / square.reach) / 2) * width;
    for (const [radius, colour] of /** @type {[number, string][]} */ ([[19, '#000'], [16, '#fff']])) {
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      context.lineWidth = 4;
      context.strokeStyle = colour;
      context.stroke();
    }
  }

  /** @param {number} L */
  computeSurface(L) {
    this.L = L;
    this.square = extent(L);
    const image = new ImageData(SURFACE_PX, SURFACE_PX);
    /** @param {number} x @param {number} y */
    const isInside = (x, y) => Number(inGamut(L, ...this.colourAt(x / SURFACE_PX, y / SURFACE_PX)));
    const side = SURFACE_PX + 1;
    const corners = Uint8Array.from({ length: side ** 2 }, (_, i) => isInside(i % side, Math.floor(i / side)));
    for (let y = 0; y < SURFACE_PX; y += 1) {
      for (let x = 0; x < SURFACE_PX; x += 1) {
        const i = y * side + x;
        const inside = corners[i] + corners[i + 1] + corners[i + side] + corners[i + side + 1];
        if (!inside) continue;
        const [a, b] = this.colourAt((x + 0.5) / SURFACE_PX, (y + 0.5) / SURFACE_PX);
        const alpha = inside === 4 ? 255 : 255 * coverage(isInside, x, y);
        image.data.set([...labToBytes(...brightened(L, a, b)), alpha], (y * SURFACE_PX + x) * 4);
      }
    }
    /** @type {OffscreenCanvasRenderingContext2D} */ (this.surface.getContext('2d')).putImageData(image, 0, 0);
  }

  /** ab at a place of the field, given as 0…1 from its top left. @param {number} x @param {number} y @returns {[number, number]} */
  colourAt(x, y) {
    const { a, b, reach } = this.square;
    return [a + (x * 2 - 1) * reach, b + (1 - y * 2) * reach];
  }

  /** Pick the colour nearest to (a, b) that can be shown. @param {number} a @param {number} b @param {number} time_ms */
  pick(a, b, time_ms) {
    const [p, q] = project(this.L, a, b);
    this.handlers.pick(p, q, time_ms);
  }

  /** @param {PointerEvent} event */
  pickUnder(event) {
    const box = this.canvas.getBoundingClientRect();
    const [a, b] = this.colourAt((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    this.pick(a, b, event.timeStamp);
  }

  /** @param {(event: PointerEvent) => boolean} isPalm */
  listen(isPalm) {
    const { canvas } = this;
    canvas.addEventListener('pointerdown', (event) => {
      if (!this.chosen || this.pointerId >= 0 || isPalm(event)) return;
      this.pointerId = event.pointerId;
      canvas.setPointerCapture(this.pointerId);
      this.handlers.begin();
      this.pickUnder(event);
    });
    canvas.addEventListener('pointermove', (event) => event.pointerId === this.pointerId && this.pickUnder(event));
    for (const name of ['pointerup', 'pointercancel', 'lostpointercapture']) {
      canvas.addEventListener(name, (event) => {
        if (/** @type {PointerEvent} */ (event).pointerId !== this.pointerId) return;
        this.pointerId = -1;
        this.handlers.end();
      });
    }
    canvas.addEventListener('keydown', (event) => {
      const step = arrowStep(event);
      if (!step || !this.chosen) return;
      event.preventDefault();
      this.pick(this.chosen[0] + step[0] * ARROW_AB, this.chosen[1] - step[1] * ARROW_AB, event.timeStamp);
    });
  }
}

/**
 * The part of a pixel that lies inside the gamut, 0…1.
 * @param {(x: number, y: number) => number} isInside @param {number} x @param {number} y
 */
function coverage(isInside, x, y) {
  let sum = 0;
  for (let i = 0.5; i < SAMPLES; i += 1) for (let j = 0.5; j < SAMPLES; j += 1) sum += isInside(x + i / SAMPLES, y + j / SAMPLES);
  return sum / SAMPLES ** 2;
}
