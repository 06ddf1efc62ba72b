// @ts-check
// The closed screen: it says when the exhibit opens and, a while after closing, goes black until somebody touches it.
import { byId } from './dom.js';
import { translate } from './language.js';

/** What the server says of opening hours; opens and closes are "" where there are none, or staff closed the exhibit. @typedef {{open: boolean, opens: string, closes: string, blank: boolean}} Hours */

/** A touch on the black screen shows the hours for so long. */
const AWAKE_MS = 15000;
let timer = 0;
/** @type {Hours | null} */
let last = null;

/** Cover the page while the exhibit is closed, and uncover it. @param {Hours | null} hours null: as before, in the present language */
export function showHours(hours) {
  last = hours ?? last;
  if (!last || (!hours && last.open)) return;
  const { open, opens, closes, blank } = last;
  clearTimeout(timer);
  byId('veil').hidden = open;
  byId('veil').classList.toggle('blank', !open && blank);
  byId('veil-text').textContent = open ? '' : translate('closed');
  byId('veil-hours').textContent = open || !opens ? '' : translate('open_hours').replace('{opens}', opens).replace('{closes}', closes);
}

byId('veil').addEventListener('pointerdown', () => {
  const veil = byId('veil');
  if (!veil.classList.contains('blank')) return;
  veil.classList.add('awake');
  clearTimeout(timer);
  timer = setTimeout(() => veil.classList.remove('awake'), AWAKE_MS);
});
