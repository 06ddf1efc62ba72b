// @ts-check
/// <reference lib="webworker" />
// The service worker of a published page: after the first visit the page works without a network. All files of one
// version lie in one cache. A new version gets a cache of its own and takes over when no page of the old one is open.

/**
 * `self.SITE` is set before this script: the version, address → SHA-256 of all files, those kept at the first visit.
 * @typedef {{version: string, files: Record<string, string>, kept: string[]}} Site
 */

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
const { version, files, kept } = /** @type {{SITE: Site}} */ (/** @type {unknown} */ (self)).SITE;
const scope = worker.registration.scope;
const PREFIX = `livetint ${scope} `;
const CACHE = PREFIX + version;
/** Files are fetched by so many at a time, so that the page's own come first. */
const AT_ONCE = 4;

worker.addEventListener('install', (event) => event.waitUntil(keepAll()));
worker.addEventListener('activate', (event) => event.waitUntil(takeOver()));
worker.addEventListener('fetch', (event) => {
  const address = addressOf(event.request);
  if (address !== null) event.respondWith(answer(event.request, address));
});

/** Fetch the files of this version. One that is not as published makes the installation fail; the page goes on without. */
async function keepAll() {
  const cache = await caches.open(CACHE);
  const waiting = [...kept];
  const next = async () => {
    for (let address = waiting.shift(); address !== undefined; address = waiting.shift()) {
      if (!(await cache.match(scope + address))) await cache.put(scope + address, await fetchWhole(address));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
}

/** Remove the files of other versions of this page. */
async function takeOver() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)));
  await worker.clients.claim();
}

/** A file as it was published. Rejects for any other content. @param {string} address */
async function fetchWhole(address) {
  const reply = await fetch(scope + address, { integrity: files[address], cache: 'no-cache' });
  if (!reply.ok) throw new Error(`${address}: ${reply.status}`);
  return reply;
}

/** The address of a file of the page, null for all other requests. @param {Request} request */
function addressOf(request) {
  if (request.method !== 'GET' || !request.url.startsWith(scope)) return null;
  const address = request.url.slice(scope.length).split(/[?#]/)[0] || 'index.html';
  return address in files ? address : null;
}

/** @param {Request} request @param {string} address @returns {Promise<Response>} */
async function answer(request, address) {
  if (request.mode === 'navigate' && await isSuperseded()) {
    worker.registration.waiting?.postMessage('take over');
    return new Response('', { headers: { Refresh: '0' } });
  }
  // The page asks whether it was renewed: the server alone knows.
  if (request.cache === 'no-store') return fetch(request);
  const cache = await caches.open(CACHE);
  const found = await cache.match(scope + address);
  if (found) return found;
  try {
    const reply = await fetchWhole(address);
    await cache.put(scope + address, reply.clone());
    return reply;
  } catch {
    // The page says what is wrong with the file, and does not keep it.
    return fetch(request);
  }
}

/** Whether a new version waits, and no other page of this one is open. */
async function isSuperseded() {
  return Boolean(worker.registration.waiting) && (await worker.clients.matchAll()).length < 2;
}

worker.addEventListener('message', (event) => {
  if (event.data === 'take over') worker.skipWaiting();
});
