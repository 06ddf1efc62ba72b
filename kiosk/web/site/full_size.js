// @ts-check
// A picture in its full size, for saving: ab is enlarged and joined with L as in engine/image/compose.py (bilinear).
// The shader does the same on screen, but a texture of a phone's GPU may be smaller than a photograph.
import { RGB_FROM_XYZ, fromHalf, lightnessOf } from '../colour.js';
import { clamp } from '../dom.js';
import { PLANE } from '../shader.js';

/** Rows that are made at a time; between them the page can answer touches. */
const STRIP_ROWS = 64;
/** Steps of linear light, each with its sRGB byte. */
const LIGHT_STEPS = 65535;
/** (L + 16) / 116 of a grey byte. */
const FY = Float64Array.from({ length: 256 }, (_, byte) => (lightnessOf(byte) + 16) / 116);
/** @type {Uint8Array | null} */
let bytesOfLight = null;

/** @param {number} f */
const expand = (f) => (f > 0.2068966 ? f * f * f : (f - 16 / 116) / 7.787);

/** sRGB bytes of linear light in LIGHT_STEPS steps. */
function byteTable() {
  bytesOfLight ??= Uint8Array.from({ length: LIGHT_STEPS + 1 }, (_, step) => {
    const light = step / LIGHT_STEPS;
    return Math.round(255 * (light > 0.0031308 ? 1.055 * light ** (1 / 2.4) - 0.055 : 12.92 * light));
  });
  return bytesOfLight;
}

/**
 * For `length` pixels: the cell before each one's centre, and how far it lies towards the next.
 * @param {number} length
 */
function cellsOf(length) {
  const cells = new Uint16Array(length);
  const shares = new Float32Array(length);
  for (let i = 0; i < length; i += 1) {
    const centre = clamp((i + 0.5) * (PLANE / length) - 0.5, 0, PLANE - 1);
    cells[i] = Math.min(Math.floor(centre), PLANE - 2);
    shares[i] = centre - cells[i];
  }
  return { cells, shares };
}

/**
 * Colour a strip of a grey photograph in place.
 * @param {Uint8ClampedArray} pixels RGBA, rows of `width` pixels @param {number} width @param {number} top its first row
 * @param {Float32Array} ab [256, 256, 2] @param {ReturnType<typeof cellsOf>} columns @param {ReturnType<typeof cellsOf>} rows
 */
function colourStrip(pixels, width, top, ab, columns, rows) {
  const toByte = byteTable();
  const [[rx, ry, rz], [gx, gy, gz], [bx, by, bz]] = RGB_FROM_XYZ;
  const row = new Float32Array(PLANE * 2);
  const height = pixels.length / 4 / width;
  for (let y = 0; y < height; y += 1) {
    const upper = rows.cells[top + y] * PLANE * 2;
    const down = rows.shares[top + y];
    for (let i = 0; i < PLANE * 2; i += 1) row[i] = ab[upper + i] * (1 - down) + ab[upper + PLANE * 2 + i] * down;
    for (let x = 0, at = y * width * 4; x < width; x += 1, at += 4) {
      const cell = columns.cells[x] * 2;
      const right = columns.shares[x];
      const a = row[cell] * (1 - right) + row[cell + 2] * right;
      const b = row[cell + 1] * (1 - right) + row[cell + 3] * right;
      const fy = FY[pixels[at]];
      const X = expand(fy + a / 500);
      const Y = expand(fy);
      const Z = expand(Math.max(fy - b / 200, 0));
      pixels[at] = toByte[clamp(rx * X + ry * Y + rz * Z) * LIGHT_STEPS + 0.5 | 0];
      pixels[at + 1] = toByte[clamp(gx * X + gy * Y + gz * Z) * LIGHT_STEPS + 0.5 | 0];
      pixels[at + 2] = toByte[clamp(bx * X + by * Y + bz * Z) * LIGHT_STEPS + 0.5 | 0];
    }
  }
}

/**
 * A coloured photograph as PNG.
 * @param {ImageBitmap} image grey @param {Uint16Array} planes ab as half floats [256, 256, 2] @param {number} strength factor of ab
 * @returns {Promise<Blob>} Rejects where this device has no canvas of that size.
 */
export async function coloured(image, planes, strength) {
  const { width, height } = image;
  const ab = Float32Array.from(planes, (half) => fromHalf(half) * strength);
  const [columns, rows] = [cellsOf(width), cellsOf(height)];
  const context = contextOf(width, height);
  const strip = contextOf(width, Math.min(STRIP_ROWS, height));
  for (let top = 0; top < height; top += STRIP_ROWS) {
    const count = Math.min(STRIP_ROWS, height - top);
    strip.drawImage(image, 0, top, width, count, 0, 0, width, count);
    const pixels = strip.getImageData(0, 0, width, count);
    colourStrip(pixels.data, width, top, ab, columns, rows);
    context.putImageData(pixels, 0, top);
    await new Promise((done) => setTimeout(done));
  }
  // A canvas that is too large for the device takes pixels without an error, and stays empty.
  if (context.getImageData(width - 1, height - 1, 1, 1).data[3] !== 255) throw new RangeError(`no canvas of ${width} × ${height}`);
  return context.canvas.convertToBlob({ type: 'image/png' });
}

/** @param {number} width @param {number} height */
function contextOf(width, height) {
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (!context) throw new RangeError(`no canvas of ${width} × ${height}`);
  return context;
}
