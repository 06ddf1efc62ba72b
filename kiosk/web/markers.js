// @ts-check
// The markers of the hints on the picture, and the cross that places a hint by keys.
import { css, nameOf, project } from './colour.js';
import { arrowStep, clamp, byId } from './dom.js';
import { colourWords, translate } from './language.js';
import { endOf, linesOf } from './strokes.js';

/** @typedef {import('./edit_history.js').Hint} Hint */
/** @typedef {import('./stage.js').Place} Place */

/** A place of a hint: the hint's index, and that of its line. @typedef {{index: number, line: number}} HintPlace */
/** No place of any hint. @type {HintPlace} */
export const NOTHING = { index: -1, line: 0 };
/** @typedef {{choose: (at: HintPlace) => void, move: (at: HintPlace, place: Place) => void,
 *   remove: (at: HintPlace) => void, place: (place: Place) => void}} MarkerHandlers */

export class Markers {
  /** @param {import('./stage.js').Stage} stage @param {MarkerHandlers} handlers */
  constructor(stage, handlers) {
    this.stage = stage;
    this.handlers = handlers;
    /** What each marker belongs to, and where it lies. @type {(HintPlace & Place & {hint: Hint})[]} */
    this.places = [];
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

  /** @param {Hint[]} hints @param {HintPlace} chosen @param {Place | null} pending a place whose colour has been asked for */
  show(hints, chosen, pending) {
    this.places = hints.flatMap((hint, index) => linesOf(hint).map((line, i) => ({ hint, index, line: i, ...endOf(line) })));
    const { places } = this;
    const box = byId('marks');
    while (box.children.length > places.length + 1) box.lastElementChild?.remove();
    while (box.children.length < places.length + 1) box.append(this.createMarker(box.children.length));
    // The last marker is the pending one.
    [...box.children].forEach((element, i) => {
      const marker = /** @type {HTMLElement} */ (element);
      const isPending = i === places.length;
      const place = isPending ? pending : places[i];
      marker.hidden = !place;
      if (!place) return;
      const { x, y } = this.stage.toStage(place);
      marker.style.transform = `translate(${x}px, ${y}px)`;
      const isChosen = !isPending && places[i].index === chosen.index && places[i].line === chosen.line;
      marker.classList.toggle('chosen', isChosen || isPending);
      marker.classList.toggle('pending', isPending);
      marker.tabIndex = isPending ? -1 : 0;
      if (isPending) this.echo(marker, place);
      else this.describe(marker, places[i], isChosen);
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

  /** Colour and name of a marker. @param {HTMLElement} marker @param {Markers['places'][0]} place @param {boolean} chosen */
  describe(marker, place, chosen) {
    const { hint, index, line } = place;
    const lines = linesOf(hint);
    const L = this.stage.lightnessAt(place);
    const [a, b] = project(L, hint.a, hint.b);
    marker.style.setProperty('--colour', css(L, a, b));
    const name = translate(lines[line].length > 1 ? 'line' : 'point');
    const which = lines.length > 1 ? ` (${translate('place_of').replace('{n}', `${line + 1}`).replace('{count}', `${lines.length}`)})` : '';
    marker.setAttribute('aria-label', `${name} ${index + 1}: ${colourWords(nameOf(L, a, b))}${which}`);
    marker.setAttribute('aria-pressed', String(chosen));
  }

  /** @param {number} number */
  createMarker(number) {
    const marker = document.createElement('button');
    marker.className = 'mark';
    marker.dataset.through = '';
    // Fingers choose the nearest marker (see `nearest`); a click with detail 0 comes from a key or a switch.
    marker.addEventListener('click', (event) => event.detail === 0 && this.handlers.choose(this.places[number]));
    marker.addEventListener('keydown', (event) => {
      const at = this.places[number];
      const step = arrowStep(event);
      if (at && step) {
        event.preventDefault();
        this.handlers.move(at, { x: clamp(at.x + step[0]), y: clamp(at.y + step[1]) });
      } else if (at && (event.key === 'Delete' || event.key === 'Backspace')) this.handlers.remove(at);
    });
    return marker;
  }

  showCross() {
    const { x, y } = this.stage.toStage(this.cross);
    byId('cross').style.transform = `translate(${x}px, ${y}px)`;
  }

  /**
   * Index in `places` of the marker nearest to a place of the stage, −1 if none is within `radius_px`.
   * @param {number} x @param {number} y @param {number} radius_px
   */
  nearest(x, y, radius_px) {
    let [found, distance] = [-1, radius_px];
    this.places.forEach((place, i) => {
      const at = this.stage.toStage(place);
      const d = Math.hypot(at.x - x, at.y - y);
      if (d <= distance) [found, distance] = [i, d];
    });
    return found;
  }
}
