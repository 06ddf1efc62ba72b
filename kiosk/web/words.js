// @ts-check
// Languages in plain files. Elements name their words by data-words (text) and data-label (for screen readers).

const RIGHT_TO_LEFT = ['ar'];
/** @type {Record<string, string>} */
let words = {};
export let language = 'en';
export const NAMES = /** @type {Record<string, string>} */ ({
  en: 'English', de: 'Deutsch', fr: 'Français', es: 'Español', zh: '中文', ja: '日本語', ar: 'العربية',
});

/** @param {string} key */
export const translate = (key) => words[key] ?? key;

/** @param {[string, string]} parts of nameOf */
export const colourWords = ([shade, name]) => translate(`shade_${shade}`).replace('{colour}', translate(name));

/** Names of which no two are the same, so that each can be heard apart and asked for. @param {string[]} names */
export const apart = (names) => names.map((name, i) => {
  const before = names.slice(0, i).filter((other) => other === name).length;
  return before ? `${name} ${before + 1}` : name;
});

/** @param {string} wanted */
export async function speak(wanted) {
  const reply = await fetch(`/languages/${wanted}.json`);
  words = await reply.json();
  language = wanted;
  document.documentElement.lang = wanted;
  document.documentElement.dir = RIGHT_TO_LEFT.includes(wanted) ? 'rtl' : 'ltr';
  for (const element of document.querySelectorAll('[data-words]')) element.textContent = translate(/** @type {HTMLElement} */ (element).dataset.words ?? '');
  for (const element of document.querySelectorAll('[data-label]')) element.setAttribute('aria-label', translate(/** @type {HTMLElement} */ (element).dataset.label ?? ''));
}
