// @ts-check
// The stage: where the photograph lies on screen, how far it is zoomed, and when it is drawn.
import { fromHalf, lightnessOf, project } from './colour.js';
import { clamp, byId } from './dom.js';

/** @typedef {import('./webgl_view.js').Scene} Scene */
/** @typedef {{x: number, y: number}} Place */

const MAX_ZOOM = 8;
/** The photograph is at most 2048 pixels across; a larger canvas would show nothing more. */
const MAX_CANVAS_PX = 2560;
/** Where drawing is slow, the canvas has this share of its pixels' width while fingers move. */
const COARSE_SCALE = 0.5;
/** Side of the small copy of the photograph from which L is read. */
const SAMPLE_PX = 256;
const LENS_ZOOM = 2.2;
/** The touched thing is looked for on a grid with this many cells across the photograph, as far as this share of its sides. */
const [GRID, THING_REACH] = [64, 0.22];
/** Neighbouring cells whose L is this near to that of the touched place belong to the same thing. */
const THING_L = 9;
/** With low reach, controls lie below this share of the panel's height. */
export const LOW_REACH = 0.34;
/** Radius of the lens, and how far from the finger it lies. */
const LENS_MM = 11;
const LENS_DISTANCE_MM = 27;

/** Whether all controls are in the lower part of the panel. */
const isLow = () => document.documentElement.dataset.reach === 'low';

/** Places are CSS pixels of the stage, or 0…1 of the photograph. Events: moved (the photograph lies elsewhere or is larger). */
export class Stage extends EventTarget {
  /** @param {import('./webgl_view.js').View} view @param {() => number} pxPerMm */
  constructor(view, pxPerMm) {
    super();
    this.view = view;
    this.pxPerMm = pxPerMm;
    this.box = byId('stage');
    /** The photograph, closed when it is replaced. @type {ImageBitmap | null} */
    this.image = null;
    this.zoom = { scale: 1, x: 0, y: 0 };
    this.grey = false;
    /** Factor of the colours, 0…2. JPEGs have it in their pixels. */
    this.strength = 1;
    /** The picture is grey left of this share of its width; −1: nowhere. */
    this.split = -1;
    /** See Scene. @type {Scene['reveal']} */
    this.reveal = null;
    /** The place that the lens shows beside the finger that hides it. @type {Place | null} */
    this.lens = null;
    this.coarse = false;
    this.frameRequested = false;
    /** Callbacks of `draw`. @type {((drawn_ms: number, presented_ms: number) => void)[]} */
    this.callbacks = [];
    /** RGBA of the small copy. */
    this.sample = new Uint8ClampedArray(0);
    this.size = { w: 1, h: 1 };
    new ResizeObserver(() => this.resize()).observe(this.box);
    view.canvas.addEventListener('redraw', () => this.draw());
  }

  /** Draw by another view from now on. @param {import('./webgl_view.js').View} view */
  setView(view) {
    this.view = view;
    if (this.image) view.setPhoto(this.image);
    this.drawNow();
  }

  // The photograph

  /** Show another photograph. The stage owns `image` from now on and closes it when the next one comes. @param {ImageBitmap} image */
  setPhoto(image) {
    this.release();
    this.image = image;
    this.zoom = { scale: 1, x: 0, y: 0 };
    this.view.setPhoto(image);
    this.sampleLightness(image);
    this.resize();
  }

  /** Show nothing. */
  clear() {
    this.release();
    this.sample = new Uint8ClampedArray(0);
    this.resize();
  }

  /** Close the photograph and drop what the view made of it. The canvas keeps its pixels until the next drawing. */
  release() {
    this.view.clear();
    this.image?.close();
    this.image = null;
  }

