// @ts-check
// Painting a picture: what fingers, buttons and answers do to its points (the hints). It joins the parts of the page,
// which know nothing of each other.
import { Compare } from './compare.js';
import { button, clamp, byId } from './dom.js';
import { EditHistory } from './edit_history.js';
import { Gestures } from './gestures.js';
import { translate } from './language.js';
import { Markers } from './markers.js';
import { Palette } from './palette.js';
import { Requests } from './requests.js';
import { Ring } from './ring.js';
import { Stage } from './stage.js';
import { said, say } from './status.js';
import { Swatches } from './swatches.js';

/** @typedef {import('./link.js').Header} Header */
/** @typedef {import('./edit_history.js').Hint} Hint */
/** @typedef {import('./stage.js').Place} Place */

/** A touch this near to a marker takes hold of it. */
const HIT_MM = 7.5;
const ZOOM_STEP = 1.6;
const PREVIEW_PX = 2048;

export class Painting {
  /**
   * @param {import('./webgl_view.js').View} view
   * @param {import('./link.js').Link} link
   * @param {{pxPerMm: () => number, palmMm: number}} panel
   */
  constructor(view, link, panel) {
    this.panel = panel;
    this.edits = new EditHistory();
    /** What the visitor has made of each picture, by its id. @type {Map<string, EditHistory>} */
    this.histories = new Map();
    /** Id of the picture, '' for none. */
    this.photo = '';
    /** The picture that is being loaded; until it is there, touches would fall on another one. @type {object | null} */
    this.loading = null;
    /** Index of the chosen point, −1 for none. */
    this.chosen = -1;
    /** The next touch moves the chosen point. */
    this.moving = false;
    /** A touched place whose colour has been asked for; the answer makes it a point. @type {Place | null} */
    this.pending = null;
    /** Number of the first request that carried it: older answers are about other places. */
    this.pendingSeq = Infinity;
    /** Suggestions for the chosen point. @type {Header['colours']} */
    this.colours = null;
    /** A finger drags the chosen point. */
    this.dragging = false;
    /** The finger moved since it came down. */
    this.dragged = false;
    /** The finger came down on the point of the open ring: lifting it there closes the ring. */
    this.closesRing = false;
    /** The pointer hides what is under it: a finger, not a mouse or a pen. */
    this.lensWanted = false;
    /** A finger is on the field of colours. */
    this.mixing = false;
    this.stage = new Stage(view, panel.pxPerMm);
    this.requests = new Requests(link, this.stage, () => this.wanted());
    this.compare = new Compare(this.stage);
    this.ring = new Ring(() => this.showPoints());
    this.markers = this.createMarkers();
    this.swatches = new Swatches(this.stage, (a, b) => {
      this.palette.remember(a, b);
      this.alter({ a, b });
    });
    this.gestures = this.createGestures();
    this.palette = this.createPalette();
    this.stage.addEventListener('moved', () => this.showPoints());
    this.requests.addEventListener('answer', (event) => this.onAnswer(/** @type {CustomEvent} */ (event).detail));
    this.requests.addEventListener('sent', (event) => {
      if (this.pending && this.pendingSeq === Infinity) this.pendingSeq = /** @type {CustomEvent} */ (event).detail;
    });
    this.listenToButtons();
  }

  createMarkers() {
    return new Markers(this.stage, {
      choose: (index) => this.toggleRing(index),
      move: (index, place) => { this.choose(index); this.alter(place); },
      remove: (index) => { this.chosen = index; this.remove(); },
      place: (place) => this.askColour(place),
    });
  }

  createGestures() {
    return new Gestures(this.stage.box, {
      down: (x, y, time_ms, kind) => this.down(x, y, time_ms, kind),
      drag: (x, y, time_ms) => this.drag(x, y, time_ms),
      release: () => this.release(),
      cancel: () => this.cancel(),
      pinch: (scale, x, y, dx, dy) => this.pinch(scale, x, y, dx, dy),
      idle: () => this.stage.setMoving(false),
    }, () => this.panel.palmMm * this.panel.pxPerMm());
  }

