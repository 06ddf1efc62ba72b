// @ts-check
// The staff page's editor of a photograph: points that the attract loop paints, with the colours that are likely there.
import { css } from '../colour.js';
import { arrowStep, byId, clamp } from '../dom.js';

/** x and y in 0…1, a and b. @typedef {[number, number, number, number]} Point */

/** L at which a point's colour is shown before the picture's own is known. */
const SHOWN_L = 62;
const painting = document.getElementById('painting');
const field = /** @type {HTMLInputElement} */ (byId('hints'));
/** @type {Point[]} */
let points = JSON.parse(field.value);
let chosen = -1;
/** Number of the newest question: an answer to an older one is dropped. */
let asked = 0;

/** The points as they are now: in the form, as marks, and in the picture. */
function show() {
  field.value = JSON.stringify(points);
  byId('points').replaceChildren(...points.map(markOf));
  byId('colours').hidden = chosen < 0;
  const preview = /** @type {HTMLImageElement} */ (byId('preview'));
  preview.src = `/photographs/${painting?.dataset.id}/coloured.jpg?hints=${encodeURIComponent(field.value)}`;
}

/** @param {Point} point @param {number} i */
function markOf([x, y, a, b], i) {
  const mark = document.createElement('button');
  mark.type = 'button';
  mark.className = 'mark';
  mark.setAttribute('aria-label', `${byId('points').dataset.label} ${i + 1}`);
  mark.setAttribute('aria-pressed', String(i === chosen));
  mark.style.left = `${100 * x}%`;
  mark.style.top = `${100 * y}%`;
  mark.style.background = css(SHOWN_L, a, b);
  mark.addEventListener('click', () => choose(i));
  mark.addEventListener('keydown', (event) => {
    const step = arrowStep(event);
    if (event.key === 'Delete') remove(i);
    if (!step) return;
    event.preventDefault();
    points[i] = [clamp(x + step[0]), clamp(y + step[1]), a, b];
    show();
    /** @type {HTMLElement} */ (byId('points').children[i]).focus();
  });
  return mark;
}

/** @param {number} i */
function remove(i) {
  points = points.filter((_, other) => other !== i);
  chosen = -1;
  show();
}

/** Choose a point, and offer the colours that are likely there. @param {number} i @param {boolean} [isNew] it takes the likeliest one */
async function choose(i, isNew = false) {
  chosen = i;
  show();
  asked += 1;
  const question = asked;
  const [x, y] = points[i];
  const others = JSON.stringify(points.filter((_, other) => other !== i));
  const reply = await fetch(`/photographs/${painting?.dataset.id}/colours.json?point=${x},${y}&hints=${encodeURIComponent(others)}`);
  if (!reply.ok || question !== asked) return;
  /** @type {{L: number, swatches: [number, number][]}} */
  const { L, swatches } = await reply.json();
  byId('swatches').replaceChildren(...swatches.map(([a, b], number) => {
    const swatch = document.createElement('button');
    swatch.type = 'button';
    swatch.className = 'swatch';
    swatch.setAttribute('aria-label', `${number + 1}`);
    swatch.style.background = css(L, a, b);
    swatch.addEventListener('click', () => recolour(a, b));
    return swatch;
  }));
  if (isNew && swatches.length) recolour(...swatches[0]);
}

/** @param {number} a @param {number} b */
function recolour(a, b) {
  const [x, y] = points[chosen];
  points[chosen] = [x, y, Math.round(10 * a) / 10, Math.round(10 * b) / 10];
  show();
}

if (painting) {
  byId('place').addEventListener('click', (event) => {
    const box = byId('place').getBoundingClientRect();
    // A click by key has no place: the point starts in the middle, and arrow keys move it.
    const [x, y] = event.detail ? [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height] : [0.5, 0.5];
    points.push([Math.round(1000 * clamp(x)) / 1000, Math.round(1000 * clamp(y)) / 1000, 0, 0]);
    choose(points.length - 1, true);
  });
  byId('delete').addEventListener('click', () => remove(chosen));
  byId('other').addEventListener('change', async () => {
    const colour = /** @type {HTMLInputElement} */ (byId('other')).value;
    const reply = await fetch(`/lab.json?colour=${encodeURIComponent(colour)}`);
    if (!reply.ok || chosen < 0) return;
    const { a, b } = await reply.json();
    recolour(a, b);
  });
  show();
}
