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
    const status = byId('status');
    if (picture.size > this.door.max_bytes) {
      status.textContent = translate('own_too_big');
      return;
    }
    status.textContent = translate('moment');
    for (const id of ['file-open', 'camera-open']) button(id).disabled = true;
    try {
      const reply = await fetch('/uploads', { method: 'POST', body: picture });
      if (reply.status !== 201) throw new Error(`${reply.status}`);
      const found = { ...(await reply.json()), title: translate('own') };
      this.own = [found, ...this.own];
      status.textContent = '';
      this.begin(found);
    } catch {
      status.textContent = translate('own_refused');
    }
    for (const id of ['file-open', 'camera-open']) button(id).disabled = false;
  }

  async look() {
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1920 } }, audio: false });
    } catch {
      byId('status').textContent = translate('no_camera');
      return;
    }
    const video = /** @type {HTMLVideoElement} */ (byId('view'));
    video.srcObject = this.stream;
    dialog('camera').showModal();
    await video.play();
  }

  take() {
    const video = /** @type {HTMLVideoElement} */ (byId('view'));
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext('2d')?.drawImage(video, 0, 0);
    dialog('camera').close();
    canvas.toBlob((picture) => picture && this.send(picture), 'image/jpeg', JPEG_QUALITY);
  }

  stop() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
  }

  /** Nothing of the visitor stays, here or at the server. */
  async forget() {
    this.stop();
    this.own = [];
    if (!this.door) return;
    try {
      await fetch('/uploads', { method: 'DELETE' });
    } catch {
      // The server is away: it wipes them itself when the page has been gone for a while.
    }
  }
}
