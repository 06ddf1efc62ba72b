// @ts-check
// Where the photograph lies on screen, how near it is, and when it is drawn.
import { lightnessOf } from './colour.js';
import { clamp, byId } from './dom.js';

/** @typedef {import('./composite.js').Scene} Scene */
/** @typedef {{x: number, y: number}} Place */

const NEAREST = 8;
/** The photograph's own light is 2048 pixels across; a larger canvas would show nothing more. */
const MAX_CANVAS_PX = 2560;
/** Where drawing is slow, the picture is this coarse while fingers move. */
const HURRIED = 0.5;
const LENS_ZOOM = 2.2;

/** Events: moved (the photograph lies elsewhere or is larger). Places are CSS pixels of the stage or 0…1 of the photograph. */
export class Stage extends EventTarget {
  /** @param {import('./composite.js').View} view @param {() => number} mm */
  constructor(view, mm) {
    super();
    this.view = view;
    this.mm = mm;
    this.box = byId('stage');
    /** @type {ImageBitmap | null} */
    this.image = null;
    this.zoom = { scale: 1, x: 0, y: 0 };
    this.grey = false;
    /** Left of it the picture is grey; −1: nowhere. */
    this.split = -1;
    /** @type {[number, number, number] | null} */
    this.reveal = null;
    /** A place shown larger beside the finger that hides it. @type {Place | null} */
    this.lens = null;
    this.hurried = false;
    this.drawing = false;
    /** @type {((drawn: number, presented: number) => void)[]} */
    this.waiting = [];
    this.lightness = new Uint8ClampedArray(0);
    this.size = { w: 1, h: 1 };
    new ResizeObserver(() => this.resize()).observe(this.box);
    view.canvas.addEventListener('redraw', () => this.draw());
  }

  /** Show another photograph. The stage owns `image` from now on and closes it when the next one comes. @param {ImageBitmap} image */
  setPhoto(image) {
    this.release();
    this.image = image;
    this.zoom = { scale: 1, x: 0, y: 0 };
    this.view.setPhoto(image);
    this.readLight(image);
    this.resize();
  }

  /** Show nothing. */
  clear() {
    this.release();
    this.lightness = new Uint8ClampedArray(0);
    this.resize();
  }

  /** Close the photograph and drop what the view made of it. The canvas keeps its pixels until the next drawing. */
  release() {
    this.view.clear();
    this.image?.close();
    this.image = null;
  }

