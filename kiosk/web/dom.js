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

/** An arrow key as a step of the photograph. @param {KeyboardEvent} event @returns {[number, number] | null} */
export function arrow(event) {
  const step = event.shiftKey ? 0.05 : 0.01;
  /** @type {Record<string, [number, number]>} */
  const steps = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  return steps[event.key] ?? null;
}
