// @ts-check
// A photograph of the gallery as the worker holds it: its features, its L, and the moods asked of it.
import { lightnessOf } from '../colour.js';
import { TouchError } from './errors.js';
import { loadFeatures } from './features.js';
import { fetchBytes } from './packed_file.js';

/** The pixels of a grey picture, one byte each. @typedef {{width: number, height: number, bytes: Uint8Array}} Grey */
/** Where the files of a picture lie. @typedef {{features: string, picture: string}} Addresses */

export class OpenPhoto {
  /**
   * @param {string} id @param {import('./features.js').Features} found @param {Grey} grey the picture that the page shows
   */
  constructor(id, found, grey) {
    this.id = id;
    this.features = found.features;
    /** Working L [256, 256]. */
    this.working = found.L;
    this.grey = grey;
    /** What moods ask for, by name. @type {Map<string, import('./global_hints.js').GlobalHints>} */
    this.moods = new Map();
    /** ab without hints, at `vivid` 1, by what is asked of the whole picture. @type {Map<string, Float32Array>} */
    this.automatic = new Map();
  }

  /**
   * Throws TouchError, and AbortError. @param {string} id @param {Addresses} addresses @param {string} model @param {AbortSignal} signal
   */
  static async load(id, addresses, model, signal) {
    const [found, grey] = await Promise.all([
      loadFeatures(addresses.features, model, signal), loadGrey(addresses.picture, signal),
    ]);
    return new OpenPhoto(id, found, grey);
  }

  /** L of the picture's pixel at a point (x, y in 0…1). @param {number} x @param {number} y */
  lightnessAt(x, y) {
    const { width, height, bytes } = this.grey;
    const row = Math.min(Math.floor(y * height), height - 1), column = Math.min(Math.floor(x * width), width - 1);
    return lightnessOf(bytes[row * width + column]);
  }
}

/** @param {string} address @param {AbortSignal} signal @returns {Promise<Grey>} */
async function loadGrey(address, signal) {
  const bytes = await fetchBytes(address, 'picture', signal);
  let image;
  try {
    image = await createImageBitmap(new Blob([bytes], { type: 'image/jpeg' }));
  } catch {
    throw new TouchError('picture', 'damaged', `${address} is truncated or no JPEG`);
  }
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext('2d', { willReadFrequently: true }));
  context.drawImage(image, 0, 0);
  image.close();
  const { width, height, data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return { width, height, bytes: Uint8Array.from({ length: width * height }, (_, i) => data[4 * i]) };
}
