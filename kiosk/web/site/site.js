// @ts-check
// A published page: it works without a server. Colours are computed beside the page, pictures are saved in the browser,
// points stay in the tab, and after the first visit no network is needed. The kiosk's page differs in nothing else.
import { dialog, byId } from '../dom.js';
import { creditOf, titleOf } from '../gallery.js';
import { language, translate } from '../language.js';
import { say } from '../status.js';
import { LocalLink } from '../touch/local_link.js';
import { coloured } from './full_size.js';
import { keepPoints, keptPoints } from './kept.js';
import { withLabel } from './png.js';

/** @typedef {import('../gallery.js').Picture & {full_size: boolean, integrity: string,
 *   next: [number, number][], file_names: Record<string, string>}} Picture */
/** @typedef {import('../painting.js').Painting} Painting */
/** @typedef {{language: string, languages: string[], vivid: number, pictures: Picture[]}} SiteSettings */
/**
 * What start.js offers. @typedef {{done: () => void, stop: (key: string, reloads: boolean) => void, stopDamaged: () => void,
 *   isRenewed: (then: (renewed: boolean) => void) => void}} Start
 */

/** The least distance of a place to touch next from those that have a colour, as in engine/next_touch.py. */
const APART = 0.12;
const start = () => /** @type {{livetintStart: Start}} */ (/** @type {unknown} */ (globalThis)).livetintStart;

export class Site {
  /** @param {SiteSettings} settings */
  constructor(settings) {
    this.settings = settings;
    /** The browser's button for going back was pressed; its entry of the history is there already. */
    this.goesBack = false;
    this.isReady = false;
    /** @type {Painting | null} */
    this.painting = null;
    document.documentElement.dataset.site = '';
    this.link = new LocalLink({
      heads: 'touch/heads.bin',
      vivid: settings.vivid,
      features: (/** @type {string} */ id) => `pictures/${id}/features.bin`,
      picture: (/** @type {string} */ id) => `pictures/${id}/2048.jpg`,
      histogram: (/** @type {string} */ id) => `pictures/${id}/histogram.bin`,
    });
    this.link.addEventListener('fault', (/** @type {any} */ event) => {
      if (event.detail.reason === 'old') start().stop('browser_old', false);
      else start().stopDamaged();
    });
    Object.assign(this.link, { askNext: (/** @type {any} */ edit) => edit && this.answerNext(edit) });
    this.about = dialog('about');
    byId('about-open').addEventListener('click', () => this.about.showModal());
    byId('about-close').addEventListener('click', () => this.about.close());
  }

  /** The language of the page that the visitor's browser prefers. */
  get language() {
    const offered = this.settings.languages;
    return navigator.languages.map((tag) => tag.toLowerCase().split('-')[0]).find((tag) => offered.includes(tag)) ?? this.settings.language;
  }

  /** Name the photographs and whose they are, in the present language. */
  describe() {
    byId('about-photographs').replaceChildren(...this.settings.pictures.map((picture) => {
      const item = document.createElement('li');
      item.textContent = [titleOf(picture), creditOf(picture), picture.rights].filter(Boolean).join(' · ');
      return item;
    }));
  }

  /**
   * Where to touch next: the places that were found when the page was published, but for those that have a colour.
   * @param {{photo: string, hints: import('../touch/stroke_points.js').Mark[]}} edit
   */
  answerNext({ photo, hints }) {
    const picture = this.settings.pictures.find(({ id }) => id === photo);
    const taken = hints.flatMap((hint) => (Array.isArray(hint) ? [[hint[0], hint[1]]] : hint.lines.flat()));
    const place = picture?.next.find(([x, y]) => taken.every((at) => Math.hypot(at[0] - x, at[1] - y) >= APART));
    if (place) this.link.dispatchEvent(new CustomEvent('message', { detail: { type: 'next', seq: this.link.seq, place } }));
  }

  /** @param {import('../painting.js').Painting} painting */
  use(painting) {
    this.painting = painting;
    for (const { id, integrity } of this.settings.pictures) painting.pictures.integrity.set(id, integrity);
  }

