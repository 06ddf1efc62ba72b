// @ts-check
// Reads packed files, as kiosk/site/packed.py writes them: gzip of a header's length, the header and the content.
import { TouchError } from './errors.js';
import { sha256 } from './sha256.js';

const FORMAT = 1;
const GZIP = [0x1f, 0x8b];

/** @typedef {{kind: string, format: number, model: string, bytes: number, sha256: string, [fact: string]: any}} Header */
/** @typedef {{header: Header, content: ArrayBuffer}} Packed */

/**
 * Fetch and check a packed file. Throws TouchError for every file that is not whole or of another kind or format.
 * @param {string} address @param {string} kind @param {AbortSignal} [signal] @returns {Promise<Packed>}
 */
export async function fetchPacked(address, kind, signal) {
  /** @type {import('./errors.js').Part} */
  const part = kind === 'heads' ? 'page' : 'picture';
  const bytes = await fetchBytes(address, part, signal);
  const problem = (/** @type {string} */ what) => new TouchError(part, 'damaged', `${address} ${what}`);
  const plain = bytes[0] === GZIP[0] && bytes[1] === GZIP[1] ? await gunzip(bytes) : bytes;
  if (!plain) throw problem('is truncated or damaged: it cannot be unpacked');
  const start = plain.length >= 4 ? 4 + new DataView(plain.buffer).getUint32(0, true) : 0;
  const header = start && start <= plain.length ? parse(plain.subarray(4, start)) : null;
  if (header?.format !== FORMAT || header.kind !== kind) throw problem(`is no file of ${kind} of format ${FORMAT}`);
  const content = plain.subarray(start);
  if (content.length !== header.bytes) throw problem(`is truncated: ${content.length} bytes of ${header.bytes}`);
  if (sha256(content) !== header.sha256) throw problem('is damaged: its SHA-256 is another one');
  return { header, content: plain.buffer.slice(start) };
}

/**
 * The bytes at an address. Throws TouchError, and AbortError.
 * @param {string} address @param {import('./errors.js').Part} part that needs them @param {AbortSignal} [signal]
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function fetchBytes(address, part, signal) {
  try {
    const reply = await fetch(address, { signal });
    if (!reply.ok) throw new TouchError(part, 'missing', `${address} cannot be loaded: status ${reply.status}`);
    return new Uint8Array(await reply.arrayBuffer());
  } catch (error) {
    if (signal?.aborted || error instanceof TouchError) throw error;
    throw new TouchError(part, 'away', `${address} cannot be loaded: ${/** @type {Error} */ (error).message}`);
  }
}

/** @param {Uint8Array<ArrayBuffer>} bytes @returns {Promise<Uint8Array<ArrayBuffer> | null>} null if they are damaged */
async function gunzip(bytes) {
  try {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    return null;
  }
}

/** @param {Uint8Array} bytes @returns {Header | null} */
function parse(bytes) {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}
