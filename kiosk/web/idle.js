// @ts-check
// A visitor who leaves: a warning that any touch extends, then a wipe.
import { dialog, byId } from './dom.js';

const CHECK_MS = 250;

/** @param {{idle_s: number, warning_s: number}} settings @param {() => boolean} visited whether a visitor may be there @param {() => void} wipe */
export function watchIdle(settings, visited, wipe) {
  let touched = performance.now();
  for (const name of ['pointerdown', 'pointermove', 'keydown', 'wheel']) {
    addEventListener(name, () => {
      touched = performance.now();
      if (dialog('idle').open) dialog('idle').close();
    }, { capture: true, passive: true });
  }
  byId('stay').addEventListener('click', () => dialog('idle').close());
  setInterval(() => {
    if (!visited()) return;
    const left = settings.idle_s + settings.warning_s - (performance.now() - touched) / 1000;
    if (left <= 0) wipe();
    else if (left <= settings.warning_s) {
      byId('countdown').textContent = String(Math.ceil(left));
      if (!dialog('idle').open) dialog('idle').showModal();
    }
  }, CHECK_MS);
}
