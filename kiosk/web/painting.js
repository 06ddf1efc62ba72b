// @ts-check
// Painting a picture: what buttons and answers do to its points (the hints). It joins the parts of the page,
// which know nothing of each other.
import { css, project } from './colour.js';
import { Compare } from './compare.js';
import { button, byId } from './dom.js';
import { Drag } from './drag.js';
import { Fingers } from './fingers.js';
import { translate } from './language.js';
import { Markers, NOTHING } from './markers.js';
import { Modes } from './modes.js';
import { Palette } from './palette.js';
import { Pictures } from './pictures.js';
import { Regions } from './regions.js';
import { Requests } from './requests.js';
import { Ring } from './ring.js';
import { showShapes } from './shapes.js';
import { Stage } from './stage.js';
import { said, say } from './status.js';
import { drawnOn, endOf, linesOf, moved, rounded, withLines, withPlace, withoutPlace } from './strokes.js';
import { Swatches } from './swatches.js';

/** @typedef {import('./link.js').Header} Header */
/** @typedef {import('./edit_history.js').Hint} Hint */
/** @typedef {import('./stage.js').Place} Place */
/** @typedef {import('./markers.js').HintPlace} HintPlace */

const ZOOM_STEP = 1.6;

export class Painting {
  /**
   * @param {import('./webgl_view.js').View} view
   * @param {import('./link.js').Link} link
   * @param {{pxPerMm: () => number, palmMm: number}} panel
   */
  constructor(view, link, panel) {
    this.panel = panel;
    /** Index of the chosen hint, −1 for none. */
    this.chosen = -1;
    /** Index of the chosen one of its lines. */
    this.chosenLine = 0;
    /** Suggestions for the chosen point. @type {Header['colours']} */
    this.colours = null;
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
    this.modes = new Modes(this);
    this.drag = new Drag(this);
    this.regions = new Regions(this);
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
    this.listenToButtons();
  }

  createMarkers() {
    return new Markers(this.stage, {
      choose: (at) => this.toggleRing(at),
      move: (at, place) => { this.choose(at); this.moveTo(place); },
      remove: (at) => { this.choose(at); this.remove(); },
      place: (place) => this.placeByKeys(place),
    });
  }

