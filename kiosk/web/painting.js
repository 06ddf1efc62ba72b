// @ts-check
// Painting a picture: what fingers, buttons and answers do to its points. The parts it joins know nothing of each other.
import { Compare } from './compare.js';
import { Courier } from './courier.js';
import { button, clamp, byId } from './dom.js';
import { Edits } from './edits.js';
import { Gestures } from './gestures.js';
import { Marks } from './marks.js';
import { Palette } from './palette.js';
import { Stage } from './stage.js';
import { Swatches } from './swatches.js';
import { translate } from './words.js';

/** @typedef {import('./link.js').Header} Header */
/** @typedef {import('./edits.js').Hint} Hint */

/** A first colour nearer to the present one than this would look like nothing happened. */
const VISIBLE = 14;
const REACH_MM = 7.5;
const ZOOM_STEP = 1.6;

export class Painting {
  /**
   * @param {import('./composite.js').View} view
   * @param {import('./link.js').Link} link
   * @param {{mm: () => number, palmMm: number}} panel
   */
  constructor(view, link, panel) {
    this.panel = panel;
    this.edits = new Edits();
    this.photo = '';
    /** The picture on its way to the stage: until it is there, touches would fall on another one. @type {object | null} */
    this.coming = null;
    this.chosen = -1;
    /** The next touch moves the chosen point. */
    this.moving = false;
    /** @type {{x: number, y: number} | null} a tap whose colour is being asked for */
    this.asking = null;
    /** The first message that asked for it; answers to older ones are about other places. */
    this.askedSeq = Infinity;
    /** @type {Header['colours']} */
    this.colours = null;
    this.dragging = false;
    /** A finger, not a mouse, drags: it hides what is under it. */
    this.lensed = false;
    /** A finger is on the field of colours. */
    this.mixing = false;
    this.stage = new Stage(view, panel.mm);
    this.courier = new Courier(link, this.stage, () => this.question());
    this.compare = new Compare(this.stage);
    this.marks = new Marks(this.stage, {
      choose: (index) => { this.choose(index); this.changed(); },
      alter: (index, place) => { this.choose(index); this.alter(place); },
      remove: (index) => { this.chosen = index; this.remove(); },
      ask: (place) => this.ask(place),
    });
    this.swatches = new Swatches(this.stage, (a, b) => {
      this.palette.remember(a, b);
      this.alter({ a, b });
    });
    this.gestures = new Gestures(this.stage.box, {
      down: (x, y, time, kind) => this.down(x, y, time, kind),
      drag: (x, y, time) => this.drag(x, y, time),
      release: () => this.release(),
      cancel: () => this.cancel(),
      pinch: (scale, x, y, dx, dy) => this.pinch(scale, x, y, dx, dy),
      rest: () => this.stage.hurry(false),
    }, () => panel.palmMm * panel.mm());
    this.palette = new Palette(this.stage, {
      begin: () => { this.edits.begin(); this.mixing = true; this.stage.hurry(true); this.swatches.away(true); },
      pick: (a, b, time) => this.alter({ a, b }, time),
      end: () => this.mixed(),
      use: (a, b) => this.alter({ a, b }),
      grey: () => this.alter({ a: 0, b: 0 }),
      size: (size) => (this.chosen >= 0 ? this.alter({ size }) : this.showPalette()),
      move: () => this.showMoving(!this.moving),
      remove: () => this.remove(),
    }, (event) => this.gestures.isPalm(event));
    this.stage.addEventListener('moved', () => this.placeMarks());
    this.courier.addEventListener('answer', (event) => this.onReply(/** @type {CustomEvent} */ (event).detail));
    this.courier.addEventListener('asked', (event) => {
      if (this.asking && this.askedSeq === Infinity) this.askedSeq = /** @type {CustomEvent} */ (event).detail;
    });
    this.wire();
  }

  get painting() {
    return document.body.dataset.state === 'painting' && !this.coming;
  }

