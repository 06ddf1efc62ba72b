// @ts-check
// Saving at full resolution: a download, the museum's folder, a QR code for the visitor's phone; those that the settings allow.
import { button, dialog, byId } from './dom.js';
import { translate } from './language.js';
import { toMessage } from './requests.js';

/** A download has read its blob long before. */
const REVOKE_AFTER_MS = 10000;
/** @typedef {'keep' | 'takeaway' | 'download'} Target */

export class Saving {
  /** @param {import('./painting.js').Painting} painting @param {Record<Target, boolean>} allowed */
  constructor(painting, allowed) {
    this.painting = painting;
    this.targets = /** @type {Target[]} */ (['keep', 'takeaway', 'download']).filter((target) => allowed[target]);
    /** Number of the visit: saving a large picture may outlast its visitor. */
    this.visit = 0;
    byId('save').hidden = !this.targets.length;
    byId('save').addEventListener('click', () => this.save());
  }

  async save() {
    const { visit } = this;
    const { photo, edits } = this.painting;
    const body = JSON.stringify({ type: 'edit', seq: 0, ...toMessage(photo, edits.present) });
    button('save').disabled = true;
    byId('status').textContent = translate('moment');
    byId('code').hidden = true;
    const sentences = [];
    try {
      for (const target of this.targets) {
        const sentence = translate(`saved_${target}`);
        const file = await requestFile(target, body);
        if (visit !== this.visit) return;
        if (target === 'takeaway') await showCode(file, sentence);
        if (visit !== this.visit) return;
        if (target === 'download') download(file);
        sentences.push(sentence);
      }
    } catch {
      if (visit !== this.visit) return;
      sentences.splice(0, Infinity, translate('save_failed'));
    }
    button('save').disabled = false;
    byId('status').textContent = '';
    byId('saved-text').textContent = sentences.join(' ');
    dialog('saved').showModal();
  }

  /** Forget the visitor: what is still being saved is not shown to the next one. */
  forget() {
    this.visit += 1;
    button('save').disabled = false;
    byId('saved-text').textContent = '';
    byId('code').hidden = true;
    byId('code').removeAttribute('src');
  }
}

/** @param {Target} target @param {string} body @returns {Promise<Blob>} */
async function requestFile(target, body) {
  const reply = await fetch(`/save/${target}`, { method: 'POST', body });
  if (!reply.ok) throw new Error(await reply.text());
  return reply.blob();
}

/** @param {Blob} file @param {string} alt */
async function showCode(file, alt) {
  const code = /** @type {HTMLImageElement} */ (byId('code'));
  const url = URL.createObjectURL(file);
  try {
    code.src = url;
    await code.decode();
  } finally {
    URL.revokeObjectURL(url);
  }
  code.alt = alt;
  code.hidden = false;
}

/** @param {Blob} file */
function download(file) {
  const anchor = document.createElement('a');
  const url = URL.createObjectURL(file);
  [anchor.href, anchor.download] = [url, 'livetint.png'];
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), REVOKE_AFTER_MS);
}
