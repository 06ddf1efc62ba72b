// @ts-check
// The weights of hint attention, as kiosk/site/heads.py writes them.
import { fromHalf } from '../colour.js';
import { fetchPacked } from './packed_file.js';
import { TouchError } from './errors.js';

const FORM = 'hint-attention-3';
const CENTRES = 'centres';

/**
 * values: the weights in the order of `struct weights` in kernels/state.h. centres: of the bins, [a, b] in turn.
 * model: the digest that features have to have too. temperatureScale: the power of probabilities.
 * @typedef {{values: Float32Array, centres: Float32Array, model: string, temperatureScale: number, maxHints: number}} Heads
 */

/** Throws TouchError for another file, and for a model of another form. @param {string} address @returns {Promise<Heads>} */
export async function loadHeads(address) {
  const { header, content } = await fetchPacked(address, 'heads');
  if (header.form !== FORM) {
    throw new TouchError('page', 'damaged', `${address} holds a model of the form ${header.form}; this page computes ${FORM}`);
  }
  /** @type {[string, number[], string][]} */
  const tensors = header.tensors;
  const sizes = tensors.map(([, shape]) => shape.reduce((product, side) => product * side, 1));
  const values = new Float32Array(sizes.reduce((sum, size) => sum + size, 0));
  let [from, to, centres] = [0, 0, new Float32Array(0)];
  tensors.forEach(([name, , type], i) => {
    const half = type === 'float16', size = sizes[i];
    if (half) values.set(Float32Array.from(new Uint16Array(content, from, size), fromHalf), to);
    else values.set(new Float32Array(content, from, size), to);
    if (name === CENTRES) centres = values.slice(to, to + size);
    from += half ? (size + (size % 2)) * 2 : size * 4;
    to += size;
  });
  return { values, centres, model: header.model, temperatureScale: header.temperature_scale, maxHints: header.max_hints };
}
