// @ts-check
// Why colours cannot be computed in the page.

/** old: the browser; missing: no file is there; away: no network; damaged: the file. @typedef {'old' | 'missing' | 'away' | 'damaged'} Reason */
/** What cannot be used: the page, or a picture. @typedef {'page' | 'picture'} Part */

/** The message is for the console. */
export class TouchError extends Error {
  /** @param {Part} part @param {Reason} reason @param {string} message */
  constructor(part, reason, message) {
    super(message);
    this.name = 'TouchError';
    this.part = part;
    this.reason = reason;
  }
}
