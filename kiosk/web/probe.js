// @ts-check
// Which way pixels travel on this machine, measured once when the page starts.
import { Composite } from './composite.js';

const TRIALS = 10;
/** A frame of 60 Hz leaves this for drawing; above it the stage draws coarser while fingers move. */
const SLOW_MS = 8;
/** Above this fetching and decoding a JPEG is quicker: bench/kiosk/latency.py found 70 ms against 110 (p95) in software. */
const HOPELESS_MS = 16;

/**
 * Draws a few frames of 1024 × 768.
 * @param {string} wanted auto, planes or jpeg
 * @param {import('./composite.js').Upsampling} upsampling
 * @returns {{kind: string, slow: boolean, draw_ms: number | null}}
 */
export function probe(wanted, upsampling) {
  if (wanted === 'jpeg') return { kind: 'jpeg', slow: false, draw_ms: null };
  try {
    const draw_ms = median(upsampling);
    return { kind: wanted === 'auto' && draw_ms > HOPELESS_MS ? 'jpeg' : 'planes', slow: draw_ms > SLOW_MS, draw_ms };
  } catch {
    return { kind: 'jpeg', slow: false, draw_ms: null };
  }
}

/** @param {import('./composite.js').Upsampling} upsampling */
function median(upsampling) {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [1024, 768];
  const trial = new Composite(canvas, upsampling);
  const { gl } = trial;
  const sample = new Uint8Array(4);
  const picture = new OffscreenCanvas(1024, 768);
  picture.getContext('2d');
  const image = picture.transferToImageBitmap();
  const times = [];
  try {
    trial.setPhoto(image);
    for (let i = 0; i < TRIALS; i += 1) {
      const started = performance.now();
      trial.draw({ rect: [0, 0, 1024, 768], colour: 1, split: -1, reveal: null });
      // Reading a pixel waits for the drawing; nothing else in WebGL does.
      gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, sample);
      times.push(performance.now() - started);
    }
  } finally {
    image.close();
    trial.dispose();
  }
  return times.sort((a, b) => a - b)[TRIALS >> 1];
}