  createPalette() {
    return new Palette(this.stage, {
      begin: () => this.beginMixing(),
      pick: (a, b, time_ms) => this.alter({ a, b }, time_ms),
      end: () => this.endMixing(),
      recolour: (a, b) => this.alter({ a, b }),
      resize: (size) => (this.chosen >= 0 ? this.alter({ size }) : this.showPalette()),
      move: () => this.setMoving(!this.moving),
      remove: () => this.remove(),
    }, (event) => this.gestures.isPalm(event));
  }

  listenToButtons() {
    byId('undo').addEventListener('click', () => this.edits.undo() && this.afterUndo());
    byId('redo').addEventListener('click', () => this.edits.redo() && this.afterUndo());
    byId('split').addEventListener('click', () => this.ring.close());
    byId('restart').addEventListener('click', () => {
      this.edits.clear();
      this.stage.resetZoom();
      this.afterStep(-1);
    });
    byId('zoom-in').addEventListener('click', () => this.stage.zoomBy(ZOOM_STEP, this.point));
    byId('zoom-out').addEventListener('click', () => this.stage.zoomBy(1 / ZOOM_STEP, this.point));
  }

  /** Whether touches paint. */
  get active() {
    return document.body.dataset.state === 'painting' && !this.loading;
  }

  /** Whether a picture is there and the screen shows the answer to its newest edit. For tests and benches. */
  get settled() {
    return this.stage.image !== null && !this.loading && this.requests.settled;
  }

  /** The chosen point. @returns {Hint | undefined} */
  get point() {
    return this.edits.present.hints[this.chosen];
  }

  /** @returns {import('./requests.js').Wanted} */
  wanted() {
    const at = this.pending ?? (this.dragging || this.mixing ? null : this.point);
    return { photo: this.loading ? '' : this.photo, edit: this.edits.present, point: at ? [at.x, at.y] : null };
  }

  /**
   * Load a picture and show it. Where that fails, the picture of before stays. Raises what went wrong.
   * @param {string} id @param {EditHistory} edits what has been made of it
   * @returns {Promise<boolean>} false if another one was opened meanwhile
   */
  async open(id, edits = new EditHistory()) {
    this.gestures.reset();
    const loading = { id };
    const before = this.loading ? { photo: '', edits: new EditHistory() } : { photo: this.photo, edits: this.edits };
    [this.photo, this.edits, this.loading] = [id, edits, loading];
    this.pending = null;
    this.choose(-1);
    try {
      const image = await loadPhoto(id);
      if (this.loading !== loading) {
        image.close();
        return false;
      }
      this.loading = null;
      this.requests.reset();
      this.stage.setPhoto(image);
      this.changed();
      return true;
    } catch (error) {
      if (this.loading !== loading) return false;
      this.loading = null;
      [this.photo, this.edits] = [before.photo, before.edits];
      this.changed();
      throw error;
    }
  }

  /** Open a picture for the visitor, as the visitor left it. @param {string} id @returns {Promise<boolean>} see `open` */
  async openAgain(id) {
    if (this.isOpen(id)) return true;
    const edits = this.histories.get(id) ?? new EditHistory();
    const opened = await this.open(id, edits);
    if (opened) this.histories.set(id, edits);
    return opened;
  }

  /** Whether a picture lies on the stage, opened by the visitor. @param {string} id */
  isOpen(id) {
    return id === this.photo && !this.loading && this.histories.get(id) === this.edits;
  }

  /** Whether the visitor has changed a picture. @param {string} id */
  isPainted(id) {
    const edits = this.histories.get(id);
    return Boolean(edits && (edits.past.length || edits.future.length));
  }

  /** Keep nothing of the visitor who left: neither points nor the photograph, which may be the visitor's own. */
  forget() {
    this.gestures.reset();
    this.photo = '';
    this.loading = null;
    this.edits = new EditHistory();
    this.histories.clear();
    this.pending = null;
    this.choose(-1);
    this.changed();
    this.stage.clear();
    this.palette.forget();
    this.requests.reset();
    this.requests.frames = [];
  }

