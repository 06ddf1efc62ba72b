// @ts-check
// The encoder's features and the working L of a photograph, as kiosk/site/features.py writes them.
import { fetchPacked } from './packed_file.js';
import { TouchError } from './errors.js';

/** features [96, 64, 64]; L [256, 256] in 0…100. @typedef {{features: Float32Array, L: Float32Array}} Features */

/**
 * Throws TouchError for a file that is damaged or of another model than the heads'.
 * @param {string} address @param {string} model digest of the heads' model @param {AbortSignal} [signal]
 * @returns {Promise<Features>}
 */
export async function loadFeatures(address, model, signal) {
  const { header, content } = await fetchPacked(address, 'features', signal);
  checkModel(address, header.model, model);
  const [channels, height, width] = header.shape, side = header.side;
  const features = decoded(content, 0, [channels, height, width], header.bits);
  const L = decoded(content, features.end, [1, side, side], header.bits);
  return { features: features.planes, L: L.planes };
}

/**
 * The histogram [313] of a picture whose colours are asked for. Throws as `loadFeatures`.
 * @param {string} address @param {string} model @param {AbortSignal} [signal]
 */
export async function loadHistogram(address, model, signal) {
  const { header, content } = await fetchPacked(address, 'histogram', signal);
  checkModel(address, header.model, model);
  return new Float32Array(content);
}

/** @param {string} address @param {string} found @param {string} model */
function checkModel(address, found, model) {
  if (found === model) return;
  throw new TouchError('picture', 'damaged', `${address} is of the model ${found}, the page has ${model}`);
}

/**
 * Planes from their least values, steps, differences of high bytes along the rows, and low bits.
 * @param {ArrayBuffer} content @param {number} start @param {number[]} shape [C, H, W] @param {number} bits
 */
function decoded(content, start, [channels, height, width], bits) {
  const plane = height * width, count = channels * plane, low = bits - 8, [perByte, mask] = [low ? 8 / low : 1, 2 ** low - 1];
  const ranges = new Float32Array(content, start, 2 * channels);
  const high = new Uint8Array(content, start + 8 * channels, count);
  const lows = new Uint8Array(content, start + 8 * channels + count, low ? count / perByte : 0);
  const planes = new Float32Array(count);
  for (let i = 0, before = 0; i < count; i += 1) {
    before = i % width ? (before + high[i]) & 255 : high[i];
    const value = low ? (before << low) | ((lows[Math.floor(i / perByte)] >> ((i % perByte) * low)) & mask) : before;
    const channel = Math.floor(i / plane);
    planes[i] = ranges[channel] + value * ranges[channels + channel];
  }
  return { planes, end: start + 8 * channels + count + lows.length };
}
