// @ts-check
// Small helpers that every part of the page uses.

/** @template {HTMLElement} T @param {string} id @returns {T} */
export const byId = (id) => /** @type {T} */ (document.getElementById(id));

/** @param {string} id @returns {HTMLButtonElement} */
export const button = (id) => /** @type {HTMLButtonElement} */ (byId(id));

/** @param {string} id @returns {HTMLDialogElement} */
export const dialog = (id) => /** @type {HTMLDialogElement} */ (byId(id));

/** @param {number} v @param {number} low @param {number} high */
export const clamp = (v, low = 0, high = 1) => Math.min(high, Math.max(low, v));

/**
 * The step of an arrow key as a share of the photograph's sides, null for other keys.
 * @param {KeyboardEvent} event @returns {[number, number] | null}
 */
export function arrowStep(event) {
  const step = event.shiftKey ? 0.05 : 0.01;
  /** @type {Record<string, [number, number]>} */
  const steps = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  return steps[event.key] ?? null;
}

/** Colour of the canvas around the photograph, sRGB 0…1. @returns {[number, number, number]} */
export function backgroundColour() {
  return document.documentElement.dataset.contrast === 'high' ? [0, 0, 0] : [0.075, 0.067, 0.059];
}
