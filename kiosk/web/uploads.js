// @ts-check
// A visitor's own picture, from a file or the exhibit's camera; only where the house allows it (docs/kiosk.md).
import { button, dialog, byId } from './dom.js';
import { translate } from './words.js';

/** @typedef {import('./gallery.js').Picture} Picture */
/** @typedef {{camera: boolean, max_bytes: number, types: string[]}} Door */

const JPEG_QUALITY = 0.92;

export class Uploads {
  /** @param {Door | null | undefined} door @param {(picture: Picture) => void} begin */
  constructor(door, begin) {
    this.door = door;
    this.begin = begin;
    /** Pictures the server keeps for this visitor, newest first. @type {Picture[]} */
    this.own = [];
    /** @type {MediaStream | null} */
    this.stream = null;
    /** The camera has been asked for and has not answered. */
    this.opening = false;
    /** Aborted when the visitor leaves: what arrives after that is for nobody. */
    this.visit = new AbortController();
    byId('own').hidden = !door;
    byId('camera-open').hidden = !door?.camera;
    if (door) this.wire(door);
  }

  /** @param {Door} door */
  wire(door) {
    const input = /** @type {HTMLInputElement} */ (byId('file'));
    input.accept = door.types.join();
    byId('file-open').addEventListener('click', () => input.click());
    input.addEventListener('change', async () => {
      const file = input.files?.[0];
      // The same file may be chosen twice.
      input.value = '';
      if (file) await this.send(file);
    });
    byId('camera-open').addEventListener('click', () => this.look());
    byId('camera-take').addEventListener('click', () => this.take());
    byId('camera-close').addEventListener('click', () => dialog('camera').close());
    dialog('camera').addEventListener('close', () => this.stop());
  }

  /** @param {Blob} picture */
  async send(picture) {
    if (!this.door) return;
    const { signal } = this.visit;
    const status = byId('status');
    if (picture.size > this.door.max_bytes) {
      status.textContent = translate('own_too_big');
      return;
    }
    status.textContent = translate('moment');
    this.allow(false);
    try {
      const reply = await fetch('/uploads', { method: 'POST', body: picture, signal });
      if (reply.status !== 201) throw new Error(`${reply.status}`);
      const found = { ...(await reply.json()), title: translate('own') };
      signal.throwIfAborted();
      this.own = [found, ...this.own];
      status.textContent = '';
      this.begin(found);
    } catch {
      if (signal.aborted) return;
      status.textContent = translate('own_refused');
    }
    this.allow(true);
  }

  /** @param {boolean} on whether a picture may be chosen or taken */
  allow(on) {
    for (const id of ['file-open', 'camera-open']) button(id).disabled = !on;
  }

  async look() {
    if (this.opening) return;
    const { signal } = this.visit;
    this.opening = true;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1920 } }, audio: false });
      if (signal.aborted) stop(stream);
      else this.showCamera(stream);
    } catch {
      if (!signal.aborted) byId('status').textContent = translate('no_camera');
    } finally {
      this.opening = false;
    }
  }

  /** @param {MediaStream} stream */
  showCamera(stream) {
    this.stream = stream;
    /** @type {HTMLVideoElement} */ (byId('view')).srcObject = stream;
    dialog('camera').showModal();
  }

  take() {
    const video = /** @type {HTMLVideoElement} */ (byId('view'));
    const { signal } = this.visit;
    // The camera's first frame may not have come yet.
    if (!video.videoWidth) return;
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext('2d')?.drawImage(video, 0, 0);
    dialog('camera').close();
    canvas.toBlob((picture) => picture && !signal.aborted && this.send(picture), 'image/jpeg', JPEG_QUALITY);
  }

  /** Switch the camera off; its last frame goes too. */
  stop() {
    if (this.stream) stop(this.stream);
    this.stream = null;
    /** @type {HTMLVideoElement} */ (byId('view')).srcObject = null;
  }

  /** Nothing of the visitor stays, here or at the server. */
  async forget() {
    this.visit.abort();
    this.visit = new AbortController();
    this.stop();
    this.own = [];
    this.allow(true);
    if (!this.door) return;
    try {
      await fetch('/uploads', { method: 'DELETE' });
    } catch {
      // The server is away: it wipes them itself when the page has been gone for a while.
    }
  }
}

/** @param {MediaStream} stream */
function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}
