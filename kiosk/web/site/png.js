// @ts-check
// What a saved picture says of itself: chunks of PNG that were made when the page was published.

const SIGNATURE_BYTES = 8;
/** Length, name and checksum of a chunk. */
const FRAME_BYTES = 12;
/** Chunks of the browser's file that hold the picture; what else it writes is left out. */
const KEPT = ['IHDR', 'PLTE', 'IDAT', 'IEND'];

/**
 * The PNG `file` with `label`, whole chunks, behind its header.
 * @param {Blob} file @param {ArrayBuffer} label @returns {Promise<Blob>}
 */
export async function withLabel(file, label) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const view = new DataView(bytes.buffer);
  /** @type {BlobPart[]} */
  const parts = [bytes.subarray(0, SIGNATURE_BYTES)];
  for (let at = SIGNATURE_BYTES; at < bytes.length;) {
    const end = at + FRAME_BYTES + view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (KEPT.includes(name)) parts.push(bytes.subarray(at, end));
    if (name === 'IHDR') parts.push(label);
    at = end;
  }
  return new Blob(parts, { type: 'image/png' });
}
