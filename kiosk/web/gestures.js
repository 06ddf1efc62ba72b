// @ts-check
// Fingers, pens and mice on the picture. One finger paints, two zoom, palms are told by their size and ignored.

/** Movement that makes a drag of a tap, in CSS pixels. */
const SLOP_PX = 8;
const STUCK_MS = 10000;

/**
 * `release` ends a tap or a drag, `cancel` takes it back, `rest` tells that no finger is left.
 * @typedef {{down: (x: number, y: number, time: number, kind: string) => void, drag: (x: number, y: number, time: number) => void,
 *   release: () => void, cancel: () => void, pinch: (scale: number, x: number, y: number, dx: number, dy: number) => void,
 *   rest: () => void}} Hands
 */

export class Gestures {
  /** Positions given to `hands` are CSS pixels of `element`. @param {HTMLElement} element @param {Hands} hands @param {() => number} palmPx */
  constructor(element, hands, palmPx) {
    this.element = element;
    this.hands = hands;
    this.palmPx = palmPx;
    /** @type {Map<number, {x: number, y: number, x0: number, y0: number, pen: boolean}>} */
    this.fingers = new Map();
    this.mode = /** @type {'none' | 'tap' | 'drag' | 'pinch' | 'spent'} */ ('none');
    this.stuck = 0;
    element.addEventListener('pointerdown', (event) => this.down(event));
    element.addEventListener('pointermove', (event) => this.move(event));
    for (const name of ['pointerup', 'pointercancel', 'lostpointercapture']) {
      element.addEventListener(name, (event) => this.up(/** @type {PointerEvent} */ (event)));
    }
    element.addEventListener('wheel', (event) => {
      event.preventDefault();
      const [x, y] = this.place(event);
      hands.pinch(Math.exp(-event.deltaY / 400), x, y, 0, 0);
    }, { passive: false });
  }

  /** Forget every finger: a visitor has left, or touches got stuck. */
  reset() {
    if (this.mode === 'tap' || this.mode === 'drag') this.hands.cancel();
    this.fingers.clear();
    this.mode = 'none';
    clearTimeout(this.stuck);
    this.hands.rest();
  }

  /** @param {MouseEvent} event @returns {[number, number]} */
  place(event) {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** @param {PointerEvent} event */
  isPalm(event) {
    return event.pointerType === 'touch' && Math.max(event.width, event.height) > this.palmPx();
  }

  watch() {
    clearTimeout(this.stuck);
    if (this.fingers.size) this.stuck = setTimeout(() => this.reset(), STUCK_MS);
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (this.isPalm(event) || (event.pointerType === 'mouse' && event.button !== 0)) return;
    if (event.target !== this.element && !(/** @type {Element} */ (event.target)).hasAttribute('data-through')) return;
    event.preventDefault();
    // A hand that holds a pen lies on the glass; so does the rest of the class.
    if (this.fingers.size >= 2 || [...this.fingers.values()].some(({ pen }) => pen)) return;
    const [x, y] = this.place(event);
    if (event.pointerType === 'pen' && this.fingers.size) this.reset();
    this.fingers.set(event.pointerId, { x, y, x0: x, y0: y, pen: event.pointerType === 'pen' });
    try {
      this.element.setPointerCapture(event.pointerId);
    } catch {
      // The finger is up again already.
    }
    this.watch();
    if (this.fingers.size === 1) {
      this.mode = 'tap';
      this.hands.down(x, y, event.timeStamp, event.pointerType);
    } else {
      if (this.mode === 'tap' || this.mode === 'drag') this.hands.cancel();
      this.mode = 'pinch';
    }
  }

  /** @param {PointerEvent} event */
  move(event) {
    const finger = this.fingers.get(event.pointerId);
    if (!finger) return;
    const [x, y] = this.place(event);
    this.watch();
    if (this.isPalm(event)) {
      // A finger that grew into a palm was one from the start.
      this.drop(event.pointerId, true);
      return;
    }
    if (this.mode === 'pinch') {
      const before = this.spread();
      Object.assign(finger, { x, y });
      const after = this.spread();
      this.hands.pinch(after.length / Math.max(1, before.length), after.x, after.y, after.x - before.x, after.y - before.y);
      return;
    }
    Object.assign(finger, { x, y });
    if (this.mode === 'tap' && Math.hypot(x - finger.x0, y - finger.y0) > SLOP_PX) this.mode = 'drag';
    if (this.mode === 'drag') this.hands.drag(x, y, event.timeStamp);
  }

  spread() {
    const [one, two] = [...this.fingers.values()];
    return { x: (one.x + two.x) / 2, y: (one.y + two.y) / 2, length: Math.hypot(one.x - two.x, one.y - two.y) };
  }

  /** @param {PointerEvent} event */
  up(event) {
    this.drop(event.pointerId, event.type === 'pointercancel');
  }

  /** @param {number} id @param {boolean} cancelled */
  drop(id, cancelled) {
    const finger = this.fingers.get(id);
    if (!finger) return;
    this.fingers.delete(id);
    const { mode } = this;
    this.watch();
    // After a pinch the finger that is left does nothing until it is lifted too.
    this.mode = this.fingers.size ? 'spent' : 'none';
    if (mode === 'tap' || mode === 'drag') this.hands[cancelled ? 'cancel' : 'release']();
    if (!this.fingers.size) this.hands.rest();
  }
}

/** A palm that lands on a button presses nothing. @param {(event: PointerEvent) => boolean} isPalm */
export function shieldButtons(isPalm) {
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
