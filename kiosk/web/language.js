// @ts-check
// The languages of the page, one JSON file each. Elements name their text by data-words and their label by data-label.

const RIGHT_TO_LEFT = ['ar'];
export const LANGUAGE_NAMES = /** @type {Record<string, string>} */ ({
  en: 'English', de: 'Deutsch', fr: 'Français', es: 'Español', zh: '中文', ja: '日本語', ar: 'العربية',
});
export let language = 'en';
/** @type {Record<string, string>} */
let words = {};
/** Files loaded so far: a wipe returns to the default language even while the server is away. @type {Map<string, Record<string, string>>} */
const loaded = new Map();

/** @param {string} key */
export const translate = (key) => words[key] ?? key;

/** @param {[string, string]} name as `nameOf` returns it */
export const colourWords = ([shade, name]) => translate(`shade_${shade}`).replace('{colour}', translate(name));

/** Show the page in another language. @param {string} code */
export async function setLanguage(code) {
  const found = loaded.get(code) ?? await (await fetch(`languages/${code}.json`)).json();
  loaded.set(code, found);
  [words, language] = [found, code];
  document.documentElement.lang = code;
  document.documentElement.dir = RIGHT_TO_LEFT.includes(code) ? 'rtl' : 'ltr';
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('[data-words]'))) {
    element.textContent = translate(element.dataset.words ?? '');
  }
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('[data-label]'))) {
    element.setAttribute('aria-label', translate(element.dataset.label ?? ''));
  }
}
