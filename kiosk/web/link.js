// @ts-check
// The one WebSocket to the server: whole hint sets up, colours down. It reconnects by itself.

import { pageName, setPageName, takeLeftPage } from './page_name.js';

const RECONNECT_MS = [100, 250, 500, 1000, 2000];
const BUSY_RETRY_MS = 2000;
/** Close code of a server whose screens are all taken. */
const BUSY = 4001;

/**
 * @typedef {{seq: number, kind: 'planes' | 'jpeg', timings: Record<string, number>,
 *   colours: {L: number, swatches: [number, number, number][], current: [number, number],
 *     first: [number, number]} | null, outline?: {hint: number, polygons: [number, number][][]} | null}} Header
 */

/** Events: reply (detail {header, pixels}), message (detail: the server's JSON), up, down, busy. */
export class Link extends EventTarget {
  constructor() {
    super();
    this.seq = 0;
    this.failures = 0;
    /** The page that was in this tab before: this one takes over its screen. */
    this.after = takeLeftPage();
    /** @type {WebSocket | null} */
    this.socket = null;
    this.connect();
  }

  get up() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  connect() {
    const address = new URL('touches', document.baseURI);
    address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    // A page that only lost its link keeps its visit, and what it brought. Any other page begins a new one.
    if (pageName()) address.searchParams.set('page', pageName());
    else if (this.after) address.searchParams.set('after', this.after);
    const socket = new WebSocket(address);
    socket.binaryType = 'arraybuffer';
    this.socket = socket;
    socket.addEventListener('message', (event) => this.onMessage(event.data));
    socket.addEventListener('close', (event) => {
      const busy = event.code === BUSY;
      this.dispatchEvent(new Event(busy ? 'busy' : 'down'));
      const pause_ms = busy ? BUSY_RETRY_MS : RECONNECT_MS[Math.min(this.failures, RECONNECT_MS.length - 1)];
      this.failures += 1;
      setTimeout(() => this.connect(), pause_ms);
    });
  }

  /** @param {string | ArrayBuffer} data */
  onMessage(data) {
    if (typeof data === 'string') {
      const message = JSON.parse(data);
      if (message.type === 'welcome') {
        this.failures = 0;
        setPageName(message.page);
        this.dispatchEvent(new Event('up'));
      }
      this.dispatchEvent(new CustomEvent('message', { detail: message }));
      return;
    }
    const length = new DataView(data).getUint32(0, true);
    /** @type {Header} */
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    this.dispatchEvent(new CustomEvent('reply', { detail: { header, pixels: data.slice(4 + length) } }));
  }

  /**
   * Send the picture as it should be. The message is lost while the link is down; the sender repeats it at `up`.
   * @param {Record<string, unknown>} edit @returns {number} the message's number
   */
  send(edit) {
    this.seq += 1;
    this.post(edit, this.seq);
    return this.seq;
  }

  /** @param {Record<string, unknown>} edit @param {number} seq */
  post(edit, seq) {
    if (this.up) this.socket?.send(JSON.stringify({ type: 'edit', ...edit, seq }));
  }

  /** Ask where another colour would help the newest edit most; null: nothing is wanted any more. @param {Record<string, unknown> | null} edit */
  askNext(edit) {
    const message = { type: 'next', edit: edit && { type: 'edit', ...edit, seq: this.seq } };
    if (this.up) this.socket?.send(JSON.stringify(message));
  }

  /** Send a heartbeat. @param {Record<string, unknown>} facts */
  beat(facts) {
    if (this.up) this.socket?.send(JSON.stringify({ type: 'beat', ...facts }));
  }
}