  createPalette() {
    return new Palette(this.stage, {
      begin: () => this.beginMixing(),
      pick: (a, b, time_ms) => this.alter({ a, b }, time_ms),
      end: () => this.endMixing(),
      recolour: (a, b) => this.alter({ a, b }),
      resize: (size) => (this.chosen >= 0 ? this.alter({ size }) : this.showPalette()),
      move: () => this.modes.toggle('move'),
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
    return this.stage.image !== null && !this.pictures.loading && this.requests.settled && this.regions.complete;
  }

  /** The chosen hint. @returns {Hint | undefined} */
  get hint() {
    return this.edits.present.hints[this.chosen];
  }

  /** The chosen hint at the chosen one of its places. @returns {Hint | undefined} */
  get point() {
    const { hint } = this;
    return hint && { ...hint, ...endOf(linesOf(hint)[this.chosenLine] ?? linesOf(hint)[0]) };
  }

  /** Whether the chosen hint has the chosen place. */
  get hasChosenPlace() {
    return Boolean(this.hint && linesOf(this.hint)[this.chosenLine]);
  }

  /** @param {HintPlace} at */
  isChosen({ index, line }) {
    return index === this.chosen && line === this.chosenLine;
  }

  /** A touched place whose colour has been asked for. */
  get pending() {
    return this.drag.pending;
  }

  /** Whether a finger changes the chosen hint. */
  get dragging() {
    return this.drag.on;
  }

  /** @returns {import('./requests.js').Wanted} */
  wanted() {
    const at = this.pending ?? (this.dragging || this.mixing ? null : this.point);
    const photo = this.pictures.loading ? '' : this.photo;
    return { photo, edit: this.edits.present, point: at ? [at.x, at.y] : null, outline: this.regions.wanted };
  }

  /** Another picture is being loaded. */
  leavePicture() {
    this.drag.forget();
    this.choose(NOTHING);
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
    this.drag.forget();
    this.choose(NOTHING);
    this.modes.setBrush(false);
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
    this.showPoints();
    this.changed();
  }

  // Points

  /** Ask for the colours of a new point. @param {Place} place @param {number} [time_ms] */
  askColour(place, time_ms) {
    if (!this.active) return;
    this.choose(NOTHING);
    this.drag.ask(place);
    this.showPoints();
    this.changed(time_ms);
  }

  /** Whether the ring can be seen: it has its colours. */
  get ringShown() {
    return this.ring.open && Boolean(this.point && this.colours);
  }

  /** Choose a hint by keys, or close the ring that it has. @param {HintPlace} at */
  toggleRing(at) {
    const close = this.ringShown && this.isChosen(at);
    this.choose(at);
    this.ring.set(!close);
    this.changed();
  }

  /** @param {HintPlace} at */
  choose(at) {
    if (!this.isChosen(at)) {
      this.ring.set(false);
      this.swatches.bar.reset();
    }
    [this.chosen, this.chosenLine] = [at.index, at.line];
    this.colours = null;
    this.modes.set('');
    this.showPoints();
  }

  /** Change the chosen hint. @param {Partial<Hint>} change @param {number} [time_ms] of the event behind it */
  alter(change, time_ms) {
    if (this.hint) this.replace({ ...this.hint, ...change }, time_ms);
  }

  /** Move the chosen place. @param {Place} place @param {number} [time_ms] of the event behind it */
  moveTo(place, time_ms) {
    if (this.hint) this.replace(moved(this.hint, this.chosenLine, place), time_ms);
  }

  /**
   * Put another hint into the place of the chosen one.
   * @param {Hint} hint @param {number} [time_ms] of the event behind it @returns {boolean} false if the picture takes no more
   */
  replace(hint, time_ms) {
    if (!this.edits.setHint(this.chosen, hint)) {
      this.sayFull(hint);
      return false;
    }
    this.showPalette();
    this.showPoints();
    this.changed(time_ms);
    return true;
  }

  /** Add what was touched, or painted from there, as a hint. @param {import('./strokes.js').Line} line @param {number} a @param {number} b */
  addLine(line, a, b) {
    const size = this.palette.size;
    const index = this.edits.addHint(withLines({ x: 0, y: 0, a, b, size }, [line]));
    if (index < 0) {
      this.sayFull(endOf(line));
      return;
    }
    this.palette.remember(a, b);
    this.choose({ index, line: 0 });
    this.ring.set(true);
  }

  /** Give the chosen hint another place, which the finger can drag or paint on. @param {Place} place @param {number} [time_ms] */
  addPlace(place, time_ms) {
    const { hint } = this;
    if (!hint) return;
    this.modes.set('');
    this.drag.begin(this.modes.brush);
    if (!this.replace(withPlace(hint, [[rounded(place.x), rounded(place.y)]]), time_ms)) return;
    this.choose({ index: this.chosen, line: linesOf(/** @type {Hint} */ (this.hint)).length - 1 });
    this.ring.set(true);
  }

  /** The cross was pressed: like a touch there. With the brush it draws the line of the open ring on. @param {Place} place */
  placeByKeys(place) {
    if (!this.active) return;
    const { hint } = this;
    if (this.modes.mode === 'same') {
      this.addPlace(place);
      this.drag.end();
      this.changed();
    } else if (this.modes.mode === 'move') this.moveTo(place);
    else if (this.modes.brush && hint && this.ringShown) this.replace(drawnOn(hint, this.chosenLine, place));
    else this.askColour(place);
  }

  /** The picture takes no more. @param {Place} place that was touched */
  sayFull(place) {
    say(translate('too_many'), { beside: this.boxAt(place) });
  }

  /** Where a place lies on the page. @param {Place} place */
  boxAt(place) {
    const [at, box] = [this.stage.toStage(place), this.stage.box.getBoundingClientRect()];
    return { left: box.left + at.x, top: box.top + at.y, width: 0, height: 0 };
  }

  /** Remove the chosen place, and with its last place the hint. */
  remove() {
    const { hint } = this;
    if (!hint) return;
    const left = withoutPlace(hint, this.chosenLine);
    if (left) this.edits.setHint(this.chosen, left);
    else this.edits.removeHint(this.chosen);
    this.afterStep(left ? this.chosen : -1);
  }

  /** Show other points than before. @param {number} chosen the hint to choose, or the last one if there are fewer */
  afterStep(chosen) {
    this.drag.forget();
    if (['too_many', 'too_many_regions'].map(translate).includes(said())) say('');
    const { hints } = this.edits.present;
    const index = Math.min(chosen, hints.length - 1);
    const line = index >= 0 && index === this.chosen ? Math.min(this.chosenLine, linesOf(hints[index]).length - 1) : 0;
    this.choose(index < 0 ? NOTHING : { index, line });
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
  onAnswer(header) {
    const { colours, seq } = header;
    this.regions.take(header);
    if (!colours) {
      if (header.outline) this.showPoints();
      return;
    }
    const touched = this.drag.take(seq);
    if (touched) {
      // Its first colour is the engine's choice.
      this.addLine(touched, ...colours.first);
      this.changed();
    }
    this.colours = this.point ? colours : null;
    this.showPalette();
    this.showPoints();
  }

  // What is shown

  showPoints() {
    const { drag, point, regions } = this;
    this.markers.show(this.edits.present.hints, { index: this.chosen, line: this.chosenLine }, drag.pendingEnd);
    const lines = drag.pendingLine ? [drag.pendingLine] : point && (this.ring.open || drag.on) ? linesOf(point) : [];
    const L = point ? this.stage.lightnessAt(point) : 0;
    showShapes(this.stage, lines, regions.outline, point ? css(L, ...project(L, point.a, point.b)) : 'transparent');
    regions.show();
    this.swatches.show(this.active && this.ring.open ? this.point : undefined, this.colours);
    this.compare.place();
    button('zoom-out').disabled = this.stage.zoom.scale <= 1;
  }

  showPalette() {
    this.palette.show(this.point, this.colours?.L, this.modes.mode);
  }
}