  /**
   * The page is complete: go on where the visitor was before a reload, and keep what the visitor does from now on.
   * @param {(state: string, photo: string) => unknown} go enters a state
   */
  async ready(go) {
    const painting = /** @type {Painting} */ (this.painting);
    start().done();
    this.isReady = true;
    const kept = keptPoints((id) => this.settings.pictures.some((picture) => picture.id === id));
    for (const [id, edits] of kept) painting.pictures.histories.set(id, edits);
    keepPoints(painting);
    workOffline();
    addEventListener('popstate', ({ state }) => {
      for (const element of document.querySelectorAll('dialog')) element.close();
      this.goesBack = true;
      go(state?.state ?? 'attract', state?.photo ?? '');
      this.goesBack = false;
    });
    const { state = 'attract', photo = '' } = history.state ?? {};
    if (state !== 'attract') await go(state, photo);
    if (kept.size) say(translate('site_kept'));
  }

  /** The page is in another state: the browser's button leads back from it. @param {string} state @param {string} photo */
  entered(state, photo) {
    const present = history.state ?? { state: 'attract', photo: '' };
    if (!this.isReady || this.goesBack || (present.state === state && present.photo === photo)) return;
    history.pushState({ state, photo }, '');
  }

  /** Nothing can be shown any more, for the GPU is gone. */
  stop() {
    start().stop('browser_old', true);
  }

  /**
   * A sentence for a picture that did not come whole. Where a newer page is published, that covers the page instead.
   * @param {string} photo @returns {Promise<string>}
   */
  async whyMissing(photo) {
    const comes = await fetch(`pictures/${photo}/2048.jpg`).then(({ ok }) => ok, () => false);
    return this.explain(comes ? 'damaged' : 'away');
  }

  /**
   * What to say of a picture that did not come. @param {string} reason of touch/errors.js @returns {Promise<string>}
   */
  async explain(reason) {
    if (reason !== 'missing' && reason !== 'away') return translate('picture_damaged');
    return new Promise((resolve) => start().isRenewed((renewed) => {
      if (renewed) start().stop('site_renewed', true);
      resolve(translate('site_away'));
    }));
  }

  /**
   * The picture on the stage as a file. It is what `Saving` asks a server for in the kiosk.
   * @type {import('../saving.js').MakeFile}
   */
  makeFile = async () => {
    const painting = /** @type {Painting} */ (this.painting);
    const { photo } = painting;
    const picture = /** @type {Picture} */ (this.settings.pictures.find(({ id }) => id === photo));
    const label = (await fetchFile(`pictures/${photo}/label-${language}.bin`)).arrayBuffer();
    while (!painting.settled) await new Promise((done) => requestAnimationFrame(done));
    const { view, strength } = painting.stage;
    if (!('planes' in view) || !view.planes || painting.photo !== photo) throw new Error('the picture has no colours yet');
    const planes = view.planes.slice();
    const name = picture.file_names[language];
    if (picture.full_size) {
      try {
        return { file: await withLabel(await this.colour(`pictures/${photo}/full.jpg`, planes, strength), await label), name };
      } catch (error) {
        console.warn(error);
      }
    }
    const file = await withLabel(await this.colour(`pictures/${photo}/2048.jpg`, planes, strength), await label);
    return { file, name, ...(picture.full_size ? { sentence: translate('site_smaller') } : {}) };
  };

  /** @param {string} address of a grey photograph @param {Uint16Array} planes @param {number} strength */
  async colour(address, planes, strength) {
    const image = await createImageBitmap(await (await fetchFile(address)).blob());
    try {
      return await coloured(image, planes, strength);
    } finally {
      image.close();
    }
  }
}

/** @param {string} address */
async function fetchFile(address) {
  const reply = await fetch(address);
  if (!reply.ok) throw new Error(`${address}: ${reply.status}`);
  return reply;
}

/** Keep the page for the time without a network. Browsers allow that over HTTPS, and on this machine. */
async function workOffline() {
  if (!isSecureContext || !('serviceWorker' in navigator)) return;
  try {
    await navigator.serviceWorker.register(new URL('../offline.js', document.baseURI), { updateViaCache: 'none' });
  } catch (error) {
    console.warn('The page will need the network:', error);
  }
}
