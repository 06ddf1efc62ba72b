// @ts-check
// While nobody is there: grey photographs gain colour under a ghost finger, one after the other.
import { byId } from './dom.js';

/** @typedef {import('./gallery.js').Picture} Picture */

const SCENE_MS = 9000;
const FADE_MS = 500;
/** The ghost finger has come, begins to colour, and has coloured everything. */
const COME_MS = 1400;
const TOUCH_MS = 1500;
const FILLED_MS = 5700;
const stillness = matchMedia('(prefers-reduced-motion: reduce)');

export class Attract {
  /** @param {import('./painting.js').Painting} painting @param {() => Picture[]} pictures @param {(picture: Picture) => void} describe */
  constructor(painting, pictures, describe) {
    this.painting = painting;
    this.pictures = pictures;
    this.describe = describe;
    this.timer = 0;
    this.shown = 0;
  }

  get running() {
    return document.body.dataset.state === 'attract';
  }

  stop() {
    clearTimeout(this.timer);
    this.painting.stage.reveal = null;
    byId('picture').classList.remove('dim');
  }

  /** The next picture. */
  start() {
    clearTimeout(this.timer);
    const pictures = this.pictures();
    if (!this.running || !pictures.length) return;
    const picture = pictures[this.shown % pictures.length];
    this.shown += 1;
    this.timer = setTimeout(() => this.start(), SCENE_MS);
    byId('picture').classList.add('dim');
    setTimeout(() => this.present(picture), stillness.matches || this.shown === 1 ? 0 : FADE_MS);
  }

  /** @param {Picture} picture */
  async present(picture) {
    if (!this.running) return;
    const { painting } = this;
    painting.stage.reveal = stillness.matches ? null : [0.5, 0.5, 0];
    let there = false;
    try {
      there = await painting.open(picture.id);
    } catch {
      // The link's events tell why there is no picture; the next scene tries again.
    }
    // A visitor may have begun, or another picture come, while this one was on its way.
    if (!this.running || !there) return;
    byId('picture').classList.remove('dim');
    this.describe(picture);
    if (picture.hints.length) {
      painting.edits.change({ hints: picture.hints.map(([x, y, a, b]) => ({ x, y, a, b, size: 5 })) });
      painting.changed();
    }
    if (stillness.matches) {
      painting.stage.split = 0.5;
      painting.stage.draw();
      return;
    }
    const [x, y] = spotOf(picture, this.shown);
    this.ghost(picture.id, x, y);
  }

  /** @param {string} id @param {number} x @param {number} y */
  ghost(id, x, y) {
    const finger = byId('ghost');
    const { stage } = this.painting;
    const started = performance.now();
    /** @param {number} now */
    const step = (now) => {
      if (!this.running || this.painting.photo !== id) {
        finger.classList.remove('on');
        return;
      }
      const t = now - started;
      const at = stage.toStage({ x, y });
      const ease = 1 - (1 - Math.min(1, t / COME_MS)) ** 3;
      finger.classList.toggle('on', t < TOUCH_MS * 2);
      finger.style.transform = `translate(${at.x + (1 - ease) * 160}px, ${at.y + (1 - ease) * 220}px)`;
      const grow = Math.max(0, (t - TOUCH_MS) / (FILLED_MS - TOUCH_MS));
      stage.reveal = grow < 1 ? [x, y, grow ** 1.6 * 2.2] : null;
      stage.drawNow();
      if (t < FILLED_MS) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }
}

/** Where a ghost finger, or a first visitor, touches a picture: its first suggested hint, or a place near the middle. @param {Picture} picture @param {number} turn */
export function spotOf(picture, turn = 1) {
  const hint = picture.hints[0];
  return hint ? [hint[0], hint[1]] : [0.35 + 0.3 * ((turn * 0.618) % 1), 0.45 + 0.2 * ((turn * 0.382) % 1)];
}
