// @ts-check
// Saving at full resolution: a download, the house's folder, a code for the visitor's phone; whichever the house allows.
import { toMessage } from './courier.js';
import { button, dialog, byId } from './dom.js';
import { translate } from './words.js';

const ADDRESS_KEPT_MS = 10000;
/** @typedef {'keep' | 'takeaway' | 'download'} Where */

export class Saving {
  /** @param {import('./painting.js').Painting} painting @param {Record<Where, boolean>} allowed */
  constructor(painting, allowed) {
    this.painting = painting;
    this.places = /** @type {Where[]} */ (['keep', 'takeaway', 'download']).filter((place) => allowed[place]);
    /** The visitor whose picture is being saved; a large one may outlast its visitor. */
    this.visit = 0;
    byId('save').hidden = !this.places.length;
    byId('save').addEventListener('click', () => this.save());
  }

  async save() {
    const { visit } = this;
    const { photo, edits } = this.painting;
    const body = JSON.stringify({ type: 'edit', seq: 0, ...toMessage(photo, edits.now) });
    button('save').disabled = true;
    byId('status').textContent = translate('moment');
    byId('code').hidden = true;
    let said = '';
    try {
      for (const place of this.places) {
        const reply = await fetch(`/save/${place}`, { method: 'POST', body });
        if (!reply.ok) throw new Error(await reply.text());
        const file = await reply.blob();
        if (visit !== this.visit) return;
        const sentence = translate(`saved_${place}`);
        said += `${sentence} `;
        if (place === 'takeaway') await showCode(file, sentence);
        if (visit !== this.visit) return;
        if (place === 'download') download(file);
      }
    } catch {
      if (visit !== this.visit) return;
      said = translate('save_failed');
    }
    button('save').disabled = false;
    byId('status').textContent = '';
    byId('saved-text').textContent = said.trim();
    dialog('saved').showModal();
  }

  /** The visitor has left: what is still being saved is nobody's. */
  forget() {
    this.visit += 1;
    button('save').disabled = false;
    byId('saved-text').textContent = '';
    byId('code').hidden = true;
    byId('code').removeAttribute('src');
  }
}

/** @param {Blob} file @param {string} sentence */
async function showCode(file, sentence) {
  const code = /** @type {HTMLImageElement} */ (byId('code'));
  const address = URL.createObjectURL(file);
  try {
    code.src = address;
    await code.decode();
  } finally {
    URL.revokeObjectURL(address);
  }
  code.alt = sentence;
  code.hidden = false;
}

/** @param {Blob} file */
function download(file) {
  const anchor = document.createElement('a');
  const address = URL.createObjectURL(file);
  [anchor.href, anchor.download] = [address, 'livetint.png'];
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(address), ADDRESS_KEPT_MS);
}
