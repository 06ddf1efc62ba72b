// @ts-check
// The attract loop: while nobody is there, grey photographs gain colour under a ghost finger, one after the other.
import { byId } from './dom.js';

/** @typedef {import('./gallery.js').Picture} Picture */

const SCENE_MS = 9000;
const FADE_MS = 500;
/** Times within a scene: the ghost finger arrives, the circle of colour starts to grow, and it covers the photograph. */
const ARRIVE_MS = 1400;
const GROW_MS = 1500;
const COVERED_MS = 5700;
const HINT_SIZE = 5;
const reducedMotion = matchMedia('(prefers-reduced-motion: reduce)');

export class Attract {
  /** @param {import('./painting.js').Painting} painting @param {() => Picture[]} pictures @param {(picture: Picture) => void} describe */
  constructor(painting, pictures, describe) {
    this.painting = painting;
    this.pictures = pictures;
    this.describe = describe;
    this.nextTimer = 0;
    this.fadeTimer = 0;
    /** Scenes started since the page was loaded. */
    this.scenes = 0;
  }

  get running() {
    return document.body.dataset.state === 'attract';
  }

  stop() {
    clearTimeout(this.nextTimer);
    clearTimeout(this.fadeTimer);
    this.painting.stage.reveal = null;
    byId('picture').classList.remove('dim');
  }

  /** Start the next scene: fade the picture out, then show the next one. */
  start() {
    clearTimeout(this.nextTimer);
    clearTimeout(this.fadeTimer);
    const pictures = this.pictures();
    if (!this.running || !pictures.length) return;
    const picture = pictures[this.scenes % pictures.length];
    this.scenes += 1;
    this.nextTimer = setTimeout(() => this.start(), SCENE_MS);
    byId('picture').classList.add('dim');
    this.fadeTimer = setTimeout(() => this.showScene(picture), reducedMotion.matches || this.scenes === 1 ? 0 : FADE_MS);
  }

  /** @param {Picture} picture */
  async showScene(picture) {
    const { painting } = this;
    painting.stage.reveal = reducedMotion.matches ? null : [0.5, 0.5, 0];
    let opened = false;
    try {
      opened = await painting.pictures.open(picture.id);
    } catch {
      // The link's events tell why there is no picture; the next scene tries again.
    }
    // A visitor may have begun, or another picture come, while this one was loading.
    if (!this.running || !opened) return;
    byId('picture').classList.remove('dim');
    this.describe(picture);
    if (picture.hints.length) {
      painting.edits.apply({ hints: picture.hints.map(([x, y, a, b]) => ({ x, y, a, b, size: HINT_SIZE })) });
      painting.changed();
    }
    if (reducedMotion.matches) {
      painting.stage.split = 0.5;
      painting.stage.draw();
      return;
    }
    const [x, y] = startPoint(picture, this.scenes);
    this.animate(picture.id, { x, y });
  }

  /** Let the ghost finger touch `place` and colour spread from there. @param {string} id @param {import('./stage.js').Place} place */
  animate(id, place) {
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
      const at = stage.toStage(place);
      const away = (1 - Math.min(1, t / ARRIVE_MS)) ** 3;
      finger.classList.toggle('on', t < GROW_MS * 2);
      finger.style.transform = `translate(${at.x + away * 160}px, ${at.y + away * 220}px)`;
      const grown = Math.max(0, (t - GROW_MS) / (COVERED_MS - GROW_MS));
      stage.reveal = grown < 1 ? [place.x, place.y, grown ** 1.6 * 2.2] : null;
      stage.drawNow();
      if (t < COVERED_MS) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }
}

/**
 * Where to touch a picture first: its first suggested hint, or a place near the middle.
 * @param {Picture} picture @param {number} turn @returns {[number, number]}
 */
export function startPoint(picture, turn = 1) {
  const hint = picture.hints[0];
  return hint ? [hint[0], hint[1]] : [0.35 + 0.3 * ((turn * 0.618) % 1), 0.45 + 0.2 * ((turn * 0.382) % 1)];
}
