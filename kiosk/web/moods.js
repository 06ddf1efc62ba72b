// @ts-check
// The whole picture: moods, the mood of a reference picture, and the strength of colour. All can be undone.
import { dialog, byId } from './dom.js';
import { thumbnail, titleOf } from './gallery.js';

/** @typedef {import('./gallery.js').Picture} Picture */

const MOODS = ['none', 'sunlit', 'cool', 'rich', 'faded'];

export class Moods {
  /** @param {import('./painting.js').Painting} painting */
  constructor(painting) {
    this.painting = painting;
    this.slider = /** @type {HTMLInputElement} */ (byId('strength'));
    for (const mood of MOODS) byId('mood-list').append(this.createButton(mood));
    this.slider.addEventListener('pointerdown', () => painting.edits.begin());
    this.slider.addEventListener('input', (event) => this.apply({ strength: Number(this.slider.value) / 100 }, event.timeStamp));
    // A touch that leaves the slider where it was fires no change event.
    for (const name of ['pointerup', 'pointercancel', 'change']) {
      this.slider.addEventListener(name, () => {
        painting.edits.commit();
        painting.changed();
      });
    }
    byId('moods-open').addEventListener('click', () => {
      this.show();
      dialog('moods').showModal();
    });
  }

  /** @param {string} mood */
  createButton(mood) {
    const button = document.createElement('button');
    button.dataset.mood = mood;
    const words = document.createElement('span');
    words.dataset.words = `mood_${mood}`;
    button.append(words);
    // "none" takes back the strength of colour too.
    button.addEventListener('click', () => this.apply({ mood, reference: null, ...(mood === 'none' ? { strength: 1 } : {}) }));
    return button;
  }

  /** Offer these pictures as references. @param {Picture[]} pictures */
  showReferences(pictures) {
    byId('references').replaceChildren(...pictures.map((picture) => {
      const button = document.createElement('button');
      button.append(thumbnail(picture, titleOf(picture), 'mood'));
      button.dataset.reference = picture.id;
      button.addEventListener('click', () => this.apply({ reference: picture.id, mood: 'none' }));
      return button;
    }));
    this.show();
  }

  /** @param {Partial<import('./edit_history.js').Edit>} change @param {number} [touch_ms] time of the event behind it */
  apply(change, touch_ms) {
    this.painting.edits.apply(change);
    this.painting.changed(touch_ms);
    this.show();
  }

  /** Mark what is chosen now. */
  show() {
    const { mood, reference, strength } = this.painting.edits.present;
    for (const button of /** @type {Iterable<HTMLElement>} */ (byId('mood-list').children)) {
      button.setAttribute('aria-pressed', String(button.dataset.mood === mood && !reference));
    }
    for (const button of /** @type {Iterable<HTMLElement>} */ (byId('references').children)) {
      button.setAttribute('aria-pressed', String(button.dataset.reference === reference));
      // A picture has its own mood already.
      button.hidden = button.dataset.reference === this.painting.photo;
    }
    this.slider.value = String(strength * 100);
  }
}