  /** Keep a small copy, so that the marker under a finger needs no answer of the server. @param {ImageBitmap} image */
  sampleLightness(image) {
    const canvas = new OffscreenCanvas(SAMPLE_PX, SAMPLE_PX);
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext('2d', { willReadFrequently: true }));
    context.drawImage(image, 0, 0, SAMPLE_PX, SAMPLE_PX);
    this.sample = context.getImageData(0, 0, SAMPLE_PX, SAMPLE_PX).data;
  }

  /** L at a place of the photograph. @param {Place} place */
  lightnessAt({ x, y }) {
    const [column, row] = [x, y].map((v) => Math.min(SAMPLE_PX - 1, Math.floor(v * SAMPLE_PX)));
    return lightnessOf(this.sample[(row * SAMPLE_PX + column) * 4] ?? 128);
  }

  /**
   * Middles of the cells that belong to the thing at a place: connected ones that are as light as it is there, and all
   * within `radius_px`.
   * @param {Place} place @param {number} radius_px @returns {Place[]}
   */
  thingAt(place, radius_px) {
    const { frame } = this;
    const L = this.lightnessAt(place);
    const cell = (/** @type {number} */ v) => Math.min(GRID - 1, Math.floor(v * GRID));
    const start = cell(place.y) * GRID + cell(place.x);
    const [seen, waiting, found] = [new Set([start]), [start], /** @type {Place[]} */ ([])];
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
      const [column, row] = [at % GRID, Math.floor(at / GRID)];
      const middle = { x: (column + 0.5) / GRID, y: (row + 0.5) / GRID };
      const [dx, dy] = [middle.x - place.x, middle.y - place.y];
      const near = Math.hypot(dx * frame.w, dy * frame.h) < radius_px;
      const alike = Math.hypot(dx, dy) < THING_REACH && Math.abs(this.lightnessAt(middle) - L) < THING_L;
      if (!near && !alike && at !== start) continue;
      found.push(middle);
      const neighbours = [column > 0 && at - 1, column < GRID - 1 && at + 1, row > 0 && at - GRID, row < GRID - 1 && at + GRID];
      for (const next of neighbours) {
        if (next === false || seen.has(next)) continue;
        seen.add(next);
        waiting.push(next);
      }
    }
    return found;
  }

  /**
   * The ab shown at a place of the photograph; null where the view shows JPEGs, or nothing yet.
   * @param {Place} place @returns {[number, number] | null}
   */
  shownAt({ x, y }) {
    const planes = 'planes' in this.view ? this.view.planes : null;
    if (!planes) return null;
    const side = Math.sqrt(planes.length / 2);
    const [column, row] = [x, y].map((v) => Math.min(side - 1, Math.floor(v * side)));
    const at = (row * side + column) * 2;
    const strength = this.grey ? 0 : this.strength;
    return project(this.lightnessAt({ x, y }), fromHalf(planes[at]) * strength, fromHalf(planes[at + 1]) * strength);
  }

  // Where it lies

  /** The part of the stage for controls: with low reach its lower part, where that is large enough. */
  get reachable() {
    const { w, h } = this.size;
    const low = isLow() ? innerHeight * LOW_REACH - this.box.getBoundingClientRect().top : 0;
    const y = Math.min(Math.max(0, low), h / 2);
    return { x: 0, y, w, h: h - y };
  }

  /** The photograph's rectangle in CSS pixels of the stage; whole pixels, so that its edges are sharp. */
  get frame() {
    const { w, h } = this.size;
    const [iw, ih] = this.image ? [this.image.width, this.image.height] : [4, 3];
    const fit = Math.min(w / iw, h / ih) * this.zoom.scale;
    const [fw, fh] = [Math.round(iw * fit), Math.round(ih * fit)];
    // With low reach a photograph that leaves space lies at the bottom, near the hand.
    const y = isLow() && fh < h ? h - fh : (h - fh) / 2 + this.zoom.y;
    return { x: Math.round((w - fw) / 2 + this.zoom.x), y: Math.round(y), w: fw, h: fh };
  }

  /** The part of that rectangle that is on the stage: the canvas covers it. */
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
    this.clampZoom();
    this.draw();
    this.dispatchEvent(new Event('moved'));
  }

  /**
   * Zoom by `scale` about a place of the stage and move by (dx, dy).
   * @param {number} scale @param {number} x @param {number} y @param {number} dx @param {number} dy
   */
  pinch(scale, x, y, dx, dy) {
    const anchor = this.toPhoto(x - dx, y - dy);
    this.zoom.scale = clamp(this.zoom.scale * scale, 1, MAX_ZOOM);
    const moved = this.toStage(anchor);
    this.zoom.x += x - moved.x;
    this.zoom.y += y - moved.y;
    this.clampZoom();
    this.draw();
    this.dispatchEvent(new Event('moved'));
  }

  /** Zoom without two fingers. Zooming in brings `place` of the photograph to the middle. @param {number} scale @param {Place} [place] */
  zoomBy(scale, place) {
    const middle = { x: this.size.w / 2, y: this.size.h / 2 };
    const at = place ? this.toStage(place) : middle;
    const to = scale > 1 ? middle : at;
    this.pinch(scale, to.x, to.y, to.x - at.x, to.y - at.y);
  }

  /** Show the whole photograph. */
  resetZoom() {
    this.zoom = { scale: 1, x: 0, y: 0 };
    this.draw();
    this.dispatchEvent(new Event('moved'));
  }

  /** Keep the photograph on the stage. */
  clampZoom() {
    const f = this.frame;
    const [rx, ry] = [Math.max(0, (f.w - this.size.w) / 2), Math.max(0, (f.h - this.size.h) / 2)];
    this.zoom.x = clamp(this.zoom.x, -rx, rx);
    this.zoom.y = clamp(this.zoom.y, -ry, ry);
  }

  // Drawing

  /** Draw with fewer pixels while fingers move, where drawing is slow. @param {boolean} moving */
  setMoving(moving) {
    const coarse = moving && this.view.slow;
    if (coarse === this.coarse) return;
    this.coarse = coarse;
    this.draw();
  }

  /** Show colours of another strength, without waiting for an answer. @param {number} strength */
  setStrength(strength) {
    if (strength === this.strength) return;
    this.strength = strength;
    if (this.view.kind !== 'jpeg') this.draw();
  }

  /** Width and height of the canvas in the next frame, in its pixels. @returns {[number, number]} */
  get canvasSize() {
    const { w, h } = this.visible;
    const ratio = Math.min(window.devicePixelRatio || 1, MAX_CANVAS_PX / Math.max(w, h)) * (this.coarse ? COARSE_SCALE : 1);
    return [Math.max(1, Math.round(w * ratio)), Math.max(1, Math.round(h * ratio))];
  }

  /** Put the canvas over the visible part of the photograph. */
  fitCanvas() {
    const { x, y, w, h } = this.visible;
    const { canvas } = this.view;
    const [width, height] = this.canvasSize;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    Object.assign(canvas.style, { left: `${x}px`, top: `${y}px`, width: `${w}px`, height: `${h}px` });
  }

  /** @returns {Scene} */
  scene() {
    const { canvas } = this.view;
    const [f, v] = [this.frame, this.visible];
    const [kx, ky] = [canvas.width / v.w, canvas.height / v.h];
    const lens = this.lens && this.lensCircle(this.lens);
    return {
      rect: [(f.x - v.x) * kx, (f.y - v.y) * ky, f.w * kx, f.h * ky],
      colour: this.grey ? 0 : this.view.kind === 'jpeg' ? 1 : this.strength,
      split: this.split,
      reveal: this.reveal,
      lens: this.lens && lens ? {
        x: (lens.x - v.x) * kx, y: (lens.y - v.y) * ky, radius: lens.radius * kx, at: [this.lens.x, this.lens.y], zoom: LENS_ZOOM,
      } : null,
    };
  }

  /** Where the lens lies on the stage: above the finger, or beside it near the top. @param {Place} place that it shows */
  lensCircle(place) {
    const radius = LENS_MM * this.pxPerMm();
    const distance = LENS_DISTANCE_MM * this.pxPerMm();
    const [v, at] = [this.visible, this.toStage(place)];
    const circles = [[0, -1], [-1, 0], [1, 0], [0, 1]].map(([dx, dy]) => ({ x: at.x + dx * distance, y: at.y + dy * distance, radius }));
    /** @param {Place} c */
    const outside = (c) => Math.max(0, v.x + radius - c.x, c.x + radius - v.x - v.w) + Math.max(0, v.y + radius - c.y, c.y + radius - v.y - v.h);
    return circles.reduce((best, circle) => (outside(circle) < outside(best) - 1 ? circle : best));
  }

  /**
   * Draw with the next frame.
   * @param {(drawn_ms: number, presented_ms: number) => void} [then] called with the times of drawing and of the frame after it
   */
  draw(then) {
    if (then) this.callbacks.push(then);
    if (this.frameRequested) return;
    this.frameRequested = true;
    requestAnimationFrame(() => {
      this.frameRequested = false;
      this.drawNow();
      if (!this.callbacks.length) return;
      const callbacks = this.callbacks.splice(0);
      const drawn_ms = performance.now();
      requestAnimationFrame(() => callbacks.forEach((callback) => callback(drawn_ms, performance.now())));
    });
  }

  drawNow() {
    this.fitCanvas();
    this.view.draw(this.scene());
    const ring = byId('lens');
    const lens = this.lens && this.lensCircle(this.lens);
    ring.hidden = !lens;
    if (lens) ring.style.transform = `translate(${lens.x}px, ${lens.y}px)`;
  }
}
