// @ts-check
// The gallery: the pictures to choose from, and the title and caption of the one on show.
import { byId } from './dom.js';
import { language, translate } from './language.js';
import { ofThisPage } from './page_name.js';

/**
 * @typedef {{id: string, own?: boolean, title: string, photographer: string, year: string, rights: string, titles: Record<string, string>,
 *   captions: Record<string, string>, hints: [number, number, number, number][]}} Picture
 */

/** In the page's language. @param {Picture} picture */
export const titleOf = (picture) => (picture.own ? translate('own') : picture.titles[language] ?? picture.title);

/** Photographer and year. @param {Picture} picture */
export const creditOf = (picture) => [picture.photographer, yearOf(picture)].filter(Boolean).join(', ');

/** The year of a picture in the page's language: "about 1935-1940" too. @param {Picture} picture */
function yearOf({ year }) {
  const about = /^(?:about|around|circa|ca\.?|c\.)\s+(?=\d)/i.exec(year);
  const years = year.slice(about ? about[0].length : 0).replace(/(\d)\s*-\s*(?=\d)/, '$1–');
  return about ? translate('about_year').replace('{year}', years) : years;
}

/** Show the title, credit and caption of a picture. @param {Picture} picture */
export function describe(picture) {
  byId('title').textContent = titleOf(picture);
  byId('caption').textContent = [creditOf(picture), picture.captions[language]].filter(Boolean).join(' · ');
  byId('picture').setAttribute('aria-label', titleOf(picture));
}

/** Show neither: the visitor of the picture has left. */
export function describeNothing() {
  byId('title').textContent = 'Livetint';
  byId('caption').textContent = '';
  byId('picture').setAttribute('aria-label', 'Livetint');
}

/**
 * A small copy of a picture, fetched when it comes into view.
 * @param {Picture} picture @param {string} alt @param {'480' | 'mood'} copy grey or in colour
 */
export function thumbnail(picture, alt, copy = '480') {
  const image = document.createElement('img');
  image.loading = 'lazy';
  const address = (/** @type {string} */ of) => (picture.own ? ofThisPage : String)(`pictures/${picture.id}/${of}.jpg`);
  image.src = address(copy);
  // Where the colours are not to be had, the grey copy stands in.
  if (copy !== '480') image.addEventListener('error', () => { image.src = address('480'); }, { once: true });
  image.alt = alt;
  image.addEventListener('load', () => image.classList.add('loaded'));
  return image;
}

/** The button of a picture in the gallery. @param {string} id */
export const pictureButton = (id) => document.querySelector(`#pictures [data-picture="${id}"]`);

/** Says that the visitor's points on a picture are kept. */
function paintedNote() {
  const note = document.createElement('span');
  note.className = 'painted';
  note.textContent = translate('painted');
  return note;
}

/** @param {Picture[]} pictures @param {(picture: Picture) => void} begin @param {(id: string) => boolean} isPainted by the visitor */
export function showGallery(pictures, begin, isPainted) {
  byId('pictures').replaceChildren(...pictures.map((picture) => {
    const item = document.createElement('li');
    const button = document.createElement('button');
    const words = document.createElement('span');
    words.className = 'words';
    const title = document.createElement('strong');
    title.textContent = titleOf(picture);
    const credit = document.createElement('span');
    credit.textContent = creditOf(picture);
    words.append(title, credit);
    if (isPainted(picture.id)) words.append(paintedNote());
    button.append(thumbnail(picture, ''), words);
    button.dataset.picture = picture.id;
    button.addEventListener('click', () => begin(picture));
    item.append(button);
    return item;
  }));
}
