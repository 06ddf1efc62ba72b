// @ts-check
// What fingers, pens and mice do on the stage: they place, choose and drag points, grab the line of before and after,
// and zoom.
import { clamp, byId } from './dom.js';
import { Gestures } from './gestures.js';

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
    const { moving } = painting;
    const found = moving ? painting.chosen : painting.markers.nearest(x, y, HIT_MM * painting.panel.pxPerMm());
    this.dragged = false;
    this.closesRing = false;
    if (found >= 0) {
      this.closesRing = painting.ringShown && found === painting.chosen && !moving;
      painting.choose(found);
      painting.ring.set(true);
      painting.edits.begin();
      painting.dragging = true;
      if (moving) painting.alter({ x: clamp(at.x), y: clamp(at.y) }, time_ms);
    } else if (painting.ringShown) painting.ring.close();
    else if (at.x >= 0 && at.x <= 1 && at.y >= 0 && at.y <= 1) painting.askColour(at, time_ms);
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
    if (painting.pending) painting.pending = inside;
    else if (painting.dragging && painting.point) painting.edits.changeHint(painting.chosen, inside);
    else return;
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
    painting.dragging = false;
    if (!painting.pending) painting.edits.commit();
    if (this.closesRing && !this.dragged) painting.ring.close();
    this.afterGesture();
  }

  cancel() {
    const { painting } = this;
    painting.dragging = false;
    painting.pending = null;
    painting.edits.rollback();
    if (!painting.point) painting.choose(-1);
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
