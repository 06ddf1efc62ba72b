// @ts-check
// Carries the whole picture to the server and its colours back: one question at a time, always the newest, so that
// nothing queues anywhere between the finger and the frame.

/** @typedef {import('./link.js').Header} Header */
/** @typedef {import('./edits.js').Wishes} Wishes */

/** An answer that takes longer than this is not waited for: the newest picture is sent again. */
const PATIENCE_MS = 5000;
const [MIN_JPEG_PX, MAX_JPEG_PX] = [256, 1280];
const KEPT_FRAMES = 2000;
/** A time above this is a visitor's pause, not the machine's. */
const MAX_MS = 20000;

/** What to ask: the photograph, the wishes, and where suggestions are wanted. @typedef {{photo: string, wishes: Wishes, point: [number, number] | null}} Question */

/** Events: answer (detail: Header), after its pixels have been taken. */
export class Courier extends EventTarget {
  /** @param {import('./link.js').Link} link @param {import('./stage.js').Stage} stage @param {() => Question} question */
  constructor(link, stage, question) {
    super();
    this.link = link;
    this.stage = stage;
    this.question = question;
    /** Something changed since the last question. */
    this.dirty = false;
    this.scheduled = false;
    /** The newest answer shown. */
    this.shown = 0;
    /** The question under way. @type {{seq: number, at: number, touches: number[]} | null} */
    this.under = null;
    /** Times of the touches that no question has carried yet. @type {number[]} */
    this.touches = [];
    /** Touch-to-frame times, newest last. @type {Record<string, number>[]} */
    this.frames = [];
    link.addEventListener('reply', (event) => this.onReply(/** @type {CustomEvent} */ (event).detail));
    link.addEventListener('message', (event) => {
      const message = /** @type {CustomEvent} */ (event).detail;
      if (message.type === 'refused') this.done(message.seq);
    });
    link.addEventListener('down', () => { this.under = null; });
    link.addEventListener('up', () => {
      this.under = null;
      if (this.question().photo) this.send();
    });
  }

  /** Colours of the last photograph are not colours of this one. */
  turnPage() {
    this.shown = this.link.seq;
    this.under = null;
    this.dirty = false;
    this.touches = [];
  }

  /** Something changed: ask at once, when all that this event changes is done, or as soon as the answer under way is there.
   * Browsers hand over the moves of a finger once a frame, and one question at a time is under way: no flood comes of it. @param {number} [touch] time of the event behind it */
  changed(touch) {
    if (touch) this.touches.push(touch);
    this.dirty = true;
    if (this.scheduled) return;
    this.scheduled = true;
    queueMicrotask(() => {
      this.scheduled = false;
      if (!this.under || performance.now() - this.under.at > PATIENCE_MS) this.flush();
    });
  }

  flush() {
    if (this.dirty) this.send();
  }

  /** @returns {number} the number of the question */
  send() {
    const { photo, wishes, point } = this.question();
    this.dirty = false;
    if (!photo) return 0;
    const { kind } = this.stage.view;
    const width = Math.min(MAX_JPEG_PX, Math.max(MIN_JPEG_PX, ...this.stage.pixels));
    const seq = this.link.send({ ...toMessage(photo, wishes), want: kind, width, t_event: this.touches.at(-1) ?? 0, point });
    this.under = this.link.up ? { seq, at: performance.now(), touches: this.touches } : null;
    this.touches = [];
    this.dispatchEvent(new CustomEvent('asked', { detail: seq }));
    return seq;
  }

  /** An answer, or a refusal, has come. @param {number} seq */
  done(seq) {
    if (!this.under || seq < this.under.seq) return { at: 0, touches: [] };
    const { at, touches } = this.under;
    this.under = null;
    this.flush();
    return { at, touches };
  }

  /** @param {{header: Header, pixels: ArrayBuffer}} reply */
  async onReply({ header, pixels }) {
    const arrived = performance.now();
    const asked = this.done(header.seq);
    if (header.seq <= this.shown) return;
    const { view } = this.stage;
    if (header.kind === 'planes' && 'setPlanes' in view) view.setPlanes(new Uint16Array(pixels));
    else if ('setColoured' in view) {
      const image = await createImageBitmap(new Blob([pixels], { type: 'image/jpeg' }));
      if (header.seq <= this.shown) {
        image.close();
        return;
      }
      view.setColoured(image);
    }
    this.shown = header.seq;
    this.dispatchEvent(new CustomEvent('answer', { detail: header }));
    this.stage.draw((drawn, presented) => this.note(header, asked, [arrived, drawn, presented]));
  }

  /**
   * One entry for every touch an answer carried: the touches between two questions wait for the second.
   * @param {Header} header @param {{at: number, touches: number[]}} asked @param {[number, number, number]} times arrived, drawn, presented
   */
  note(header, { at, touches }, [arrived, drawn, presented]) {
    for (const touch of touches) {
      if (presented - touch > MAX_MS) continue;
      this.frames.push({
        seq: header.seq, wait_ms: at - touch, reply_ms: arrived - at, draw_ms: drawn - arrived, present_ms: presented - drawn,
        total_ms: presented - touch, ...header.timings,
      });
    }
    if (this.frames.length > KEPT_FRAMES) this.frames.splice(0, KEPT_FRAMES / 2);
  }
}

/** Photograph and wishes as a message has them. @param {string} photo @param {Wishes} wishes */
export function toMessage(photo, { hints, mood, reference, saturation }) {
  return { photo, hints: hints.map((h) => [h.x, h.y, h.a, h.b, h.size]), mood, reference, saturation };
}
