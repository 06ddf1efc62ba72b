// @ts-check
// Painting a picture: what buttons and answers do to its points (the hints). It joins the parts of the page,
// which know nothing of each other.
import { Compare } from './compare.js';
import { button, byId } from './dom.js';
import { Fingers } from './fingers.js';
import { translate } from './language.js';
import { Markers } from './markers.js';
import { Palette } from './palette.js';
import { Pictures } from './pictures.js';
import { Requests } from './requests.js';
import { Ring } from './ring.js';
import { Stage } from './stage.js';
import { said, say } from './status.js';
import { Swatches } from './swatches.js';

/** @typedef {import('./link.js').Header} Header */
/** @typedef {import('./edit_history.js').Hint} Hint */
/** @typedef {import('./stage.js').Place} Place */

const ZOOM_STEP = 1.6;

export class Painting {
  /**
   * @param {import('./webgl_view.js').View} view
   * @param {import('./link.js').Link} link
   * @param {{pxPerMm: () => number, palmMm: number}} panel
   */
  constructor(view, link, panel) {
    this.panel = panel;
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
    /** A finger is on the field of colours. */
    this.mixing = false;
    this.stage = new Stage(view, panel.pxPerMm);
    this.pictures = new Pictures({
      leave: () => this.gestures.reset(),
      load: () => this.leavePicture(),
      show: (image) => this.showPicture(image),
      stay: () => this.changed(),
    });
    this.requests = new Requests(link, this.stage, () => this.wanted());
    this.compare = new Compare(this.stage);
    this.ring = new Ring(() => this.showPoints());
    this.markers = this.createMarkers();
    this.swatches = new Swatches(this.stage, (a, b) => {
      this.palette.remember(a, b);
      this.alter({ a, b });
    });
    this.gestures = new Fingers(this).gestures;
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

  /** Id of the picture, '' for none. */
  get photo() {
    return this.pictures.photo;
  }

  /** What has been made of the picture. */
  get edits() {
    return this.pictures.edits;
  }

  /** Whether touches paint. */
  get active() {
    return document.body.dataset.state === 'painting' && !this.pictures.loading;
  }

  /** Whether a picture is there and the screen shows the answer to its newest edit. For tests and benches. */
  get settled() {
    return this.stage.image !== null && !this.pictures.loading && this.requests.settled;
  }

  /** The chosen point. @returns {Hint | undefined} */
  get point() {
    return this.edits.present.hints[this.chosen];
  }

  /** @returns {import('./requests.js').Wanted} */
  wanted() {
    const at = this.pending ?? (this.dragging || this.mixing ? null : this.point);
    const photo = this.pictures.loading ? '' : this.photo;
    return { photo, edit: this.edits.present, point: at ? [at.x, at.y] : null };
  }

  /** Another picture is being loaded. */
  leavePicture() {
    this.pending = null;
    this.choose(-1);
  }

  /** @param {ImageBitmap} image */
  showPicture(image) {
    this.requests.reset();
    this.stage.setPhoto(image);
    this.changed();
  }

  /** Keep nothing of the visitor who left: neither points nor the photograph, which may be the visitor's own. */
  forget() {
    this.gestures.reset();
    this.pictures.forget();
    this.pending = null;
    this.choose(-1);
    this.changed();
    this.stage.clear();
    this.palette.forget();
    this.requests.reset();
    this.requests.frames = [];
  }

  // The field of colours

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

  /** Ask for the colours of a new point. @param {Place} place @param {number} [time_ms] */
  askColour(place, time_ms) {
    if (!this.active) return;
    this.choose(-1);
    this.pending = place;
    this.pendingSeq = Infinity;
    this.showPoints();
    this.changed(time_ms);
  }

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
