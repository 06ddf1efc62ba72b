// @ts-check
// A visitor's own picture, from a file or the exhibit's camera, where the settings allow it (docs/kiosk.md).
import { button, dialog, byId } from './dom.js';
import { translate } from './language.js';
import { pageHeaders } from './page_name.js';
import { say } from './status.js';

/** @typedef {import('./gallery.js').Picture} Picture */
/** @typedef {{camera: boolean, max_bytes: number, max_megapixels: number, types: string[]}} UploadSettings */

const JPEG_QUALITY = 0.92;
const CAMERA_WIDTH_PX = 1920;
/** The server's answer to a picture with too many bytes or pixels. */
const TOO_LARGE = 413;

export class Uploads {
  /** @param {UploadSettings | null | undefined} settings null: uploads are off @param {(picture: Picture) => void} begin */
  constructor(settings, begin) {
    this.settings = settings;
    this.begin = begin;
    this.video = /** @type {HTMLVideoElement} */ (byId('view'));
    /** Pictures that the server keeps for this visitor, newest first. @type {Picture[]} */
    this.own = [];
    /** @type {MediaStream | null} */
    this.stream = null;
    /** The camera has been asked for and has not answered yet. */
    this.cameraRequested = false;
    /** Aborted when the visitor leaves: what arrives after that is not shown to the next one. */
    this.visit = new AbortController();
    byId('own').hidden = !settings;
    byId('camera-open').hidden = !settings?.camera;
    if (settings) this.listen(settings);
  }

  /** @param {UploadSettings} settings */
  listen({ types }) {
    const input = /** @type {HTMLInputElement} */ (byId('file'));
    input.accept = types.join();
    byId('file-open').addEventListener('click', () => input.click());
    input.addEventListener('change', async () => {
      const file = input.files?.[0];
      // Choosing the same file again must fire another event.
      input.value = '';
      if (file) await this.send(file);
    });
    byId('camera-open').addEventListener('click', () => this.openCamera());
    byId('camera-take').addEventListener('click', () => this.takePhotograph());
    byId('camera-close').addEventListener('click', () => dialog('camera').close());
    dialog('camera').addEventListener('close', () => this.closeCamera());
  }

  /** Upload a picture and open it. @param {Blob} picture */
  async send(picture) {
    if (!this.settings) return;
    const { signal } = this.visit;
    const beside = byId(picture instanceof File ? 'file-open' : 'camera-open');
    if (picture.size > this.settings.max_bytes) {
      say(tooLarge(this.settings), { beside });
      return;
    }
    say(translate('moment'), { beside, stays: true });
    setEnabled(false);
    try {
      const reply = await fetch('uploads', { method: 'POST', body: picture, headers: pageHeaders(), signal });
      if (reply.status !== 201) {
        signal.throwIfAborted();
        say(reply.status === TOO_LARGE ? tooLarge(this.settings) : translate('own_refused'), { beside });
        setEnabled(true);
        return;
      }
      const found = await reply.json();
      signal.throwIfAborted();
      this.own = [found, ...this.own];
      say('');
      this.begin(found);
    } catch {
      if (signal.aborted) return;
      say(translate('own_refused'), { beside });
    }
    setEnabled(true);
  }

  async openCamera() {
    if (this.cameraRequested) return;
    const { signal } = this.visit;
    this.cameraRequested = true;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: CAMERA_WIDTH_PX } }, audio: false });
      if (signal.aborted) stopTracks(stream);
      else this.showCamera(stream);
    } catch {
      if (!signal.aborted) say(translate('no_camera'), { beside: byId('camera-open') });
    } finally {
      this.cameraRequested = false;
    }
  }

  /** @param {MediaStream} stream */
  showCamera(stream) {
    this.stream = stream;
    this.video.srcObject = stream;
    dialog('camera').showModal();
  }

  takePhotograph() {
    const { video } = this;
    const { signal } = this.visit;
    // The camera's first frame may not have come yet.
    if (!video.videoWidth) return;
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext('2d')?.drawImage(video, 0, 0);
    dialog('camera').close();
    canvas.toBlob((picture) => picture && !signal.aborted && this.send(picture), 'image/jpeg', JPEG_QUALITY);
  }

  /** Switch the camera off and drop its last frame. */
  closeCamera() {
    if (this.stream) stopTracks(this.stream);
    this.stream = null;
    this.video.srcObject = null;
  }

  /** Keep nothing of the visitor who left, here or at the server. */
  async forget() {
    this.visit.abort();
    this.visit = new AbortController();
    this.closeCamera();
    this.own = [];
    setEnabled(true);
    if (!this.settings) return;
    try {
      await fetch('uploads', { method: 'DELETE', headers: pageHeaders() });
    } catch {
      // The server is away: it wipes the pictures itself when the page has been gone for a while.
    }
  }
}

/** A sentence with the limits. @param {UploadSettings} settings */
const tooLarge = ({ max_bytes, max_megapixels }) => translate('own_too_big')
  .replace('{mib}', String(Math.round(max_bytes / 2 ** 20))).replace('{megapixels}', String(Math.round(max_megapixels)));

/** @param {boolean} enabled whether a picture can be chosen or taken */
function setEnabled(enabled) {
  for (const id of ['file-open', 'camera-open']) button(id).disabled = !enabled;
}

/** @param {MediaStream} stream */
function stopTracks(stream) {
  for (const track of stream.getTracks()) track.stop();
}