  /** A small copy of the light, so that the echo under a finger needs no answer. @param {ImageBitmap} image */
  readLight(image) {
    const canvas = new OffscreenCanvas(256, 256);
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext('2d', { willReadFrequently: true }));
    context.drawImage(image, 0, 0, 256, 256);
    this.lightness = context.getImageData(0, 0, 256, 256).data;
  }

  /** L under a place of the photograph. @param {Place} place */
  lightnessAt({ x, y }) {
    const at = (Math.min(255, Math.floor(y * 256)) * 256 + Math.min(255, Math.floor(x * 256))) * 4;
    return lightnessOf(this.lightness[at] ?? 128);
  }

  /** The photograph's rectangle in CSS pixels of the stage; whole pixels, so that its edges are sharp. */
  get frame() {
    const { w, h } = this.size;
    const [iw, ih] = this.image ? [this.image.width, this.image.height] : [4, 3];
    const fit = Math.min(w / iw, h / ih) * this.zoom.scale;
    const [fw, fh] = [Math.round(iw * fit), Math.round(ih * fit)];
    return { x: Math.round((w - fw) / 2 + this.zoom.x), y: Math.round((h - fh) / 2 + this.zoom.y), w: fw, h: fh };
  }

  /** The part of it that is on the stage: what the canvas covers. */
  get visible() {
    const f = this.frame;
    const [x, y] = [Math.max(0, f.x), Math.max(0, f.y)];
    return { x, y, w: Math.max(1, Math.min(this.size.w, f.x + f.w) - x), h: Math.max(1, Math.min(this.size.h, f.y + f.h) - y) };
  }

  /** @param {number} x @param {number} y @returns {Place} */
  toPhoto(x, y) {
    const f = this.frame;
    return { x: (x - f.x) / f.w, y: (y - f.y) / f.h };
  }

  /** @param {Place} place @returns {Place} */
  toStage(place) {
    const f = this.frame;
    return { x: f.x + place.x * f.w, y: f.y + place.y * f.h };
  }

  resize() {
    this.size = { w: this.box.clientWidth, h: this.box.clientHeight };
    this.keepNear();
    this.draw();
    this.dispatchEvent(new Event('moved'));
  }

  /** Coarse while fingers move, where drawing is slow. @param {boolean} on */
  hurry(on) {
    const hurried = on && this.view.slow;
    if (hurried === this.hurried) return;
    this.hurried = hurried;
    this.draw();
  }

  /** Width and height of the canvas as the next frame will have it. @returns {[number, number]} */
  get pixels() {
    const { w, h } = this.visible;
    const ratio = Math.min(window.devicePixelRatio || 1, MAX_CANVAS_PX / Math.max(w, h)) * (this.hurried ? HURRIED : 1);
    return [Math.max(1, Math.round(w * ratio)), Math.max(1, Math.round(h * ratio))];
  }

  /** Bring the canvas over the visible part of the photograph. */
  fit() {
    const { x, y, w, h } = this.visible;
    const { canvas } = this.view;
    const [pw, ph] = this.pixels;
    if (canvas.width !== pw || canvas.height !== ph) [canvas.width, canvas.height] = [pw, ph];
    Object.assign(canvas.style, { left: `${x}px`, top: `${y}px`, width: `${w}px`, height: `${h}px` });
  }

  /** @returns {Scene} */
  scene() {
    const { canvas } = this.view;
    const [f, v] = [this.frame, this.visible];
    const [kx, ky] = [canvas.width / v.w, canvas.height / v.h];
    const lens = this.lens && this.lensPlace(this.lens);
    return {
      rect: [(f.x - v.x) * kx, (f.y - v.y) * ky, f.w * kx, f.h * ky],
      colour: this.grey ? 0 : 1,
      split: this.split,
      reveal: this.reveal,
      lens: this.lens && lens ? {
        x: (lens.x - v.x) * kx, y: (lens.y - v.y) * ky, radius: lens.radius * kx, at: [this.lens.x, this.lens.y], zoom: LENS_ZOOM,
      } : null,
    };
  }

  /** Where the lens lies on the stage: above the finger, or beside it near the top. @param {Place} place */
  lensPlace(place) {
    const radius = 11 * this.mm();
    const away = 27 * this.mm();
    const [v, at] = [this.visible, this.toStage(place)];
    const spots = [[0, -away], [-away, 0], [away, 0], [0, away]].map(([dx, dy]) => ({ x: at.x + dx, y: at.y + dy, radius }));
    /** @param {{x: number, y: number}} s */
    const outside = (s) => Math.max(0, v.x + radius - s.x, s.x + radius - v.x - v.w) + Math.max(0, v.y + radius - s.y, s.y + radius - v.y - v.h);
    return spots.reduce((best, spot) => (outside(spot) < outside(best) - 1 ? spot : best));
  }

  /** Draw with the next frame; `then` hears when it was drawn and when the frame after it began. @param {(drawn: number, presented: number) => void} [then] */
  draw(then) {
    if (then) this.waiting.push(then);
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.drawNow();
      if (!this.waiting.length) return;
      const shown = this.waiting.splice(0);
      const drawn = performance.now();
      requestAnimationFrame(() => shown.forEach((one) => one(drawn, performance.now())));
    });
  }

  drawNow() {
    this.fit();
    this.view.draw(this.scene());
    const ring = byId('lens');
    const lens = this.lens && this.lensPlace(this.lens);
    ring.hidden = !lens;
    if (lens) ring.style.transform = `translate(${lens.x}px, ${lens.y}px)`;
  }

  /** Nearer by `scale` round a place of the stage, moved by (dx, dy). @param {number} scale @param {number} x @param {number} y @param {number} dx @param {number} dy */
  pinch(scale, x, y, dx, dy) {
    const anchor = this.toPhoto(x - dx, y - dy);
    this.zoom.scale = clamp(this.zoom.scale * scale, 1, NEAREST);
    const moved = this.toStage(anchor);
    this.zoom.x += x - moved.x;
    this.zoom.y += y - moved.y;
    this.keepNear();
    this.draw();
    this.dispatchEvent(new Event('moved'));
  }

  /** Nearer or farther without two fingers; nearer brings a place of the photograph to the middle. @param {number} scale @param {Place} [place] */
  near(scale, place) {
    const middle = { x: this.size.w / 2, y: this.size.h / 2 };
    const at = place ? this.toStage(place) : middle;
    const to = scale > 1 ? middle : at;
    this.pinch(scale, to.x, to.y, to.x - at.x, to.y - at.y);
  }

  /** The whole photograph again. */
  whole() {
    this.zoom = { scale: 1, x: 0, y: 0 };
    this.draw();
    this.dispatchEvent(new Event('moved'));
  }

  /** The photograph never leaves the stage. */
  keepNear() {
    const f = this.frame;
    const [rx, ry] = [Math.max(0, (f.w - this.size.w) / 2), Math.max(0, (f.h - this.size.h) / 2)];
    this.zoom.x = clamp(this.zoom.x, -rx, rx);
    this.zoom.y = clamp(this.zoom.y, -ry, ry);
  }
}
