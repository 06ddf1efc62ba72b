// @ts-check
// What the page says to its visitor: one sentence at a time, which goes away by itself. An error stands beside the
// button that it belongs to.
import { clamp, byId } from './dom.js';

const STAY_MS = 8000;
/** Distance from the button, and from the edges of the page, in CSS pixels. */
const GAP_PX = 8;
let timer = 0;

/** @typedef {{left: number, top: number, width: number, height: number}} Box */

/**
 * Show a sentence; an empty one shows none.
 * @param {string} sentence
 * @param {{beside?: Element | Box | null, stays?: boolean}} options beside: what it is about, else it stands at the foot
 *   of the page. stays: until the next call, for work that is under way.
 */
export function say(sentence, { beside = null, stays = false } = {}) {
  const status = byId('status');
  clearTimeout(timer);
  status.textContent = sentence;
  status.classList.toggle('beside', Boolean(sentence && beside));
  status.style.left = status.style.top = '';
  if (!sentence) return;
  if (beside) putBeside(status, beside instanceof Element ? beside.getBoundingClientRect() : beside);
  if (!stays) timer = setTimeout(() => say(''), STAY_MS);
}

/** What is said now. */
export const said = () => byId('status').textContent ?? '';

/** Above a box, or below it where there is no space. @param {HTMLElement} status @param {Box} box */
function putBeside(status, box) {
  const { width, height } = status.getBoundingClientRect();
  const above = box.top - height - GAP_PX;
  const top = above >= GAP_PX ? above : box.top + box.height + GAP_PX;
  status.style.left = `${clamp(box.left + (box.width - width) / 2, GAP_PX, innerWidth - width - GAP_PX)}px`;
  status.style.top = `${clamp(top, GAP_PX, innerHeight - height - GAP_PX)}px`;
}
