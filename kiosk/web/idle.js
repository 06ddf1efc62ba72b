// @ts-check
// Notices that a visitor has left: a warning that any touch ends, then a wipe.
import { dialog, byId } from './dom.js';

const CHECK_MS = 250;

/**
 * @param {{idle_s: number, warning_s: number}} settings
 * @param {() => boolean} hasVisitor whether a visitor may be there @param {() => void} wipe
 */
export function watchIdle(settings, hasVisitor, wipe) {
  let touched_ms = performance.now();
  for (const name of ['pointerdown', 'pointermove', 'keydown', 'wheel']) {
    addEventListener(name, () => {
      touched_ms = performance.now();
      if (dialog('idle').open) dialog('idle').close();
    }, { capture: true, passive: true });
  }
  byId('stay').addEventListener('click', () => dialog('idle').close());
  setInterval(() => {
    if (!hasVisitor()) return;
    const left_s = settings.idle_s + settings.warning_s - (performance.now() - touched_ms) / 1000;
    if (left_s <= 0) wipe();
    else if (left_s <= settings.warning_s) {
      byId('countdown').textContent = String(Math.ceil(left_s));
      if (!dialog('idle').open) dialog('idle').showModal();
    }
  }, CHECK_MS);
}
