// @ts-check
// The markers of the hints on the picture, and the cross that places a hint by keys.
import { css, nameOf, project } from './colour.js';
import { arrowStep, clamp, byId } from './dom.js';
import { colourWords, translate } from './language.js';

/** @typedef {import('./edit_history.js').Hint} Hint */
/** @typedef {import('./stage.js').Place} Place */

/** @typedef {{choose: (index: number) => void, move: (index: number, place: Place) => void,
 *   remove: (index: number) => void, place: (place: Place) => void}} MarkerHandlers */

export class Markers {
  /** @param {import('./stage.js').Stage} stage @param {MarkerHandlers} handlers */
  constructor(stage, handlers) {
    this.stage = stage;
    this.handlers = handlers;
    /** @type {Hint[]} */
    this.hints = [];
    this.cross = { x: 0.5, y: 0.5 };
    const cross = byId('cross');
    cross.addEventListener('keydown', (event) => {
      const step = arrowStep(event);
      if (!step) return;
      event.preventDefault();
      this.cross = { x: clamp(this.cross.x + step[0] * 2), y: clamp(this.cross.y + step[1] * 2) };
      this.showCross();
    });
    cross.addEventListener('focus', () => this.showCross());
    cross.addEventListener('click', () => handlers.place({ ...this.cross }));
  }

  /** @param {Hint[]} hints @param {number} chosen @param {Place | null} pending a place whose colour has been asked for */
  show(hints, chosen, pending) {
    this.hints = hints;
    const box = byId('marks');
    while (box.children.length > hints.length + 1) box.lastElementChild?.remove();
    while (box.children.length < hints.length + 1) box.append(this.createMarker(box.children.length));
    // The last marker is the pending one.
    [...box.children].forEach((element, i) => {
      const marker = /** @type {HTMLElement} */ (element);
      const isPending = i === hints.length;
      const place = isPending ? pending : hints[i];
      marker.hidden = !place;
      if (!place) return;
      const { x, y } = this.stage.toStage(place);
      marker.style.transform = `translate(${x}px, ${y}px)`;
      marker.classList.toggle('chosen', i === chosen || isPending);
      marker.classList.toggle('pending', isPending);
      marker.tabIndex = isPending ? -1 : 0;
      if (isPending) this.echo(marker, place);
      else this.describe(marker, hints[i], i, i === chosen);
    });
    this.showCross();
  }

  /**
   * Until the engine has answered, a marker has the colour that is shown there.
   * @param {HTMLElement} marker @param {Place} place
   */
  echo(marker, place) {
    const shown = this.stage.shownAt(place);
    marker.style.setProperty('--colour', shown ? css(this.stage.lightnessAt(place), ...shown) : 'none');
  }

  /** Colour and name of a marker. @param {HTMLElement} marker @param {Hint} hint @param {number} index @param {boolean} chosen */
  describe(marker, hint, index, chosen) {
    const L = this.stage.lightnessAt(hint);
    const [a, b] = project(L, hint.a, hint.b);
    marker.style.setProperty('--colour', css(L, a, b));
    marker.setAttribute('aria-label', `${translate('point')} ${index + 1}: ${colourWords(nameOf(L, a, b))}`);
    marker.setAttribute('aria-pressed', String(chosen));
  }

  /** @param {number} index */
  createMarker(index) {
    const marker = document.createElement('button');
    marker.className = 'mark';
    marker.dataset.through = '';
    // Fingers choose the nearest marker (see `nearest`); a click with detail 0 comes from a key or a switch.
    marker.addEventListener('click', (event) => event.detail === 0 && this.handlers.choose(index));
    marker.addEventListener('keydown', (event) => {
      const hint = this.hints[index];
      const step = arrowStep(event);
      if (hint && step) {
        event.preventDefault();
        this.handlers.move(index, { x: clamp(hint.x + step[0]), y: clamp(hint.y + step[1]) });
      } else if (hint && (event.key === 'Delete' || event.key === 'Backspace')) this.handlers.remove(index);
    });
    return marker;
  }

  showCross() {
    const { x, y } = this.stage.toStage(this.cross);
    byId('cross').style.transform = `translate(${x}px, ${y}px)`;
  }

  /**
   * Index of the hint nearest to a place of the stage, −1 if none is within `radius_px`.
   * @param {number} x @param {number} y @param {number} radius_px
   */
  nearest(x, y, radius_px) {
    let [found, distance] = [-1, radius_px];
    this.hints.forEach((hint, i) => {
      const at = this.stage.toStage(hint);
      const d = Math.hypot(at.x - x, at.y - y);
      if (d <= distance) [found, distance] = [i, d];
    });
    return found;
  }
}
