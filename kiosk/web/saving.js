// @ts-check
// Saving at full resolution: a download, the museum's folder, a QR code for the visitor's phone, the wall; those that
// the settings allow. The visitor is asked first where a picture of their own would be kept, or any would be shown.
import { button, dialog, byId } from './dom.js';
import { language, translate } from './language.js';
import { pageHeaders } from './page_name.js';
import { toMessage } from './requests.js';
import { say } from './status.js';

/** A download has read its blob long before. */
const REVOKE_AFTER_MS = 10000;
/** @typedef {'keep' | 'takeaway' | 'download' | 'wall'} Target */
/**
 * `body`: the edit as JSON. `sentence` of the result: what to say when it is done, if not the usual one.
 * @typedef {(target: Target, body: string, agreed: boolean) => Promise<{file: Blob, name: string, sentence?: string}>} MakeFile
 */
/** Targets that the visitor is asked about, for a picture of their own and for one of the exhibition. @type {Record<'own' | 'shown', Target[]>} */
const ASKED = { own: ['keep', 'download', 'wall'], shown: ['wall'] };

/** Answers of the server where the picture is no longer there: one of the visitor's own was wiped, or staff took it away. */
const GONE = [404, 410];

class SaveRefused extends Error {
  /** @param {number} status of the reply */
  constructor(status) {
    super(`${status}`);
    this.status = status;
  }
}

export class Saving {
  /**
   * @param {import('./painting.js').Painting} painting @param {Record<Target, boolean>} allowed
   * @param {(photo: string) => boolean} isOwn whether the visitor brought a picture
   * @param {MakeFile} makeFile makes the file of a target; by default the server does
   */
  constructor(painting, allowed, isOwn, makeFile = requestFile) {
    this.painting = painting;
    this.isOwn = isOwn;
    this.makeFile = makeFile;
    this.targets = /** @type {Target[]} */ (['keep', 'takeaway', 'download', 'wall']).filter((target) => allowed[target]);
    /** Number of the visit: saving a large picture may outlast its visitor. */
    this.visit = 0;
    byId('save').hidden = !this.targets.length;
    byId('save').addEventListener('click', () => this.save());
  }

  async save() {
    const { visit } = this;
    const { photo, edits } = this.painting;
    const body = JSON.stringify({ type: 'edit', seq: 0, ...toMessage(photo, edits.present) });
    const asked = ASKED[this.isOwn(photo) ? 'own' : 'shown'].filter((target) => this.targets.includes(target));
    const agreed = asked.length ? await ask(asked, this.isOwn(photo)) : [];
    if (!agreed || visit !== this.visit) return;
    const targets = this.targets.filter((target) => !asked.includes(target) || agreed.includes(target));
    button('save').disabled = true;
    say(translate('moment'), { beside: byId('save'), stays: true });
    byId('code').hidden = true;
    const sentences = [];
    try {
      for (const target of targets) {
        const { file, name, sentence = translate(`saved_${target}`) } = await this.makeFile(target, body, agreed.includes(target));
        if (visit !== this.visit) return;
        if (target === 'takeaway') await showCode(file, sentence);
        if (visit !== this.visit) return;
        if (target === 'download') download(file, name);
        sentences.push(sentence);
      }
    } catch (error) {
      if (visit !== this.visit) return;
      button('save').disabled = false;
      const lost = error instanceof SaveRefused && GONE.includes(error.status);
      say(translate(lost ? 'save_lost' : 'save_failed'), { beside: byId('save') });
      return;
    }
    button('save').disabled = false;
    say('');
    byId('saved-text').textContent = sentences.join(' ') || translate('not_saved');
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

/**
 * Ask the visitor which of the targets may have the picture. Nothing is agreed to beforehand.
 * @param {Target[]} targets @param {boolean} own @returns {Promise<Target[] | null>} null: they do not want to save
 */
function ask(targets, own) {
  const rows = /** @type {NodeListOf<HTMLLabelElement>} */ (document.querySelectorAll('#consent [data-target]'));
  const boxes = [...rows].map((row) => ({ row, target: /** @type {Target} */ (row.dataset.target), box: /** @type {HTMLInputElement} */ (row.querySelector('input')) }));
  for (const { row, target, box } of boxes) {
    row.hidden = !targets.includes(target);
    box.checked = false;
  }
  byId('consent-own').hidden = !own;
  const consent = dialog('consent');
  consent.returnValue = '';
  consent.showModal();
  return new Promise((resolve) => {
    consent.addEventListener('close', () => {
      const agreed = boxes.filter(({ row, box }) => !row.hidden && box.checked).map(({ target }) => target);
      resolve(consent.returnValue === 'save' ? agreed : null);
    }, { once: true });
  });
}

/** @type {MakeFile} */
async function requestFile(target, body, agreed) {
  const headers = { ...pageHeaders(), 'accept-language': language };
  const reply = await fetch(`save/${target}${agreed ? '?agreed=yes' : ''}`, { method: 'POST', body, headers });
  if (!reply.ok) throw new SaveRefused(reply.status);
  const encoded = /filename\*=UTF-8''([^;]+)/.exec(reply.headers.get('content-disposition') ?? '')?.[1];
  return { file: await reply.blob(), name: encoded ? decodeURIComponent(encoded) : 'livetint.png' };
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

/** @param {Blob} file @param {string} name */
function download(file, name) {
  const anchor = document.createElement('a');
  const url = URL.createObjectURL(file);
  [anchor.href, anchor.download] = [url, name];
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), REVOKE_AFTER_MS);
}
