// @ts-check
// Whole-picture starters, the strength of colour, and moods lent by other pictures. All are steps of undo.
import { dialog, byId } from './dom.js';
import { thumbnail, titleOf } from './gallery.js';

/** @typedef {import('./gallery.js').Picture} Picture */

const MOODS = ['none', 'sunlit', 'cool', 'rich', 'faded'];

export class Moods {
  /** @param {import('./painting.js').Painting} painting */
  constructor(painting) {
    this.painting = painting;
    this.slider = /** @type {HTMLInputElement} */ (byId('saturation'));
    for (const mood of MOODS) {
      const button = document.createElement('button');
      button.dataset.mood = mood;
      const words = document.createElement('span');
      words.dataset.words = `mood_${mood}`;
      button.append(words);
      button.addEventListener('click', () => this.wish({ mood, reference: null, ...(mood === 'none' ? { saturation: null } : {}) }));
      byId('mood-list').append(button);
    }
    this.slider.addEventListener('pointerdown', () => painting.edits.begin());
    this.slider.addEventListener('input', (event) => this.wish({ saturation: Number(this.slider.value) / 100 }, event.timeStamp));
    this.slider.addEventListener('change', () => {
      painting.edits.settle();
      painting.changed();
    });
    byId('moods-open').addEventListener('click', () => {
      this.show();
      dialog('moods').showModal();
    });
  }

  /** @param {Picture[]} pictures */
  references(pictures) {
    byId('references').replaceChildren(...pictures.map((picture) => {
      const button = document.createElement('button');
      button.append(thumbnail(picture, titleOf(picture)));
      button.dataset.reference = picture.id;
      button.addEventListener('click', () => this.wish({ reference: picture.id, mood: 'none' }));
      return button;
    }));
    this.show();
  }

  /** @param {Partial<import('./edits.js').Wishes>} change @param {number} [time] of the touch behind it */
  wish(change, time) {
    this.painting.edits.change(change);
    this.painting.changed(time);
    this.show();
  }

  show() {
    const { mood, reference, saturation } = this.painting.edits.now;
    for (const button of byId('mood-list').children) button.setAttribute('aria-pressed', String(/** @type {HTMLElement} */ (button).dataset.mood === mood && !reference));
    for (const button of byId('references').children) button.setAttribute('aria-pressed', String(/** @type {HTMLElement} */ (button).dataset.reference === reference));
    if (saturation !== null) this.slider.value = String(saturation * 100);
  }
}
