// @ts-check
// The page: attract, gallery, painting; what the server tells, and what a wipe forgets.
import { Attract, spotOf } from './attract.js';
import { Composite } from './composite.js';
import { dialog, byId } from './dom.js';
import { describe, showGallery } from './gallery.js';
import { shieldButtons } from './gestures.js';
import { watchIdle } from './idle.js';
import { JpegCanvas } from './jpeg.js';
import { Link } from './link.js';
import { Moods } from './moods.js';
import { Painting } from './painting.js';
import { millimetre } from './panel.js';
import { probe } from './probe.js';
import { Saving } from './saving.js';
import { Uploads } from './uploads.js';
import { NAMES, language, translate, speak } from './words.js';

/** @typedef {import('./gallery.js').Picture} Picture */

const BEAT_MS = 3000;
/** Most pauses of the link are over before anybody should be told of one. */
const REST_MS = 1500;
const root = document.documentElement;

const settings = await (await fetch('/settings.json')).json();
/** @type {Picture[]} */
let pictures = settings.pictures;
const mm = millimetre(settings.panel_width_mm);
root.dataset.reach = settings.reach;

const canvas = /** @type {HTMLCanvasElement} */ (byId('picture'));
const found = probe(settings.pixels, settings.upsampling);
const view = found.kind === 'planes' ? new Composite(canvas, settings.upsampling) : new JpegCanvas(canvas);
view.slow ||= found.slow;
const link = new Link();
const painting = new Painting(view, link, { mm, palmMm: settings.palm_mm });
const moods = new Moods(painting);
const uploads = new Uploads(settings.uploads, (picture) => begin(picture));
const saving = new Saving(painting, settings);
const attract = new Attract(painting, () => pictures, describe);
shieldButtons((event) => painting.gestures.isPalm(event));

// States

/** @param {'attract' | 'gallery' | 'painting' | 'closed'} state */
function enter(state) {
  document.body.dataset.state = state;
  attract.stop();
  byId('picture').classList.remove('coming');
  painting.compare.show(false);
  if (state === 'attract') attract.start();
  if (state !== 'painting') painting.choose(-1);
  painting.stage.resize();
}

/** @param {Picture} picture */
async function begin(picture) {
  enter('painting');
  byId('coach').classList.remove('gone');
  describe(picture);
  byId('picture').classList.add('coming');
  try {
    if (!(await painting.open(picture.id))) return;
    byId('picture').classList.remove('coming');
    const [x, y] = spotOf(picture);
    const spot = painting.stage.toStage({ x, y });
    byId('spot').style.transform = `translate(${spot.x}px, ${spot.y}px)`;
  } catch {
    if (painting.photo !== picture.id) return;
    byId('status').textContent = translate('own_refused');
    enter('gallery');
  }
}

function showPictures() {
  showGallery([...uploads.own, ...pictures], begin);
  moods.references([...uploads.own, ...pictures]);
}

byId('begin').addEventListener('click', () => {
  link.beat({ state: 'gallery', event: 'session' });
  enter('gallery');
});
byId('gallery-open').addEventListener('click', () => {
  if (uploads.own.length) showPictures();
  enter('gallery');
});
for (const id of ['moods', 'saved']) byId(`${id}-close`).addEventListener('click', () => dialog(id).close());
for (const element of document.querySelectorAll('dialog')) {
  element.addEventListener('click', (event) => event.target === element && element.id !== 'idle' && element.close());
}

// Language and contrast

/** @param {string} wanted */
async function change(wanted) {
  await speak(wanted);
  byId('status').textContent = '';
  byId('language-name').textContent = NAMES[wanted];
  byId('language').setAttribute('aria-label', `${translate('language')}: ${NAMES[wanted]}`);
  showPictures();
  const picture = [...uploads.own, ...pictures].find(({ id }) => id === painting.photo);
  if (picture) describe(picture);
  painting.showMoving(painting.moving);
  painting.placeMarks();
}
for (const code of settings.languages) {
  const button = document.createElement('button');
  button.textContent = NAMES[code];
  button.lang = code;
  button.addEventListener('click', async () => {
    dialog('languages').close();
    await change(code);
  });
  byId('language-list').append(button);
}
byId('language').addEventListener('click', () => dialog('languages').showModal());

/** @param {boolean} high */
function contrast(high) {
  root.dataset.contrast = high ? 'high' : 'usual';
  byId('contrast').setAttribute('aria-pressed', String(high));
  painting.stage.draw();
}
byId('contrast').addEventListener('click', () => contrast(root.dataset.contrast !== 'high'));

// Leaving

/** Nothing of a visitor stays. */
function wipe() {
  for (const element of document.querySelectorAll('dialog')) element.close();
  painting.forget();
  uploads.forget();
  saving.forget();
  byId('status').textContent = '';
  link.beat({ state: 'attract', event: 'reset' });
  contrast(settings.contrast === 'high');
  change(settings.language);
  enter('attract');
}
watchIdle(settings, () => ['painting', 'gallery'].includes(document.body.dataset.state ?? ''), wipe);

// The link

/** @param {string | null} key */
function veil(key) {
  byId('veil').hidden = key === null;
  byId('veil-text').textContent = key === null ? '' : translate(key);
}
let rest = 0;
link.addEventListener('up', () => {
  clearTimeout(rest);
  veil(null);
  if (view.kind === 'jpeg') link.beat({ state: document.body.dataset.state, event: 'fallback' });
});
link.addEventListener('down', () => {
  clearTimeout(rest);
  rest = setTimeout(() => veil('resting'), REST_MS);
});
link.addEventListener('busy', () => {
  clearTimeout(rest);
  veil('busy');
});
link.addEventListener('message', async (event) => {
  const message = /** @type {CustomEvent} */ (event).detail;
  if (message.type === 'reload') location.reload();
  if (message.type === 'refused') byId('status').textContent = message.sentence;
  if (message.type === 'pause') byId('status').textContent = translate('moment');
  if (message.type === 'gallery') {
    pictures = (await (await fetch('/settings.json')).json()).pictures;
    showPictures();
  }
  if (message.type === 'hours' || message.type === 'welcome') {
    veil(message.open ? null : 'closed');
    if (!message.open) wipe();
  }
});
link.addEventListener('reply', () => {
  if (byId('status').textContent === translate('moment')) byId('status').textContent = '';
});
setInterval(() => {
  const newest = painting.courier.frames.at(-1);
  link.beat({ state: document.body.dataset.state, frame_ms: newest ? newest.total_ms : null });
}, BEAT_MS);

addEventListener('contextmenu', (event) => event.preventDefault());
addEventListener('dragstart', (event) => event.preventDefault());

contrast(settings.contrast === 'high');
await change(settings.language);
// Who was quicker than the words stays where the touch led.
if (document.body.dataset.state === 'attract') enter('attract');
/** For tests and benches: what the page believes, once it stands. */
Object.assign(globalThis, { livetint: { painting, link, view, settings, probe: found } });
