// @ts-check
// Hints → colours and distributions of one photograph, by the kernels (kernels/*.c). What a hint says is kept while it
// stays the same: while one of many points is dragged, one row is computed.
import { TouchError } from './errors.js';
import { fetchBytes } from './packed_file.js';
import { sha256 } from './sha256.js';

export const PLANE = 256;
const BINS = 313;
const GLOBAL = BINS + 3;
export const MAX_HINTS = 128;
const FEATURES = 96 * 64 * 64;
/** A module with one SIMD instruction. */
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11];

/** x, y in 0…1; a, b in CIELAB units; size in working pixels. @typedef {[number, number, number, number, number]} Hint */
/**
 * @typedef {{memory: WebAssembly.Memory, open_photograph(vivid: number): void, use_global_hints(): void,
 *   add_hints(fresh: number, count: number): void, colorize(count: number): void, match_hints(count: number): void,
 *   distribution(x: number, y: number, count: number): void, pack_halves(): void, weights_count(): number,
 *   weights_start(): number, features_start(): number, hints_start(): number, slots_start(): number,
 *   fresh_start(): number, global_hints_start(): number, probabilities_start(): number, ab_start(): number,
 *   halves_start(): number}} Kernels
 */

/** Whether this browser has what colours in the page need. */
function isSupported() {
  return typeof WebAssembly === 'object' && WebAssembly.validate(new Uint8Array(SIMD))
    && typeof DecompressionStream === 'function' && typeof OffscreenCanvas === 'function';
}

/**
 * Load the kernels and compare them with their hash. @param {string} folder the address of kernels.wasm and kernels.txt
 * @returns {Promise<Kernels>}
 */
export async function loadKernels(folder) {
  if (!isSupported()) throw new TouchError('page', 'old', 'WebAssembly SIMD, DecompressionStream or OffscreenCanvas is missing');
  const [bytes, note] = await Promise.all(['kernels.wasm', 'kernels.txt'].map((name) => fetchBytes(folder + name, 'page')));
  if (sha256(bytes) !== new TextDecoder().decode(note).split('\n')[0]) {
    throw new TouchError('page', 'damaged', `${folder}kernels.wasm is damaged: its SHA-256 is another one`);
  }
  const { instance } = await WebAssembly.instantiate(bytes);
  return /** @type {Kernels} */ (/** @type {unknown} */ (instance.exports));
}

export class Touch {
  /** @param {Kernels} kernels @param {import('./heads.js').Heads} heads */
  constructor(kernels, heads) {
    if (kernels.weights_count() !== heads.values.length) {
      throw new TouchError('page', 'damaged', `the heads have ${heads.values.length} weights, the kernels ${kernels.weights_count()}`);
    }
    this.kernels = kernels;
    this.heads = heads;
    const { buffer } = kernels.memory;
    new Float32Array(buffer, kernels.weights_start(), heads.values.length).set(heads.values);
    this.features = new Float32Array(buffer, kernels.features_start(), FEATURES);
    this.hints = new Float64Array(buffer, kernels.hints_start(), 5 * MAX_HINTS);
    this.slots = new Int32Array(buffer, kernels.slots_start(), MAX_HINTS);
    this.fresh = new Int32Array(buffer, kernels.fresh_start(), MAX_HINTS);
    this.globalHints = new Float32Array(buffer, kernels.global_hints_start(), GLOBAL);
    this.probabilities = new Float32Array(buffer, kernels.probabilities_start(), BINS);
    /** Colours of the last `colorize`, [2, 256, 256] in CIELAB units. */
    this.ab = new Float32Array(buffer, kernels.ab_start(), 2 * PLANE * PLANE);
    this.halves = new Uint16Array(buffer, kernels.halves_start(), 2 * PLANE * PLANE);
    /** Slots of the hints that are known, by their numbers. @type {Map<string, number>} */
    this.kept = new Map();
    /** Slots without a hint. @type {number[]} */
    this.free = [];
    this.forgetHints();
  }

  forgetHints() {
    this.kept.clear();
    this.free = Array.from({ length: MAX_HINTS }, (_, i) => MAX_HINTS - 1 - i);
  }

  /** Compute the maps of a photograph. @param {Float32Array} features [96, 64, 64] @param {number} vivid factor of the automatic colours */
  open(features, vivid) {
    this.features.set(features);
    this.kernels.open_photograph(vivid);
    this.useGlobalHints(null);
  }

  /** Ask for a histogram and a saturation of the whole picture. @param {Float32Array | null} vector [316], null for none */
  useGlobalHints(vector) {
    this.globalHints.fill(0);
    if (vector) this.globalHints.set(vector);
    this.kernels.use_global_hints();
    this.forgetHints();
  }

  /** Colours of hints, in `ab`; without `matched`, as the network gives them. @param {Hint[]} hints @param {boolean} [matched] */
  colorize(hints, matched = true) {
    this.place(hints, true);
    this.kernels.colorize(hints.length);
    if (hints.length && matched) this.kernels.match_hints(hints.length);
  }

  /**
   * Probabilities [313] of the bins at a point, given hints. The next call overwrites them.
   * @param {Hint[]} hints @param {number} x @param {number} y
   */
  distribution(hints, x, y) {
    this.place(hints, false);
    this.kernels.distribution(x, y, hints.length);
    const scale = this.heads.temperatureScale, found = this.probabilities;
    if (scale !== 1) {
      const powers = found.map((p) => p ** scale), sum = powers.reduce((total, p) => total + p, 0);
      found.set(powers.map((p) => p / sum));
    }
    return found;
  }

  /** `ab` as half floats [256, 256, 2], a copy. */
  packed() {
    this.kernels.pack_halves();
    return this.halves.slice();
  }

  /** Give the kernels these hints. @param {Hint[]} hints @param {boolean} only whether hints that are not among them are forgotten */
  place(hints, only) {
    if (hints.length > MAX_HINTS) throw new RangeError(`there are ${hints.length} hints; at most ${MAX_HINTS} are possible`);
    const names = hints.map((hint) => hint.join());
    const wanted = new Set(names);
    const missing = [...wanted].filter((name) => !this.kept.has(name)).length;
    // The points of a stroke change where others leave room, so a distribution may need more than is free.
    if ((only && hints.length) || missing > this.free.length) this.forgetOthers(wanted);
    let fresh = 0;
    hints.forEach((hint, i) => {
      this.hints.set(hint, 5 * i);
      let slot = this.kept.get(names[i]);
      if (slot === undefined) {
        slot = /** @type {number} */ (this.free.pop());
        this.kept.set(names[i], slot);
        this.fresh[fresh] = i;
        fresh += 1;
      }
      this.slots[i] = slot;
    });
    if (fresh) this.kernels.add_hints(fresh, hints.length);
  }

  /** @param {Set<string>} names of the hints to keep */
  forgetOthers(names) {
    for (const [name, slot] of this.kept) {
      if (!names.has(name)) {
        this.kept.delete(name);
        this.free.push(slot);
      }
    }
  }
}
