// @ts-check
// The light of a photograph in the cells of the colour planes, as engine/image/guided.py wants it.
import { lightnessOf } from './colour.js';

const LIGHTNESS_OF = Float32Array.from({ length: 256 }, (_, byte) => lightnessOf(byte));

/**
 * Mean L over each cell of a grey photograph that is divided into `side` × `side`, rows from the top; a pixel on the
 * border of two cells counts in both, in part.
 * @param {ImageBitmap | OffscreenCanvas} image @param {number} side
 */
export function cellLight(image, side) {
  const { width, height } = image;
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true }));
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, width, height).data;
  const cells = new Float32Array(side * side);
  const row = new Float32Array(side);
  const columns = shares(width, side);
  let summed = -1;
  for (const { pixel: y, cell, share } of shares(height, side)) {
    if (y !== summed) {
      row.fill(0);
      for (const { pixel: x, cell: column, share: part } of columns) row[column] += part * LIGHTNESS_OF[pixels[(y * width + x) * 4]];
      summed = y;
    }
    for (let column = 0; column < side; column += 1) cells[cell * side + column] += share * row[column];
  }
  return cells;
}

/** Which pixels of `length` lie in which of `side` cells, and what share of the cell each covers. @param {number} length @param {number} side */
function shares(length, side) {
  const found = [];
  for (let cell = 0; cell < side; cell += 1) {
    const [from, to] = [(cell * length) / side, ((cell + 1) * length) / side];
    for (let pixel = Math.floor(from); pixel < to; pixel += 1) {
      found.push({ pixel, cell, share: (Math.min(pixel + 1, to) - Math.max(pixel, from)) * (side / length) });
    }
  }
  return found;
}
