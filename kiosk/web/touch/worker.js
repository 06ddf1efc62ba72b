// @ts-check
// The worker beside the page: it answers edits one at a time, in order; the latest wins, while files are loading too.
import { Answers } from './answers.js';
import { TouchError } from './errors.js';
import { loadHeads } from './heads.js';
import { loadKernels, Touch } from './touch.js';

/** @typedef {import('./answers.js').Asked} Asked */
/** @typedef {{type: 'start', heads: string, kernels: string, vivid: number} | {type: 'edit', edit: Asked}} Message */

const page = /** @type {{postMessage(message: unknown, transferred: Transferable[]): void} & EventTarget} */ (/** @type {unknown} */ (globalThis));
/** The newest edit that waits. @type {Asked | null} */
let waiting = null;
/** Ends the loading of files that are not needed any more. */
let loading = new AbortController();
/** An edit is being answered, or its turn is about to come. */
let busy = false;
/** A message to itself comes after those of the page that wait already. */
const turn = new MessageChannel();
/** @type {Answers | null} */
let answers = null;

/** @param {string} type @param {Record<string, unknown>} facts @param {Transferable[]} [transferred] */
const tell = (type, facts, transferred = []) => page.postMessage({ type, ...facts }, transferred);

/** @param {unknown} error */
function describe(error) {
  const { part, reason } = error instanceof TouchError ? error : /** @type {const} */ ({ part: 'page', reason: 'damaged' });
  return { part, reason, detail: error instanceof Error ? error.message : String(error) };
}

/** @param {{heads: string, kernels: string, vivid: number}} addresses */
async function start({ heads, kernels, vivid }) {
  try {
    const [functions, weights] = await Promise.all([loadKernels(kernels), loadHeads(heads)]);
    answers = new Answers(new Touch(functions, weights), vivid);
    tell('up', {});
    takeTurn();
  } catch (error) {
    tell('fault', describe(error));
  }
}

/** An edit waits for its turn; it replaces one that waits already. @param {Asked} edit */
function wait(edit) {
  // A question for colours must not be lost to the edit that overtakes it.
  if (waiting?.point && !edit.point && waiting.photo === edit.photo) edit.point = waiting.point;
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
    if (waiting === edit) {
      const { header, pixels } = answers.answer(edit);
      tell('reply', { header, pixels }, [pixels]);
    }
  } catch (error) {
    if (waiting === edit) tell('refused', { seq: edit.seq, photo: edit.photo, ...describe(error) });
  }
  if (waiting === edit) waiting = null;
  busy = false;
  takeTurn();
}

turn.port1.addEventListener('message', work);
turn.port1.start();
page.addEventListener('message', (event) => {
  /** @type {Message} */
  const message = /** @type {MessageEvent} */ (event).data;
  if (message.type === 'start') start(message);
  else wait(message.edit);
});
