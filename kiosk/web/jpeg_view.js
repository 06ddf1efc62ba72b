// @ts-check
// The photograph on screen without WebGL: JPEGs of the server on a 2D canvas. Same methods as webgl_view.js.
import { backgroundColour } from './dom.js';

/** @typedef {import('./webgl_view.js').Scene} Scene */

export class JpegView {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.kind = /** @type {'planes' | 'jpeg'} */ ('jpeg');
    this.slow = true;
    /** Time to draw a frame by WebGL as measured at the start, null if it was not. @type {number | null} */
    this.draw_ms = null;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { alpha: false }));
    /** Belongs to the stage. @type {ImageBitmap | null} */
    this.image = null;
    /** Belongs to this view. @type {ImageBitmap | null} */
    this.coloured = null;
  }

  /** Set the grey photograph. The image must stay open as long as it is shown. @param {ImageBitmap} image */
  setPhoto(image) {
    this.image = image;
  }

  /** Show the photograph in colour. The view closes `image` when the next one comes. @param {ImageBitmap} image */
  setColoured(image) {
    this.coloured?.close();
    this.coloured = image;
  }

  /** Drop the photograph and its colours. The canvas keeps its pixels until the next drawing. */
  clear() {
    this.image = null;
    this.coloured?.close();
    this.coloured = null;
  }

  /** @param {Scene} scene */
  draw(scene) {
    const { context, canvas, image, coloured } = this;
    const [r, g, b] = backgroundColour().map((v) => Math.round(v * 255));
    context.globalAlpha = 1;
    context.fillStyle = `rgb(${r} ${g} ${b})`;
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (!image) return;
    this.drawPhoto(scene, scene.rect, image, coloured);
    if (!scene.lens) return;
    const { x, y, radius, at, zoom } = scene.lens;
    context.save();
    context.beginPath();
    context.arc(x, y, radius, 0, 7);
    context.clip();
    context.fill();
    const [w, h] = [scene.rect[2] * zoom, scene.rect[3] * zoom];
    this.drawPhoto(scene, [x - at[0] * w, y - at[1] * h, w, h], image, coloured);
    context.restore();
  }

  /**
   * Draw the grey photograph, and over it the part that has colour.
   * @param {Scene} scene @param {Scene['rect']} rect @param {ImageBitmap} image @param {ImageBitmap | null} coloured
   */
  drawPhoto(scene, [x, y, w, h], image, coloured) {
    const { context } = this;
    const colourCoversAll = coloured && scene.colour >= 1 && scene.split <= 0 && !scene.reveal;
    if (!colourCoversAll) context.drawImage(image, x, y, w, h);
    if (!coloured || scene.colour <= 0) return;
    context.save();
    context.beginPath();
    if (scene.reveal) {
      const [cx, cy, radius] = scene.reveal;
      context.ellipse(x + cx * w, y + cy * h, radius * h, radius * h, 0, 0, 7);
    } else context.rect(x + Math.max(0, scene.split) * w, y, w, h);
    context.clip();
    context.globalAlpha = scene.colour;
    context.drawImage(coloured, x, y, w, h);
    context.restore();
  }

  /** Draw and read the canvas back: RGBA, rows from the top. @param {Scene} scene */
  read(scene) {
    this.draw(scene);
    return new Uint8Array(this.context.getImageData(0, 0, this.canvas.width, this.canvas.height).data);
  }
}
