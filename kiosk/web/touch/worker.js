// @ts-check
// The worker beside the page: it answers edits one at a time, in order; the latest wins, while files are loading too.
import { Answers } from './answers.js';
import { TouchError } from './errors.js';
import { loadHeads } from './heads.js';
import { timeTouch } from './time_touch.js';
import { loadKernels, Touch } from './touch.js';

/** @typedef {import('./answers.js').Asked} Asked */
/** @typedef {import('./answers.js').Opened} Opened */
/** @typedef {{type: 'start', heads: string, kernels: string, vivid: number, measured: boolean}} Start */
/** @typedef {Start | {type: 'edit', edit: Asked} | Opened & {type: 'open'}} Message */

const page = /** @type {{postMessage(message: unknown, transferred: Transferable[]): void} & EventTarget} */ (/** @type {unknown} */ (globalThis));
/** The newest edit, or photograph to be opened, that waits. @type {Asked | Opened | null} */
let waiting = null;
/** Ends the loading of files that are not needed any more. */
let loading = new AbortController();
/** An edit is being answered, or its turn is about to come. */
let busy = false;
/** A message to itself comes after those of the page that wait already. */
const turn = new MessageChannel();
/** @type {Answers | null} */
let answers = null;
/** Id of the photograph whose maps the kernels hold. */
let opened = '';

/** @param {string} type @param {Record<string, unknown>} facts @param {Transferable[]} [transferred] */
const tell = (type, facts, transferred = []) => page.postMessage({ type, ...facts }, transferred);

/** @param {unknown} error */
function describe(error) {
  const { part, reason } = error instanceof TouchError ? error : /** @type {const} */ ({ part: 'page', reason: 'damaged' });
  return { part, reason, detail: error instanceof Error ? error.message : String(error) };
}

/** @param {Start} message */
async function start({ heads, kernels, vivid, measured }) {
  try {
    const [functions, weights] = await Promise.all([loadKernels(kernels), loadHeads(heads)]);
    const touch = new Touch(functions, weights);
    const touch_ms = measured ? timeTouch(touch) : null;
    answers = new Answers(touch, vivid);
    tell('up', { touch_ms });
    takeTurn();
  } catch (error) {
    tell('fault', describe(error));
  }
}

/** An edit waits for its turn; it replaces one that waits already. @param {Asked | Opened} edit */
function wait(edit) {
  // A question for colours must not be lost to the edit that overtakes it.
  if (waiting && 'seq' in waiting && 'seq' in edit && waiting.photo === edit.photo) edit.point ??= waiting.point;
  if (waiting && waiting.photo !== edit.photo) loading.abort();
  waiting = edit;
  takeTurn();
}

/** Answer the newest edit after all messages that have come by now are read. */
function takeTurn() {
  if (busy || !answers || !waiting) return;
  busy = true;
  turn.port2.postMessage(null);
}

async function work() {
  const edit = waiting;
  if (!edit || !answers) return;
  loading = new AbortController();
  try {
    await answers.load(edit, loading.signal);
    if (waiting === edit) answer(answers, edit);
  } catch (error) {
    if (waiting === edit) tell('refused', { seq: 'seq' in edit ? edit.seq : 0, photo: edit.photo, ...describe(error) });
  }
  if (waiting === edit) waiting = null;
  busy = false;
  takeTurn();
}

/** @param {Answers} by @param {Asked | Opened} edit whose files are loaded */
function answer(by, edit) {
  if (opened !== edit.photo) {
    by.openById(edit.photo);
    opened = edit.photo;
    tell('opened', { photo: opened });
  }
  if (!('seq' in edit)) return;
  const { header, pixels } = by.answer(edit);
  tell('reply', { header, pixels }, [pixels]);
}

turn.port1.addEventListener('message', work);
turn.port1.start();
page.addEventListener('message', (event) => {
  /** @type {Message} */
  const message = /** @type {MessageEvent} */ (event).data;
  if (message.type === 'start') start(message);
  else wait(message.type === 'edit' ? message.edit : message);
});
