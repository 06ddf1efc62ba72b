// @ts-check
// The page: its states (attract, gallery, painting), the messages of the server, and the wipe between visitors.
import { Attract, startPoint } from './attract.js';
import { chooseView } from './choose_view.js';
import { showHours } from './closed.js';
import { dialog, byId } from './dom.js';
import { describe, describeNothing, pictureButton, showGallery } from './gallery.js';
import { ignorePalmsOnButtons } from './gestures.js';
import { watchIdle } from './idle.js';
import { JpegView } from './jpeg_view.js';
import { LANGUAGE_NAMES, setLanguage, translate } from './language.js';
import { NOTHING } from './markers.js';
import { Moods } from './moods.js';
import { pageName } from './page_name.js';
import { Painting } from './painting.js';
import { pixelsPerMm } from './pixels_per_mm.js';
import { QuickLink } from './quick_link.js';
import { Saving } from './saving.js';
import { said, say } from './status.js';
import { Uploads } from './uploads.js';
import { WhereNext } from './where_next.js';

/** @typedef {import('./gallery.js').Picture} Picture */

const BEAT_MS = 3000;
/** A lost link is told after this long; most come back sooner. */
const LINK_DOWN_MS = 1500;
const root = document.documentElement;

const settings = await (await fetch('settings.json')).json();
/** @type {Picture[]} */
let pictures = settings.pictures;
const pxPerMm = pixelsPerMm(settings.panel_width_mm);
root.dataset.reach = settings.reach;

const view = chooseView(/** @type {HTMLCanvasElement} */ (byId('picture')), settings.pixels, settings.upsampling);
/** A published page has no server; its own parts stand in. */
const site = settings.site ? new (await import('./site/site.js')).Site(settings) : null;
const link = /** @type {import('./link.js').Link} */ (
  site?.link ?? new QuickLink(view.kind === 'planes' ? settings.vivid : null, (id) => pictures.some((picture) => picture.id === id)));
view.canvas.addEventListener('gone', useJpegs);
const painting = new Painting(view, link, { pxPerMm, palmMm: settings.palm_mm });
site?.use(painting);
const whereNext = new WhereNext(painting, link);
const moods = new Moods(painting);
const uploads = new Uploads(settings.uploads, (picture) => begin(picture));
const saving = new Saving(painting, settings, (photo) => uploads.own.some(({ id }) => id === photo), site?.makeFile);
const attract = new Attract(painting, () => pictures, describe);
ignorePalmsOnButtons((event) => painting.gestures.isPalm(event));

/** WebGL is gone for good: another canvas shows JPEGs, for one that had WebGL can do nothing else. */
function useJpegs() {
  if (site) {
    site.stop();
    return;
  }
  const canvas = /** @type {HTMLCanvasElement} */ (view.canvas.cloneNode(false));
  view.canvas.replaceWith(canvas);
  painting.stage.setView(new JpegView(canvas));
  painting.changed();
  link.beat({ state: document.body.dataset.state, event: 'fallback' });
}

// States

/** @param {'attract' | 'gallery' | 'painting'} state @param {string} photo id of the picture that is painted */
function enter(state, photo = '') {
  document.body.dataset.state = state;
  site?.entered(state, photo);
  attract.stop();
  byId('picture').classList.remove('loading');
  say('');
  painting.compare.show(false);
  if (state === 'attract' && !closed) attract.start();
  if (state !== 'painting') painting.choose(NOTHING);
  whereNext.hide();
  painting.stage.resize();
}

/** Open a picture to paint it. @param {Picture} picture */
async function begin(picture) {
  const known = painting.pictures.isOpen(picture.id);
  enter('painting', picture.id);
  byId('coach').classList.remove('gone');
  describe(picture);
  byId('picture').classList.toggle('loading', !known);
  try {
    if (!(await painting.pictures.openAgain(picture.id))) return;
    byId('picture').classList.remove('loading');
    if (painting.pictures.isPainted(picture.id)) byId('coach').classList.add('gone');
    const [x, y] = startPoint(picture);
    whereNext.begin({ x, y });
  } catch {
    showGalleryAgain();
    say(await site?.whyMissing(picture.id) ?? translate('own_refused'), { beside: pictureButton(picture.id) });
  }
}

/** The visitor's own pictures and those of the exhibition. */
const allPictures = () => [...uploads.own, ...pictures];

/** The picture that can be painted on, if one is open. */
const openPicture = () => allPictures().find(({ id }) => painting.pictures.isOpen(id));

/** Leave the picture for the gallery, from which a button leads back to it. */
function showGalleryAgain() {
  const picture = openPicture();
  byId('back').hidden = !picture;
  if (picture) describe(picture);
  showPictures();
  enter('gallery');
}
byId('back').addEventListener('click', () => {
  const picture = openPicture();
  if (picture) begin(picture);
});

function showPictures() {
  showGallery(allPictures(), begin, (id) => painting.pictures.isPainted(id));
  moods.showReferences(allPictures());
}

byId('begin').addEventListener('click', () => {
  link.beat({ state: 'gallery', event: 'session' });
  showGalleryAgain();
});
byId('gallery-open').addEventListener('click', showGalleryAgain);
for (const id of ['moods', 'saved']) byId(`${id}-close`).addEventListener('click', () => dialog(id).close());
for (const element of document.querySelectorAll('dialog')) {
  // A touch on the backdrop closes a dialog, but for the warning, which any touch closes.
  element.addEventListener('click', (event) => event.target === element && element.id !== 'idle' && element.close());
}

