// @ts-check
// The picture on the stage, and what the visitor has made of each picture.
import { EditHistory } from './edit_history.js';
import { pageHeaders } from './page_name.js';

const PREVIEW_PX = 2048;

export class Pictures {
  /**
   * @param {{leave: () => void, load: () => void, show: (image: ImageBitmap) => void, stay: () => void}} on
   *   leave: the picture is about to be left. load: another one is being loaded. show: it has been loaded. stay: it
   *   could not be loaded; the one of before stays.
   */
  constructor(on) {
    this.on = on;
    this.edits = new EditHistory();
    /** What the visitor has made of each picture, by its id. @type {Map<string, EditHistory>} */
    this.histories = new Map();
    /** What the grey pictures have to hash to, where that is known. @type {Map<string, string>} */
    this.integrity = new Map();
    /** Id of the picture, '' for none. */
    this.photo = '';
    /** The picture that is being loaded; until it is there, touches would fall on another one. @type {object | null} */
    this.loading = null;
  }

  /**
   * Load a picture and show it. Where that fails, the picture of before stays. Raises what went wrong.
   * @param {string} id @param {EditHistory} edits what has been made of it
   * @returns {Promise<boolean>} false if another one was opened meanwhile
   */
  async open(id, edits = new EditHistory()) {
    this.on.leave();
    const loading = { id };
    const before = this.loading ? { photo: '', edits: new EditHistory() } : { photo: this.photo, edits: this.edits };
    [this.photo, this.edits, this.loading] = [id, edits, loading];
    this.on.load();
    try {
      const image = await loadPhoto(id, this.integrity.get(id));
      if (this.loading !== loading) {
        image.close();
        return false;
      }
      this.loading = null;
      this.on.show(image);
      return true;
    } catch (error) {
      if (this.loading !== loading) return false;
      this.loading = null;
      [this.photo, this.edits] = [before.photo, before.edits];
      this.on.stay();
      throw error;
    }
  }

  /** Open a picture for the visitor, as the visitor left it. @param {string} id @returns {Promise<boolean>} see `open` */
  async openAgain(id) {
    if (this.isOpen(id)) return true;
    const edits = this.histories.get(id) ?? new EditHistory();
    const opened = await this.open(id, edits);
    if (opened) this.histories.set(id, edits);
    return opened;
  }

  /** Whether a picture lies on the stage, opened by the visitor. @param {string} id */
  isOpen(id) {
    return id === this.photo && !this.loading && this.histories.get(id) === this.edits;
  }

  /** Whether the visitor has changed a picture. @param {string} id */
  isPainted(id) {
    const edits = this.histories.get(id);
    return Boolean(edits && (edits.past.length || edits.future.length));
  }

  /** Whether the visitor has changed any picture. */
  get anyPainted() {
    return [...this.histories.keys()].some((id) => this.isPainted(id));
  }

  /** No picture is open any more. What the visitor has made of it stays. */
  close() {
    this.photo = '';
    this.loading = null;
    this.edits = new EditHistory();
  }

  /** Keep nothing: neither points nor the picture. */
  forget() {
    this.close();
    this.histories.clear();
  }
}

/** @param {string} id of a picture @param {string} [integrity] @returns {Promise<ImageBitmap>} */
async function loadPhoto(id, integrity = '') {
  const reply = await fetch(`pictures/${id}/${PREVIEW_PX}.jpg`, { headers: pageHeaders(), integrity });
  if (!reply.ok) throw new Error(await reply.text());
  return createImageBitmap(await reply.blob());
}
