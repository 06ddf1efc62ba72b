// @ts-check
// Chooses how this machine draws, WebGL or JPEGs, by the time that WebGL takes for a frame.
import { JpegView } from './jpeg_view.js';
import { WebglView } from './webgl_view.js';

const [TRIAL_WIDTH, TRIAL_HEIGHT] = [1024, 768];
const TRIALS = 10;
/** A frame of 60 Hz has this much time left for drawing. Above it the stage draws with fewer pixels while fingers move. */
const SLOW_MS = 8;
/** Above this a JPEG is quicker, fetching and decoding included: bench/kiosk found 70 ms against 110 (p95) in software. */
const MAX_WEBGL_MS = 16;

/**
 * @param {HTMLCanvasElement} canvas @param {string} pixels the setting: auto, planes or jpeg
 * @param {import('./webgl_view.js').Upsampling} upsampling @returns {import('./webgl_view.js').View}
 */
export function chooseView(canvas, pixels, upsampling) {
  const draw_ms = pixels === 'jpeg' ? null : measureDrawing(upsampling);
  const webgl = draw_ms !== null && (pixels === 'planes' || draw_ms <= MAX_WEBGL_MS);
  const view = webgl ? new WebglView(canvas, upsampling) : new JpegView(canvas);
  view.draw_ms = draw_ms;
  view.slow ||= draw_ms !== null && draw_ms > SLOW_MS;
  return view;
}

/** Median time to draw a frame by WebGL, null where there is no WebGL. @param {import('./webgl_view.js').Upsampling} upsampling */
function measureDrawing(upsampling) {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [TRIAL_WIDTH, TRIAL_HEIGHT];
  const picture = new OffscreenCanvas(TRIAL_WIDTH, TRIAL_HEIGHT);
  picture.getContext('2d');
  const image = picture.transferToImageBitmap();
  let view = null;
  try {
    view = new WebglView(canvas, upsampling);
    view.setPhoto(image);
    return timeFrames(view);
  } catch (error) {
    console.warn('WebGL cannot be used, JPEGs are shown instead:', error);
    return null;
  } finally {
    view?.dispose();
    image.close();
  }
}

/** @param {WebglView} view @returns {number} */
function timeFrames(view) {
  const { gl } = view;
  const sample = new Uint8Array(4);
  const times = [];
  for (let i = 0; i < TRIALS; i += 1) {
    const started = performance.now();
    view.draw({ rect: [0, 0, TRIAL_WIDTH, TRIAL_HEIGHT], colour: 1, split: -1, reveal: null });
    // Reading a pixel waits until the frame is drawn; other calls of WebGL return at once.
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, sample);
    times.push(performance.now() - started);
  }
  return times.sort((a, b) => a - b)[TRIALS >> 1];
}
