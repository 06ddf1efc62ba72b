// @ts-check
// What link.js is to a server, to the worker beside the page: whole hint sets go there, colours come back.
import { translate } from '../language.js';

/**
 * Where files lie, relative to the page. heads: the packed file of the weights. Of a picture by its id: its features,
 * the grey JPEG that the page shows, and the histogram of the colours that others can have.
 * vivid: factor of the automatic colours. measured: whether `up` tells how quick this browser is.
 * @typedef {{heads: string, features: (id: string) => string, picture: (id: string) => string,
 *   histogram: (id: string) => string, vivid: number, measured?: boolean}} Source
 */

/**
 * Events as those of Link: up (detail {touch_ms}, of a typical touch), reply (detail {header, pixels}), message (detail {type: 'refused', seq, photo, reason,
 * sentence, detail} where an edit cannot be answered); and fault (detail {photo: '', reason, sentence, detail}) where none
 * ever can. `reason` is one of errors.js, `sentence` is for the visitor, `detail` for the console.
 */
export class LocalLink extends EventTarget {
  /** @param {Source} source */
  constructor(source) {
    super();
    this.source = source;
    this.seq = 0;
    this.up = false;
    this.page = '';
    /** Id of the photograph whose edits are answered at once. */
    this.ready = '';
    this.worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
    this.worker.addEventListener('message', ({ data }) => this.onMessage(data));
    this.worker.addEventListener('error', (event) => {
      event.preventDefault();
      this.onMessage({ type: 'fault', part: 'page', reason: 'missing', detail: event.message || 'the worker cannot be loaded' });
    });
    this.worker.postMessage({
      type: 'start',
      heads: absolute(source.heads),
      kernels: new URL('./', import.meta.url).href,
      vivid: source.vivid,
      measured: source.measured ?? false,
    });
  }

  /** @param {any} message */
  onMessage({ type, part, ...facts }) {
    if (part) {
      console.error(facts.detail);
      facts.sentence = translate(facts.reason === 'old' ? 'browser_old' : `${part}_damaged`);
    }
    if (type === 'up') this.up = true;
    if (type === 'opened') this.ready = facts.photo;
    if (type === 'refused') this.dispatchEvent(new CustomEvent('message', { detail: { type, ...facts } }));
    else this.dispatchEvent(new CustomEvent(type, { detail: type === 'fault' ? { photo: '', ...facts } : facts }));
  }

  /** Ask for the picture as it should be. @param {any} edit @returns {number} the message's number */
  send(edit) {
    this.seq += 1;
    this.post(edit, this.seq);
    return this.seq;
  }

  /** @param {any} edit @param {number} seq */
  post(edit, seq) {
    this.worker.postMessage({ type: 'edit', edit: { ...edit, seq, addresses: this.addressesOf(edit.photo, edit.reference) } });
  }

  /** Load a photograph, so that its edits are answered at once: `ready` is its id then. @param {string} photo */
  open(photo) {
    this.worker.postMessage({ type: 'open', photo, addresses: this.addressesOf(photo, null) });
  }

  /** @param {string} photo @param {string | null} reference */
  addressesOf(photo, reference) {
    const { features, picture, histogram } = this.source;
    return {
      features: absolute(features(photo)), picture: absolute(picture(photo)),
      histogram: reference ? absolute(histogram(reference)) : null,
    };
  }

  /** Nobody watches the page. @param {Record<string, unknown>} facts */
  beat(facts) {} // eslint-disable-line

  /** End the worker. */
  close() {
    this.worker.terminate();
  }
}

/** @param {string} address relative to the page */
const absolute = (address) => new URL(address, document.baseURI).href;