  // Fingers

  /** @param {number} x @param {number} y @param {number} time_ms @param {string} kind touch, pen or mouse */
  down(x, y, time_ms, kind) {
    if (!this.active) return;
    if (this.compare.on) {
      this.compare.grab(x);
      return;
    }
    byId('coach').classList.add('gone');
    this.lensWanted = kind === 'touch';
    const at = this.stage.toPhoto(x, y);
    const found = this.moving ? this.chosen : this.markers.nearest(x, y, HIT_MM * this.panel.pxPerMm());
    this.dragged = false;
    this.closesRing = false;
    if (found >= 0) {
      const { moving } = this;
      this.closesRing = this.ringShown && found === this.chosen && !moving;
      this.choose(found);
      this.ring.set(true);
      this.edits.begin();
      this.dragging = true;
      if (moving) this.alter({ x: clamp(at.x), y: clamp(at.y) }, time_ms);
    } else if (this.ringShown) this.ring.close();
    else if (at.x >= 0 && at.x <= 1 && at.y >= 0 && at.y <= 1) this.askColour(at, time_ms);
  }

  /** Ask for the colours of a new point. @param {Place} place @param {number} [time_ms] */
  askColour(place, time_ms) {
    if (!this.active) return;
    this.choose(-1);
    this.pending = place;
    this.pendingSeq = Infinity;
    this.showPoints();
    this.changed(time_ms);
  }

  /** @param {number} x @param {number} y @param {number} time_ms */
  drag(x, y, time_ms) {
    if (this.compare.on) {
      this.compare.drag(x);
      return;
    }
    const at = this.stage.toPhoto(x, y);
    const inside = { x: clamp(at.x), y: clamp(at.y) };
    this.dragged = true;
    if (this.pending) this.pending = inside;
    else if (this.dragging && this.point) this.edits.changeHint(this.chosen, inside);
    else return;
    this.stage.lens = this.lensWanted ? inside : null;
    this.stage.setMoving(true);
    this.swatches.setMoving(true);
    this.showPoints();
    // The field of colours is too slow to follow each move; it follows at the end.
    if (this.point) this.palette.showColour(this.point);
    // Where drawing is slow the lens is drawn with each answer alone: drawing it more often would delay the answers.
    if (!this.stage.view.slow) this.stage.draw();
    this.changed(time_ms);
  }

  release() {
    this.dragging = false;
    if (!this.pending) this.edits.commit();
    if (this.closesRing && !this.dragged) this.ring.close();
    this.afterGesture();
  }

  cancel() {
    this.dragging = false;
    this.pending = null;
    this.edits.rollback();
    if (!this.point) this.choose(-1);
    this.afterGesture();
  }

  afterGesture() {
    this.stage.lens = null;
    this.swatches.setMoving(false);
    this.stage.draw();
    this.changed();
    this.showPoints();
  }

  /** @param {number} scale @param {number} x @param {number} y @param {number} dx @param {number} dy */
  pinch(scale, x, y, dx, dy) {
    this.stage.setMoving(this.gestures.fingers.size > 0);
    this.stage.pinch(scale, x, y, dx, dy);
  }

  beginMixing() {
    this.edits.begin();
    this.mixing = true;
    this.stage.setMoving(true);
    this.swatches.setMoving(true);
  }

  endMixing() {
    this.mixing = false;
    this.edits.commit();
    this.stage.setMoving(false);
    if (this.point) this.palette.remember(this.point.a, this.point.b);
    this.swatches.setMoving(false);
    this.showPalette();
    this.changed();
  }

  // Points

  /** Whether the ring can be seen: it has its colours. */
  get ringShown() {
    return this.ring.open && Boolean(this.point && this.colours);
  }

  /** Choose a point by keys, or close the ring that it has. @param {number} index */
  toggleRing(index) {
    const close = this.ringShown && index === this.chosen;
    this.choose(index);
    this.ring.set(!close);
    this.changed();
  }

