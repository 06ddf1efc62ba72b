// @ts-check
// Mean L of a photograph in each cell of the ab planes, as engine/image/guided.py needs it.
import { lightnessOf } from './colour.js';

const LIGHTNESS_OF = Float32Array.from({ length: 256 }, (_, byte) => lightnessOf(byte));

/**
 * Mean L over each cell of a grey photograph that is divided into `side` × `side` cells, rows from the top. A pixel on
 * the border of two cells counts in both by the area it covers.
 * @param {ImageBitmap | OffscreenCanvas} image @param {number} side @returns {Float32Array} [side, side], L in 0…100
 */
export function cellLightness(image, side) {
  const { width, height } = image;
  const canvas = new OffscreenCanvas(width, height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext('2d', { willReadFrequently: true }));
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, width, height).data;
  const cells = new Float32Array(side * side);
  const row = new Float32Array(side);
  const columns = overlaps(width, side);
  let summedRow = -1;
  for (const { pixel: y, cell, share } of overlaps(height, side)) {
    if (y !== summedRow) {
      row.fill(0);
      for (const { pixel: x, cell: column, share: part } of columns) row[column] += part * LIGHTNESS_OF[pixels[(y * width + x) * 4]];
      summedRow = y;
    }
    for (let column = 0; column < side; column += 1) cells[cell * side + column] += share * row[column];
  }
  return cells;
}

/**
 * Which of `length` pixels lie in which of `side` cells, and the share of the cell that each covers.
 * @param {number} length @param {number} side
 */
function overlaps(length, side) {
  const found = [];
  for (let cell = 0; cell < side; cell += 1) {
    const [from, to] = [(cell * length) / side, ((cell + 1) * length) / side];
    for (let pixel = Math.floor(from); pixel < to; pixel += 1) {
      found.push({ pixel, cell, share: (Math.min(pixel + 1, to) - Math.max(pixel, from)) * (side / length) });
    }
  }
  return found;
}