// Language and contrast

/** @param {string} code */
async function changeLanguage(code) {
  await setLanguage(code);
  say('');
  byId('language-name').textContent = LANGUAGE_NAMES[code];
  byId('language').setAttribute('aria-label', `${translate('language')}: ${LANGUAGE_NAMES[code]}`);
  showPictures();
  const picture = allPictures().find(({ id }) => id === painting.photo);
  if (picture) describe(picture);
  painting.modes.show();
  painting.showPoints();
  showHours(null);
  site?.describe();
}
for (const code of settings.languages) {
  const button = document.createElement('button');
  button.textContent = LANGUAGE_NAMES[code];
  button.lang = code;
  button.addEventListener('click', async () => {
    dialog('languages').close();
    await changeLanguage(code);
  });
  byId('language-list').append(button);
}
byId('language').addEventListener('click', () => dialog('languages').showModal());

/** @param {boolean} high */
function setContrast(high) {
  root.dataset.contrast = high ? 'high' : 'usual';
  byId('contrast').setAttribute('aria-pressed', String(high));
  painting.stage.draw();
}
byId('contrast').addEventListener('click', () => setContrast(root.dataset.contrast !== 'high'));

// Leaving

/** Forget the visitor and return to the attract loop. */
function wipe() {
  for (const element of document.querySelectorAll('dialog')) element.close();
  painting.forget();
  uploads.forget();
  saving.forget();
  describeNothing();
  say('');
  link.beat({ state: 'attract', event: 'reset' });
  setContrast(settings.contrast === 'high');
  changeLanguage(settings.language);
  enter('attract');
}
byId('finish').addEventListener('click', () => {
  const made = uploads.own.length || painting.pictures.anyPainted;
  if (made) dialog('leave').showModal();
  else wipe();
});
byId('leave-no').addEventListener('click', () => dialog('leave').close());
byId('leave-yes').addEventListener('click', wipe);
if (!site) watchIdle(settings, () => ['painting', 'gallery'].includes(document.body.dataset.state ?? ''), wipe);

// The link

/** Cover the page with a sentence, or uncover it. @param {string | null} key of the language files */
function setVeil(key) {
  byId('veil').hidden = key === null;
  byId('veil').classList.remove('blank');
  byId('veil-text').textContent = key === null ? '' : translate(key);
  byId('veil-hours').textContent = '';
}
let downTimer = 0;
/** Whether the exhibit is closed. */
let closed = false;
/** What the server said when it refused an edit. */
let refusal = '';
link.addEventListener('up', () => {
  clearTimeout(downTimer);
  setVeil(null);
  if (view.kind === 'jpeg') link.beat({ state: document.body.dataset.state, event: 'fallback' });
});
link.addEventListener('down', () => {
  clearTimeout(downTimer);
  downTimer = setTimeout(() => setVeil('resting'), LINK_DOWN_MS);
});
link.addEventListener('busy', () => {
  clearTimeout(downTimer);
  setVeil('busy');
});
link.addEventListener('message', async (event) => {
  const message = /** @type {CustomEvent} */ (event).detail;
  if (message.type === 'reload') location.reload();
  if (message.type === 'refused') {
    refusal = site ? await site.explain(message.reason) : message.sentence;
    const { photo } = painting;
    // A picture whose colours never come is not left on show in grey.
    const leaves = site && document.body.dataset.state === 'painting' && !painting.requests.answered;
    if (leaves) {
      painting.pictures.close();
      showGalleryAgain();
    }
    say(refusal, { beside: leaves ? pictureButton(photo) : null });
  }
  if (message.type === 'pause') say(translate('moment'), { stays: true });
  if (message.type === 'gallery') {
    pictures = (await (await fetch('settings.json')).json()).pictures;
    showPictures();
  }
  if (message.type === 'hours' || message.type === 'welcome') {
    const wasClosed = closed;
    closed = !message.open;
    showHours(message);
    if (closed && !wasClosed) wipe();
    // Nobody looks while it is closed, and the engine rests.
    if (wasClosed && !closed) enter('attract');
  }
});
link.addEventListener('reply', () => {
  if ([translate('moment'), refusal].includes(said())) say('');
});
setInterval(() => {
  const newest = painting.requests.frames.at(-1);
  link.beat({ state: document.body.dataset.state, frame_ms: newest ? newest.total_ms : null });
}, BEAT_MS);

addEventListener('contextmenu', (event) => event.preventDefault());
addEventListener('dragstart', (event) => event.preventDefault());

setContrast(settings.contrast === 'high');
await changeLanguage(site?.language ?? settings.language);
// A visitor may have left the attract state before the language was there.
if (document.body.dataset.state === 'attract') enter('attract');
await site?.ready((state, photo) => {
  const picture = pictures.find(({ id }) => id === photo);
  if (state === 'painting' && picture) return begin(picture);
  if (state === 'attract') return enter('attract');
  return showGalleryAgain();
});
root.classList.remove('starting');
/** For tests and benches: the parts of the page, once it is complete. */
Object.assign(globalThis, { livetint: { painting, link, settings, whereNext, get page() { return pageName(); }, get view() { return painting.stage.view; } } });
