// @ts-check
// What fingers, pens and mice do on the stage: they place, choose and drag points, paint lines, draw around things, grab
// the line of before and after, and zoom.
import { clamp, byId } from './dom.js';
import { Gestures } from './gestures.js';
import { NOTHING } from './markers.js';

/** @typedef {import('./stage.js').Place} Place */

/** A touch this near to a marker takes hold of it. */
const HIT_MM = 7.5;

export class Fingers {
  /** @param {import('./painting.js').Painting} painting */
  constructor(painting) {
    this.painting = painting;
    /** The finger moved since it came down. */
    this.dragged = false;
    /** The finger came down on the point of the open ring: lifting it there closes the ring. */
    this.closesRing = false;
    /** Where the brush came down beside an open ring: a drag paints from there, a tap only closes the ring. @type {Place | null} */
    this.brushStart = null;
    /** The pointer hides what is under it: a finger, not a mouse or a pen. */
    this.lensWanted = false;
    this.gestures = new Gestures(painting.stage.box, {
      down: (x, y, time_ms, kind) => this.down(x, y, time_ms, kind),
      drag: (x, y, time_ms) => this.drag(x, y, time_ms),
      release: () => this.release(),
      cancel: () => this.cancel(),
      pinch: (scale, x, y, dx, dy) => this.pinch(scale, x, y, dx, dy),
      idle: () => painting.stage.setMoving(false),
    }, () => painting.panel.palmMm * painting.panel.pxPerMm());
  }

  /** @param {number} x @param {number} y @param {number} time_ms @param {string} kind touch, pen or mouse */
  down(x, y, time_ms, kind) {
    const { painting } = this;
    if (!painting.active) return;
    if (painting.compare.on) {
      painting.compare.grab(x);
      return;
    }
    byId('coach').classList.add('gone');
    this.lensWanted = kind === 'touch';
    const at = painting.stage.toPhoto(x, y);
    const place = { x: clamp(at.x), y: clamp(at.y) };
    const onPhoto = place.x === at.x && place.y === at.y;
    this.dragged = false;
    this.closesRing = false;
    this.brushStart = null;
    if (painting.modes.mode === 'draw') painting.regions.beginLine(place);
    else if (painting.modes.mode === 'same') onPhoto && painting.addPlace(place, time_ms);
    else if (painting.modes.mode === 'move') {
      this.hold({ index: painting.chosen, line: painting.chosenLine });
      painting.moveTo(place, time_ms);
    } else {
      const found = painting.markers.places[painting.markers.nearest(x, y, HIT_MM * painting.panel.pxPerMm())];
      if (found) {
        this.closesRing = painting.ringShown && painting.isChosen(found);
        this.hold(found);
      } else if (painting.ringShown) {
        painting.ring.close();
        if (painting.modes.brush && onPhoto) this.brushStart = place;
      } else if (onPhoto) painting.askColour(place, time_ms);
    }
  }

  /** The finger takes hold of a marker. @param {import('./markers.js').HintPlace} at */
  hold(at) {
    const { painting } = this;
    painting.choose(at);
    painting.ring.set(true);
    painting.drag.begin(false);
  }

  /** @param {number} x @param {number} y @param {number} time_ms */
  drag(x, y, time_ms) {
    const { painting } = this;
    const { stage } = painting;
    if (painting.compare.on) {
      painting.compare.drag(x);
      return;
    }
    const at = stage.toPhoto(x, y);
    const inside = { x: clamp(at.x), y: clamp(at.y) };
    this.dragged = true;
    if (this.brushStart) {
      painting.askColour(this.brushStart, time_ms);
      this.brushStart = null;
    }
    if (painting.regions.drawing) painting.regions.drawOn(inside);
    else if (!painting.drag.to(inside)) return;
    stage.lens = this.lensWanted ? inside : null;
    stage.setMoving(true);
    painting.swatches.setMoving(true);
    painting.showPoints();
    // The field of colours is too slow to follow each move; it follows at the end.
    if (painting.point) painting.palette.showColour(painting.point);
    // Where drawing is slow the lens is drawn with each answer alone: drawing it more often would delay the answers.
    if (!stage.view.slow) stage.draw();
    painting.changed(time_ms);
  }

  release() {
    const { painting } = this;
    painting.regions.endLine(true);
    painting.drag.end();
    if (this.closesRing && !this.dragged) painting.ring.close();
    this.afterGesture();
  }

  cancel() {
    const { painting } = this;
    painting.regions.endLine(false);
    painting.drag.drop();
    if (!painting.hasChosenPlace) painting.choose(NOTHING);
    this.afterGesture();
  }

  afterGesture() {
    const { painting } = this;
    painting.stage.lens = null;
    painting.swatches.setMoving(false);
    painting.stage.draw();
    painting.changed();
    painting.showPoints();
  }

  /** @param {number} scale @param {number} x @param {number} y @param {number} dx @param {number} dy */
  pinch(scale, x, y, dx, dy) {
    this.painting.stage.setMoving(this.gestures.fingers.size > 0);
    this.painting.stage.pinch(scale, x, y, dx, dy);
  }
}
