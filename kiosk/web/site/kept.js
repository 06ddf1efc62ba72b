// @ts-check
// The visitor's points outlast a reload, or a look at another page: they are kept in the tab, and go with it.
import { EditHistory } from '../edit_history.js';

/** @typedef {import('../edit_history.js').Edit} Edit */
/** @typedef {{past: Edit[], present: Edit, future: Edit[]}} Steps */

/** Pages of other folders of the same server have points of their own. */
const key = () => `livetint ${new URL('../', document.baseURI).pathname}`;

/** @param {import('../painting.js').Painting} painting */
export function keepPoints(painting) {
  /** @param {boolean} whole with all steps of undo */
  const store = (whole) => {
    const { pictures } = painting;
    const painted = [...pictures.histories].filter(([id]) => pictures.isPainted(id));
    /** @type {[string, Steps][]} */
    const kept = painted.map(([id, { past, present, future }]) => (
      [id, whole ? { past, present, future } : { past: past.slice(0, 1), present, future: [] }]));
    sessionStorage.setItem(key(), JSON.stringify(kept));
  };
  const keep = () => {
    try {
      store(true);
    } catch {
      try {
        store(false);
      } catch {
        // The browser keeps nothing, as some do in private windows; the page works all the same.
      }
    }
  };
  // Phones end a page that is not on show without another event.
  addEventListener('pagehide', keep);
  document.addEventListener('visibilitychange', () => { if (document.visibilityState === 'hidden') keep(); });
}

/**
 * The points that were kept, by the picture's id.
 * @param {(id: string) => boolean} isShown whether a picture is still on show @returns {Map<string, EditHistory>}
 */
export function keptPoints(isShown) {
  const histories = new Map();
  try {
    /** @type {[string, Steps][]} */
    const kept = JSON.parse(sessionStorage.getItem(key()) ?? '[]');
    for (const [id, { past, present, future }] of kept) {
      if (isShown(id) && Array.isArray(present.hints)) histories.set(id, Object.assign(new EditHistory(), { past, present, future }));
    }
  } catch (error) {
    console.warn('The points of before cannot be read:', error);
  }
  return histories;
}
