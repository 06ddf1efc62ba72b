// @ts-check
// The one WebSocket: whole hint sets up, colours down. Comes back by itself.

const BACK_OFF_MS = [100, 250, 500, 1000, 2000];
const BUSY = 4001;

/**
 * @typedef {{seq: number, kind: 'planes' | 'jpeg', timings: Record<string, number>,
 *   colours: {L: number, swatches: [number, number, number][], current: [number, number]} | null}} Header
 */

/** Events: reply (detail {header, pixels}), message (detail: the server's JSON), up, down, busy. */
export class Link extends EventTarget {
  constructor() {
    super();
    this.seq = 0;
    this.tries = 0;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.connect();
  }

  get up() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  connect() {
    const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/touches`);
    socket.binaryType = 'arraybuffer';
    this.socket = socket;
    socket.addEventListener('message', (event) => this.onMessage(event.data));
    socket.addEventListener('close', (event) => {
      this.dispatchEvent(new Event(event.code === BUSY ? 'busy' : 'down'));
      const pause = event.code === BUSY ? 2000 : BACK_OFF_MS[Math.min(this.tries, BACK_OFF_MS.length - 1)];
      this.tries += 1;
      setTimeout(() => this.connect(), pause);
    });
  }

  /** @param {string | ArrayBuffer} data */
  onMessage(data) {
    if (typeof data === 'string') {
      const message = JSON.parse(data);
      if (message.type === 'welcome') {
        this.tries = 0;
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

  /** Say what the picture should be; lost where the link is down, so it is said again at `up`. @param {Record<string, unknown>} edit */
  send(edit) {
    this.seq += 1;
    if (this.up) this.socket?.send(JSON.stringify({ type: 'edit', ...edit, seq: this.seq }));
    return this.seq;
  }

  /** @param {Record<string, unknown>} facts */
  beat(facts) {
    if (this.up) this.socket?.send(JSON.stringify({ type: 'beat', ...facts }));
  }
}
