// @ts-check
// Where next: while the visitor pauses, a quiet spot shows where another colour would help the picture most. The spot
// also shows where to begin. It is for eyes and fingers alone: whoever paints by keys gets none.
import { byId } from './dom.js';
import { toMessage } from './requests.js';
import { fits } from './strokes.js';

/** @typedef {import('./stage.js').Place} Place */

/** A pause is this long without input. The ring has closed by itself by then. */
const PAUSE_MS = 8000;
/** Nothing is offered where the picture takes no further point. */
const ONE_MORE = { x: 0, y: 0, a: 0, b: 0, size: 1 };

export class WhereNext {
  /** @param {import('./painting.js').Painting} painting @param {import('./link.js').Link} link */
  constructor(painting, link) {
    this.painting = painting;
    this.link = link;
    this.spot = byId('spot');
    /** @type {Place} */
    this.place = { x: 0.5, y: 0.5 };
    /** Number of the edit for which a place was asked last. */
    this.asked = -1;
    this.timer = 0;
    for (const name of ['pointerdown', 'keydown', 'wheel']) {
      addEventListener(name, () => this.hide(), { capture: true, passive: true });
    }
    painting.requests.addEventListener('sent', () => this.hide());
    // A mouse may move to the spot without losing it.
    addEventListener('pointermove', () => !this.offered && this.restart(), { capture: true, passive: true });
    link.addEventListener('message', (event) => {
      const message = /** @type {CustomEvent} */ (event).detail;
      if (message.type === 'next') this.onAnswer(message);
    });
    painting.stage.addEventListener('moved', () => this.showPlace());
  }

  /** Whether the spot shows where to touch next. */
  get offered() {
    return this.spot.classList.contains('offered');
  }

  /** Show where to begin. @param {Place} place */
  begin(place) {
    this.hide();
    this.place = place;
    this.showPlace();
  }

  /** The visitor does something: the spot goes, and another pause may begin. */
  hide() {
    // The engine may still be searching.
    if (this.asked >= 0 && !this.offered) this.link.askNext(null);
    this.asked = -1;
    this.spot.classList.remove('offered');
    this.restart();
  }

  restart() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (this.canOffer ? this.ask() : this.restart()), PAUSE_MS);
  }

  /** Whether a place may be asked for and shown: a picture is being painted, and nothing else goes on. */
  get canOffer() {
    const { painting } = this;
    const busy = painting.pending || painting.modes.mode || painting.ring.open || painting.compare.on
      || painting.gestures.fingers.size || painting.stage.grey || document.querySelector('dialog[open]');
    // The page's own answers alone know no place.
    return 'askNext' in this.link && this.link.up && painting.active && painting.settled && !busy && painting.ring.byPointer
      && byId('coach').classList.contains('gone') && fits([...painting.edits.present.hints, ONE_MORE]);
  }

  /** Ask for the place that helps the picture on screen most. The answer comes when the engine has time. */
  ask() {
    const { photo, edits } = this.painting;
    this.asked = this.link.seq;
    this.link.askNext(toMessage(photo, edits.present));
  }

  /** @param {{seq: number, place: [number, number]}} message */
  onAnswer({ seq, place: [x, y] }) {
    if (seq !== this.asked || seq !== this.link.seq || !this.canOffer) return;
    this.place = { x, y };
    this.spot.classList.add('offered');
    this.showPlace();
  }

  showPlace() {
    const { x, y } = this.painting.stage.toStage(this.place);
    this.spot.style.transform = `translate(${x}px, ${y}px)`;
  }
}