  /** @param {number} index −1 for none */
  choose(index) {
    if (index !== this.chosen) this.ring.set(false);
    this.chosen = index;
    this.colours = null;
    this.setMoving(false);
    this.showPoints();
  }

  /** Let the next touch move the chosen point, or not. @param {boolean} on */
  setMoving(on) {
    this.moving = on;
    byId('coach').textContent = translate(on ? 'move_where' : 'coach');
    if (on) byId('coach').classList.remove('gone');
    else if (this.edits.present.hints.length) byId('coach').classList.add('gone');
    this.showPalette();
  }

  /** Change the chosen point. @param {Partial<Hint>} change @param {number} [time_ms] of the event behind it */
  alter(change, time_ms) {
    if (!this.point) return;
    this.edits.changeHint(this.chosen, change);
    this.showPalette();
    this.showPoints();
    this.changed(time_ms);
  }

  /** @param {Place} place @param {number} a @param {number} b */
  addPoint(place, a, b) {
    const index = this.edits.addHint({ x: place.x, y: place.y, a, b, size: this.palette.size });
    if (index < 0) {
      say(translate('too_many'), { beside: this.boxAt(place) });
      return;
    }
    this.palette.remember(a, b);
    this.choose(index);
    this.ring.set(true);
  }

  /** Where a place lies on the page. @param {Place} place */
  boxAt(place) {
    const [at, box] = [this.stage.toStage(place), this.stage.box.getBoundingClientRect()];
    return { left: box.left + at.x, top: box.top + at.y, width: 0, height: 0 };
  }

  remove() {
    if (!this.point) return;
    this.edits.removeHint(this.chosen);
    this.afterStep(-1);
  }

  /** Show other points than before. @param {number} chosen the point to choose, or the last one if there are fewer */
  afterStep(chosen) {
    this.pending = null;
    if (said() === translate('too_many')) say('');
    this.choose(Math.min(chosen, this.edits.present.hints.length - 1));
    this.changed();
  }

  /** After undo and redo a point is chosen, so that suggestions follow them too. */
  afterUndo() {
    this.afterStep(this.chosen < 0 ? Infinity : this.chosen);
  }

  // Answers

  /** Ask for the colours of what has changed. @param {number} [time_ms] of the event behind it */
  changed(time_ms) {
    button('undo').disabled = !this.edits.past.length;
    button('redo').disabled = !this.edits.future.length;
    this.stage.setStrength(this.edits.present.strength);
    if (this.photo) this.requests.changed(time_ms);
  }

  /** @param {Header} header */
  onAnswer({ colours, seq }) {
    if (!colours) return;
    if (this.pending && seq >= this.pendingSeq) this.placePending(this.pending, colours);
    this.colours = this.point ? colours : null;
    this.showPalette();
    this.showPoints();
  }

  /**
   * Make the touched place a point of its first colour, which the engine chooses.
   * @param {Place} place @param {NonNullable<Header['colours']>} colours
   */
  placePending(place, { first: [a, b] }) {
    this.pending = null;
    // The finger is still down: it drags the new point, in the same step of undo.
    if (this.gestures.painting) {
      this.edits.begin();
      this.dragging = true;
    }
    this.addPoint(place, a, b);
    this.changed();
  }

  // What is shown

  showPoints() {
    this.markers.show(this.edits.present.hints, this.chosen, this.pending);
    this.swatches.show(this.active && this.ring.open ? this.point : undefined, this.colours);
    this.compare.place();
    button('zoom-out').disabled = this.stage.zoom.scale <= 1;
  }

  showPalette() {
    this.palette.show(this.point, this.colours?.L, this.moving);
  }
}

/** @param {string} id of a picture @returns {Promise<ImageBitmap>} */
async function loadPhoto(id) {
  const reply = await fetch(`pictures/${id}/${PREVIEW_PX}.jpg`);
  if (!reply.ok) throw new Error(await reply.text());
  return createImageBitmap(await reply.blob());
}
