// @ts-check
// Gestures of fingers, pens and mice on the stage: one finger paints, two zoom. Palms are told by their size and ignored.

/** Movement that turns a tap into a drag, in CSS pixels. */
const SLOP_PX = 8;
/** A touch that sends no event for this long is stuck and is dropped. */
const STUCK_MS = 10000;

/**
 * `release` ends a tap or a drag, `cancel` takes it back, `idle` says that no finger is left.
 * @typedef {{down: (x: number, y: number, time_ms: number, kind: string) => void, drag: (x: number, y: number, time_ms: number) => void,
 *   release: () => void, cancel: () => void, pinch: (scale: number, x: number, y: number, dx: number, dy: number) => void,
 *   idle: () => void}} GestureHandlers
 */

export class Gestures {
  /**
   * Positions given to `handlers` are CSS pixels of `element`.
   * @param {HTMLElement} element @param {GestureHandlers} handlers @param {() => number} palmPx
   */
  constructor(element, handlers, palmPx) {
    this.element = element;
    this.handlers = handlers;
    this.palmPx = palmPx;
    /** By pointer id. @type {Map<number, {x: number, y: number, x0: number, y0: number, pen: boolean}>} */
    this.fingers = new Map();
    this.mode = /** @type {'none' | 'tap' | 'drag' | 'pinch' | 'ended'} */ ('none');
    this.stuckTimer = 0;
    element.addEventListener('pointerdown', (event) => this.down(event));
    element.addEventListener('pointermove', (event) => this.move(event));
    for (const name of ['pointerup', 'pointercancel', 'lostpointercapture']) {
      element.addEventListener(name, (event) => this.up(/** @type {PointerEvent} */ (event)));
    }
    element.addEventListener('wheel', (event) => {
      event.preventDefault();
      const [x, y] = this.position(event);
      handlers.pinch(Math.exp(-event.deltaY / 400), x, y, 0, 0);
    }, { passive: false });
  }

  /** Whether a finger paints: a tap or a drag is under way. */
  get painting() {
    return this.mode === 'tap' || this.mode === 'drag';
  }

  /** Forget every finger: a visitor has left, or touches got stuck. */
  reset() {
    if (this.painting) this.handlers.cancel();
    this.fingers.clear();
    this.mode = 'none';
    clearTimeout(this.stuckTimer);
    this.handlers.idle();
  }

  /** @param {MouseEvent} event @returns {[number, number]} */
  position(event) {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** @param {PointerEvent} event */
  isPalm(event) {
    return event.pointerType === 'touch' && Math.max(event.width, event.height) > this.palmPx();
  }

  restartStuckTimer() {
    clearTimeout(this.stuckTimer);
    if (this.fingers.size) this.stuckTimer = setTimeout(() => this.reset(), STUCK_MS);
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (this.isPalm(event) || (event.pointerType === 'mouse' && event.button !== 0)) return;
    if (event.target !== this.element && !(/** @type {Element} */ (event.target)).hasAttribute('data-through')) return;
    event.preventDefault();
    // Fingers beside a pen belong to the hand that holds it; a third finger belongs to somebody else.
    if (this.fingers.size >= 2 || [...this.fingers.values()].some(({ pen }) => pen)) return;
    const [x, y] = this.position(event);
    if (event.pointerType === 'pen' && this.fingers.size) this.reset();
    this.fingers.set(event.pointerId, { x, y, x0: x, y0: y, pen: event.pointerType === 'pen' });
    try {
      this.element.setPointerCapture(event.pointerId);
    } catch {
      // The finger is up again already.
    }
    this.restartStuckTimer();
    if (this.fingers.size === 1) {
      this.mode = 'tap';
      this.handlers.down(x, y, event.timeStamp, event.pointerType);
    } else {
      if (this.painting) this.handlers.cancel();
      this.mode = 'pinch';
    }
  }

  /** @param {PointerEvent} event */
  move(event) {
    const finger = this.fingers.get(event.pointerId);
    if (!finger) return;
    const [x, y] = this.position(event);
    this.restartStuckTimer();
    if (this.isPalm(event)) {
      // A contact that grew this large was a palm from the start.
      this.lift(event.pointerId, true);
      return;
    }
    if (this.mode === 'pinch') {
      const before = this.pair();
      Object.assign(finger, { x, y });
      const after = this.pair();
      this.handlers.pinch(after.distance / Math.max(1, before.distance), after.x, after.y, after.x - before.x, after.y - before.y);
      return;
    }
    Object.assign(finger, { x, y });
    if (this.mode === 'tap' && Math.hypot(x - finger.x0, y - finger.y0) > SLOP_PX) this.mode = 'drag';
    if (this.mode === 'drag') this.handlers.drag(x, y, event.timeStamp);
  }

  /** Centre and distance of two fingers. */
  pair() {
    const [one, two] = [...this.fingers.values()];
    return { x: (one.x + two.x) / 2, y: (one.y + two.y) / 2, distance: Math.hypot(one.x - two.x, one.y - two.y) };
  }

  /** @param {PointerEvent} event */
  up(event) {
    this.lift(event.pointerId, event.type === 'pointercancel');
  }

  /** @param {number} id @param {boolean} cancelled */
  lift(id, cancelled) {
    if (!this.fingers.delete(id)) return;
    const { painting } = this;
    this.restartStuckTimer();
    // After a pinch the finger that is left does nothing until it is lifted too.
    this.mode = this.fingers.size ? 'ended' : 'none';
    if (painting) this.handlers[cancelled ? 'cancel' : 'release']();
    if (!this.fingers.size) this.handlers.idle();
  }
}

/** Keep palms from pressing buttons. @param {(event: PointerEvent) => boolean} isPalm */
export function ignorePalmsOnButtons(isPalm) {
  /** @type {Set<number>} */
  const palms = new Set();
  addEventListener('pointerdown', (event) => {
    if (isPalm(event)) palms.add(event.pointerId);
    else palms.delete(event.pointerId);
  }, { capture: true });
  addEventListener('click', (event) => {
    if (!palms.has(/** @type {PointerEvent} */ (event).pointerId)) return;
    event.preventDefault();
    event.stopPropagation();
  }, { capture: true });
}
