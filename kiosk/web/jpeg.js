// @ts-check
// The photograph on screen without WebGL: JPEGs of the server on a 2D canvas.

/** @typedef {import('./composite.js').Scene} Scene */

/** What composite.js does, for JPEGs. */
export class JpegCanvas {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.kind = /** @type {'planes' | 'jpeg'} */ ('jpeg');
    this.slow = true;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { alpha: false }));
    /** @type {ImageBitmap | null} */
    this.image = null;
    /** @type {ImageBitmap | null} */
    this.coloured = null;
  }

  /** @param {ImageBitmap} image */
  setPhoto(image) {
    this.image = image;
  }

  /** @param {ImageBitmap} image */
  setColoured(image) {
    this.coloured?.close();
    this.coloured = image;
  }

  clearColours() {
    this.coloured?.close();
    this.coloured = null;
  }

  /** Drop the photograph, which belongs to the stage, and close its colours. */
  clear() {
    this.image = null;
    this.clearColours();
  }

  /** @param {Scene} scene */
  draw(scene) {
    const { context, canvas, image, coloured } = this;
    const [r, g, b] = backdrop().map((v) => Math.round(v * 255));
    context.globalAlpha = 1;
    context.fillStyle = `rgb(${r} ${g} ${b})`;
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (!image) return;
    this.paint(scene, scene.rect, image, coloured);
    if (!scene.lens) return;
    const { x, y, radius, at, zoom } = scene.lens;
    context.save();
    context.beginPath();
    context.arc(x, y, radius, 0, 7);
    context.clip();
    context.fill();
    const [w, h] = [scene.rect[2] * zoom, scene.rect[3] * zoom];
    this.paint(scene, [x - at[0] * w, y - at[1] * h, w, h], image, coloured);
    context.restore();
  }

  /** The grey photograph, and over it the part that has colour. @param {Scene} scene @param {Scene['rect']} rect @param {ImageBitmap} image @param {ImageBitmap | null} coloured */
  paint(scene, [x, y, w, h], image, coloured) {
    const { context } = this;
    const whole = coloured && scene.colour >= 1 && scene.split <= 0 && !scene.reveal;
    if (!whole) context.drawImage(image, x, y, w, h);
    if (!coloured || scene.colour <= 0) return;
    context.save();
    context.beginPath();
    if (scene.reveal) context.ellipse(x + scene.reveal[0] * w, y + scene.reveal[1] * h, scene.reveal[2] * h, scene.reveal[2] * h, 0, 0, 7);
    else context.rect(x + Math.max(0, scene.split) * w, y, w, h);
    context.clip();
    context.globalAlpha = scene.colour;
    context.drawImage(coloured, x, y, w, h);
    context.restore();
  }

  /** @param {Scene} scene */
  read(scene) {
    this.draw(scene);
    return new Uint8Array(this.context.getImageData(0, 0, this.canvas.width, this.canvas.height).data);
  }
}

/** Around the picture. @returns {[number, number, number]} */
export function backdrop() {
  return document.documentElement.dataset.contrast === 'high' ? [0, 0, 0] : [0.075, 0.067, 0.059];
}
