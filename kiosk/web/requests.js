// @ts-check
// Sends the edit to the server and receives its colours. One request is under way at a time and the next one carries
// the newest edit, so nothing queues between the finger and the frame.
import { messageOf } from './strokes.js';

/** @typedef {import('./link.js').Header} Header */
/** @typedef {import('./edit_history.js').Edit} Edit */

/** A request without an answer for this long no longer blocks the next one. */
const TIMEOUT_MS = 5000;
const [MIN_JPEG_PX, MAX_JPEG_PX] = [256, 1280];
const MAX_FRAMES = 2000;
/** Longer touch-to-frame times are pauses of the visitor and are not recorded. */
const MAX_FRAME_MS = 20000;

/**
 * What to ask: the picture, the edit, where suggestions are wanted, and of which hint the outline is.
 * @typedef {{photo: string, edit: Edit, point: [number, number] | null, outline: number | null}} Wanted
 */

/** Events: sent (detail: number of the request), answer (detail: Header, after its pixels have been taken). */
export class Requests extends EventTarget {
  /** @param {import('./link.js').Link} link @param {import('./stage.js').Stage} stage @param {() => Wanted} wanted */
  constructor(link, stage, wanted) {
    super();
    this.link = link;
    this.stage = stage;
    this.wanted = wanted;
    /** Something changed since the last request. */
    this.dirty = false;
    this.scheduled = false;
    /** Number of the newest answer on screen. */
    this.shownSeq = 0;
    /** The screen shows an answer about this picture. */
    this.answered = false;
    /** The request under way. @type {{seq: number, sent_ms: number, touches: number[]} | null} */
    this.inFlight = null;
    /** Times of the touches since the last request. @type {number[]} */
    this.touches = [];
    /** Touch-to-frame times, newest last. @type {Record<string, number>[]} */
    this.frames = [];
    link.addEventListener('reply', (event) => this.onReply(/** @type {CustomEvent} */ (event).detail));
    link.addEventListener('message', (event) => {
      const message = /** @type {CustomEvent} */ (event).detail;
      if (message.type === 'refused') this.finish(message.seq);
    });
    link.addEventListener('down', () => { this.inFlight = null; });
    link.addEventListener('up', () => {
      this.inFlight = null;
      this.send();
    });
  }

  /** Whether the screen shows the answer to the newest edit. */
  get settled() {
    return !this.dirty && this.shownSeq >= this.link.seq;
  }

  /** Forget all requests: their answers belong to another picture. */
  reset() {
    this.shownSeq = this.link.seq;
    this.answered = false;
    this.inFlight = null;
    this.dirty = false;
    this.touches = [];
  }

  /**
   * Note a change. The request leaves at the end of this task, or when the answer under way has come. Browsers deliver
   * the moves of a finger once a frame, so at most one request per frame is sent.
   * @param {number} [touch_ms] time of the event behind the change
   */
  changed(touch_ms) {
    if (touch_ms) this.touches.push(touch_ms);
    this.dirty = true;
    if (this.scheduled) return;
    this.scheduled = true;
    queueMicrotask(() => {
      this.scheduled = false;
      if (!this.inFlight || performance.now() - this.inFlight.sent_ms > TIMEOUT_MS) this.sendIfDirty();
    });
  }

  sendIfDirty() {
    if (this.dirty) this.send();
  }

  send() {
    const { photo, edit, point, outline } = this.wanted();
    this.dirty = false;
    if (!photo) return;
    const width = Math.min(MAX_JPEG_PX, Math.max(MIN_JPEG_PX, ...this.stage.canvasSize));
    const t_event = this.touches.at(-1) ?? 0;
    const seq = this.link.send({ ...toMessage(photo, edit), want: this.stage.view.kind, width, t_event, point, outline });
    this.inFlight = this.link.up ? { seq, sent_ms: performance.now(), touches: this.touches } : null;
    this.touches = [];
    this.dispatchEvent(new CustomEvent('sent', { detail: seq }));
  }

  /** End the request under way: its answer or a refusal has come. @param {number} seq @returns {{sent_ms: number, touches: number[]}} */
  finish(seq) {
    if (!this.inFlight || seq < this.inFlight.seq) return { sent_ms: 0, touches: [] };
    const finished = this.inFlight;
    this.inFlight = null;
    this.sendIfDirty();
    return finished;
  }

  /** @param {{header: Header, pixels: ArrayBuffer}} reply */
  async onReply({ header, pixels }) {
    const arrived_ms = performance.now();
    const request = this.finish(header.seq);
    if (header.seq <= this.shownSeq) return;
    const { view } = this.stage;
    if (header.kind === 'planes' && 'setPlanes' in view) view.setPlanes(new Uint16Array(pixels));
    else if (header.kind === 'jpeg' && 'setColoured' in view) {
      const image = await createImageBitmap(new Blob([pixels], { type: 'image/jpeg' }));
      // A newer answer, or another picture, may have come while this one was decoded.
      if (header.seq <= this.shownSeq) {
        image.close();
        return;
      }
      view.setColoured(image);
    }
    this.shownSeq = header.seq;
    this.answered = true;
    this.dispatchEvent(new CustomEvent('answer', { detail: header }));
    this.stage.draw((drawn_ms, presented_ms) => this.record(header, request, { arrived_ms, drawn_ms, presented_ms }));
  }

  /**
   * Record one entry for every touch that the request carried.
   * @param {Header} header @param {{sent_ms: number, touches: number[]}} request
   * @param {{arrived_ms: number, drawn_ms: number, presented_ms: number}} times
   */
  record(header, { sent_ms, touches }, { arrived_ms, drawn_ms, presented_ms }) {
    for (const touch_ms of touches) {
      if (presented_ms - touch_ms > MAX_FRAME_MS) continue;
      this.frames.push({
        seq: header.seq,
        wait_ms: sent_ms - touch_ms,
        reply_ms: arrived_ms - sent_ms,
        draw_ms: drawn_ms - arrived_ms,
        present_ms: presented_ms - drawn_ms,
        total_ms: presented_ms - touch_ms,
        ...header.timings,
      });
    }
    if (this.frames.length > MAX_FRAMES) this.frames.splice(0, MAX_FRAMES / 2);
  }
}

/** The fields of a message that describe the picture. @param {string} photo @param {Edit} edit */
export function toMessage(photo, { hints, mood, reference, strength }) {
  return { photo, hints: hints.map(messageOf), mood, reference, strength };
}