  /** @returns {Hint | undefined} */
  get point() {
    return this.edits.now.hints[this.chosen];
  }

  /** @returns {import('./courier.js').Question} */
  question() {
    const at = this.asking ?? (this.dragging || this.mixing ? null : this.point);
    return { photo: this.coming ? '' : this.photo, wishes: this.edits.now, point: at ? [at.x, at.y] : null };
  }

  /** Bring a picture to the stage. @param {string} id @returns {Promise<boolean>} whether it is there: another one may have been opened meanwhile */
  async open(id) {
    this.gestures.reset();
    const coming = { id };
    this.photo = id;
    this.coming = coming;
    this.edits = new Edits();
    this.asking = null;
    this.choose(-1);
    const reply = await fetch(`/pictures/${id}/2048.jpg`);
    if (!reply.ok) throw new Error(await reply.text());
    const image = await createImageBitmap(await reply.blob());
    if (this.coming !== coming) {
      image.close();
      return false;
    }
    this.coming = null;
    this.courier.turnPage();
    this.stage.setPhoto(image);
    this.changed();
    return true;
  }

  // Fingers

  /** @param {number} x @param {number} y @param {number} time @param {string} kind touch, pen or mouse */
  down(x, y, time, kind) {
    if (!this.painting) return;
    byId('coach').classList.add('gone');
    this.lensed = kind === 'touch';
    const at = this.stage.toPhoto(x, y);
    const found = this.moving ? this.chosen : this.marks.at(x, y, REACH_MM * this.panel.mm());
    if (found >= 0) {
      const moved = this.moving;
      this.choose(found);
      this.edits.begin();
      this.dragging = true;
      if (moved) this.alter({ x: clamp(at.x), y: clamp(at.y) }, time);
    } else if (at.x >= 0 && at.x <= 1 && at.y >= 0 && at.y <= 1) this.ask(at, time);
  }

  /** @param {{x: number, y: number}} place @param {number} [time] */
  ask(place, time) {
    if (!this.painting) return;
    this.choose(-1);
    this.asking = place;
    this.askedSeq = Infinity;
    this.placeMarks();
    this.changed(time);
  }

  /** @param {number} x @param {number} y @param {number} time */
  drag(x, y, time) {
    const at = this.stage.toPhoto(x, y);
    const inside = { x: clamp(at.x), y: clamp(at.y) };
    if (this.asking) this.asking = inside;
    else if (this.dragging && this.point) this.edits.alter(this.chosen, inside);
    else return;
    this.stage.lens = this.lensed ? inside : null;
    this.stage.hurry(true);
    this.swatches.away(true);
    this.placeMarks();
    // Where drawing is slow the lens follows with the answers, or drawing would starve what they wait for.
    if (!this.stage.view.slow) this.stage.draw();
    this.changed(time);
  }

  release() {
    this.dragging = false;
    this.stage.lens = null;
    if (!this.asking) this.edits.settle();
    this.settleDown();
  }

  cancel() {
    this.dragging = false;
    this.stage.lens = null;
    this.asking = null;
    this.edits.abandon();
    if (!this.point) this.choose(-1);
    this.settleDown();
  }

  settleDown() {
    this.swatches.away(false);
    this.stage.draw();
    this.changed();
    this.placeMarks();
  }

  mixed() {
    this.mixing = false;
    this.edits.settle();
    this.stage.hurry(false);
    if (this.point) this.palette.remember(this.point.a, this.point.b);
    this.swatches.away(false);
    this.showPalette();
    this.changed();
  }

  /** @param {number} scale @param {number} x @param {number} y @param {number} dx @param {number} dy */
  pinch(scale, x, y, dx, dy) {
    this.stage.hurry(this.gestures.fingers.size > 0);
    this.stage.pinch(scale, x, y, dx, dy);
  }

  // Points

  /** @param {number} index */
  choose(index) {
    this.chosen = index;
    this.colours = null;
    this.showMoving(false);
    this.placeMarks();
  }

