// @ts-check
// The wall: coloured pictures whose visitors agreed, on a screen of its own. New ones appear by themselves, and those
// that staff remove go.
import { byId } from './dom.js';
import { setLanguage } from './language.js';

const LOOK_EVERY_MS = 4000;
let shown = '';

/** Show the pictures that hang now. Where the server does not answer, those of before stay. */
async function look() {
  try {
    const reply = await fetch('wall.json');
    if (!reply.ok) return;
    /** @type {{language: string, pictures: string[]}} */
    const { language, pictures } = await reply.json();
    if (document.documentElement.lang !== language) await setLanguage(language);
    if (shown === pictures.join('/')) return;
    shown = pictures.join('/');
    byId('empty').hidden = pictures.length > 0;
    byId('hung').replaceChildren(...pictures.map(frameOf));
  } catch {
    // The server is away; the next look may find it again.
  }
}

/** @param {string} name */
function frameOf(name) {
  const frame = document.createElement('li');
  const image = document.createElement('img');
  image.src = `wall/${encodeURIComponent(name)}`;
  image.alt = document.querySelector('h1')?.textContent ?? '';
  frame.append(image);
  return frame;
}

await setLanguage('en');
await look();
setInterval(look, LOOK_EVERY_MS);
