// @ts-check
// The link to the server, and beside it the page's own answers: where the browser is quick enough, edits of the
// exhibition's pictures are answered here. The engine answers everything else, and whatever fails here.
import { Link } from './link.js';
import { LocalLink } from './touch/local_link.js';
import { MAX_HINTS } from './touch/touch.js';

/** A browser whose typical touch takes longer asks the engine. */
const MAX_TOUCH_MS = 12;
/** A picture that could not be fetched is tried again after this time. */
const RETRY_MS = 10000;

/** Events: those of Link. */
export class QuickLink extends Link {
  /**
   * @param {number | null} vivid factor of the automatic colours; null where the engine answers everything
   * @param {(id: string) => boolean} isShown whether a picture is of the exhibition
   */
  constructor(vivid, isShown) {
    super();
    this.isShown = isShown;
    /** @type {LocalLink | null} */
    this.local = null;
    /** Time of a typical touch here, null where it is not known. @type {number | null} */
    this.touch_ms = null;
    /** Whether the page answers what it can. Benches turn it off and on. */
    this.answersHere = true;
    /** The edit that is being answered here. @type {{seq: number, edit: any} | null} */
    this.asked = null;
    /** Pictures that the page cannot open. @type {Set<string>} */
    this.refused = new Set();
    /** Id of the picture of the newest edit, and of the one that was opened here last. */
    this.photo = '';
    this.opening = '';
    /** Edits answered here since the last beat, by picture. @type {Record<string, number>} */
    this.edits = {};
    if (vivid !== null) this.start(vivid);
  }

  /** @param {number} vivid */
  start(vivid) {
    const local = new LocalLink({
      heads: 'heads.bin',
      features: (id) => `pictures/${id}/features.bin`,
      picture: (id) => `pictures/${id}/2048.jpg`,
      histogram: (id) => `pictures/${id}/histogram.bin`,
      vivid,
      measured: true,
    });
    local.addEventListener('up', (event) => {
      this.touch_ms = /** @type {CustomEvent} */ (event).detail.touch_ms;
      if (this.touch_ms === null || this.touch_ms > MAX_TOUCH_MS) local.close();
      else {
        this.local = local;
        this.open(this.photo);
      }
    });
    local.addEventListener('reply', (event) => this.onLocalReply(/** @type {CustomEvent} */ (event).detail));
    local.addEventListener('message', (event) => this.onRefused(/** @type {CustomEvent} */ (event).detail));
    local.addEventListener('fault', () => {
      this.local = null;
      local.close();
      this.askEngine();
    });
  }

  /** The page cannot open a picture: for now where it could not be fetched. @param {{photo: string, reason: string}} why */
  onRefused({ photo, reason }) {
    this.opening = '';
    this.refused.add(photo);
    if (reason !== 'damaged') setTimeout(() => this.refused.delete(photo), RETRY_MS);
    this.askEngine();
  }

  /** @param {{header: import('./link.js').Header, pixels: ArrayBuffer}} reply */
  onLocalReply(reply) {
    if (this.asked && this.asked.seq <= reply.header.seq) {
      const { photo } = this.asked.edit;
      this.edits[photo] = (this.edits[photo] ?? 0) + 1;
      this.asked = null;
    }
    this.dispatchEvent(new CustomEvent('reply', { detail: reply }));
  }

  /** What cannot be answered here goes to the engine. */
  askEngine() {
    if (this.asked) super.post(this.asked.edit, this.asked.seq);
    this.asked = null;
  }

  /** Let the page open a picture; the engine answers until it has. @param {string} photo */
  open(photo) {
    if (!this.local || this.opening === photo || this.refused.has(photo) || !this.isShown(photo)) return;
    this.opening = photo;
    this.local.open(photo);
  }

  /** @param {any} edit @param {number} seq */
  post(edit, seq) {
    this.photo = edit.photo;
    this.open(edit.photo);
    if (!this.isAnsweredHere(edit)) {
      this.asked = null;
      super.post(edit, seq);
      return;
    }
    this.asked = { seq, edit };
    this.local?.post(edit, seq);
  }

  /** @param {any} edit */
  isAnsweredHere({ photo, hints, outline, want }) {
    return this.answersHere && this.local?.ready === photo && !this.refused.has(photo)
      && want === 'planes' && (outline ?? null) === null && hints.every((/** @type {any} */ hint) => !hint.inside)
      && hints.flatMap((/** @type {any} */ hint) => hint.lines ?? [hint]).length <= MAX_HINTS;
  }

  /** @param {Record<string, unknown>} facts */
  beat(facts) {
    const { edits } = this;
    super.beat(Object.keys(edits).length ? { ...facts, edits } : facts);
    if (this.up) this.edits = {};
  }
}