  /** @param {boolean} on */
  showMoving(on) {
    this.moving = on;
    byId('coach').textContent = translate(on ? 'move_where' : 'coach');
    if (on) byId('coach').classList.remove('gone');
    else if (this.edits.now.hints.length) byId('coach').classList.add('gone');
    this.showPalette();
  }

  /** Change the chosen point. @param {Partial<Hint>} change @param {number} [time] */
  alter(change, time) {
    if (!this.point) return;
    this.edits.alter(this.chosen, change);
    this.showPalette();
    this.placeMarks();
    this.changed(time);
  }

  /** @param {{x: number, y: number}} at @param {number} a @param {number} b */
  place(at, a, b) {
    const index = this.edits.add({ x: at.x, y: at.y, a, b, size: this.palette.size });
    if (index < 0) {
      byId('status').textContent = translate('too_many');
      return;
    }
    this.palette.remember(a, b);
    this.choose(index);
  }

  remove() {
    if (!this.point) return;
    this.edits.remove(this.chosen);
    this.afterStep(-1);
  }

  /** The points are others. @param {number} chosen the point to choose, or the last one where there are fewer */
  afterStep(chosen) {
    this.asking = null;
    this.choose(Math.min(chosen, this.edits.now.hints.length - 1));
    this.changed();
  }

  /** Undo and redo keep a point chosen, so that suggestions follow them too. @param {boolean} stepped */
  step(stepped) {
    if (stepped) this.afterStep(this.chosen < 0 ? Infinity : this.chosen);
  }

  // Answers

  /** @param {number} [time] of the touch behind it */
  changed(time) {
    button('undo').disabled = !this.edits.past.length;
    button('redo').disabled = !this.edits.future.length;
    if (this.photo) this.courier.changed(time);
  }

  /** @param {Header} header */
  onReply({ colours, seq }) {
    if (!colours) return;
    if (this.asking && seq >= this.askedSeq) this.answerTap(colours);
    this.colours = this.point ? colours : null;
    this.showPalette();
    this.placeMarks();
  }

  /** The tap becomes a point of the likeliest colour that can be seen. @param {NonNullable<Header['colours']>} colours */
  answerTap(colours) {
    const at = /** @type {{x: number, y: number}} */ (this.asking);
    const [ca, cb] = colours.current;
    const pick = colours.swatches.find(([a, b]) => Math.hypot(a - ca, b - cb) > VISIBLE) ?? colours.swatches[0] ?? [20, 20, 1];
    this.asking = null;
    if (this.gestures.mode === 'tap' || this.gestures.mode === 'drag') {
      this.edits.begin();
      this.dragging = true;
    }
    this.place(at, pick[0], pick[1]);
    this.changed();
  }

  // What is shown

  placeMarks() {
    this.marks.show(this.edits.now.hints, this.chosen, this.asking);
    this.swatches.show(this.painting ? this.point : undefined, this.colours);
    this.compare.place();
    button('zoom-out').disabled = this.stage.zoom.scale <= 1;
  }

  showPalette() {
    this.palette.show(this.point, this.colours?.L, this.moving);
  }

  /** Keep nothing of the visitor who left: neither points nor the photograph, which may be the visitor's own. */
  forget() {
    this.gestures.reset();
    this.photo = '';
    this.coming = null;
    this.edits = new Edits();
    this.asking = null;
    this.choose(-1);
    this.changed();
    this.stage.clear();
    this.palette.forget();
    this.courier.turnPage();
    this.courier.frames = [];
  }

  wire() {
    byId('undo').addEventListener('click', () => this.step(this.edits.undo()));
    byId('redo').addEventListener('click', () => this.step(this.edits.redo()));
    byId('restart').addEventListener('click', () => {
      this.edits.clear();
      this.stage.whole();
      this.afterStep(-1);
    });
    byId('zoom-in').addEventListener('click', () => this.stage.near(ZOOM_STEP, this.point));
    byId('zoom-out').addEventListener('click', () => this.stage.near(1 / ZOOM_STEP, this.point));
  }
}
