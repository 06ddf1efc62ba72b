// @ts-check
// Lines of the brush and outlines of regions, drawn over the picture.
import { byId } from './dom.js';

/** @typedef {import('./strokes.js').Line} Line */

/**
 * Show lines and outlines; none where there are none.
 * @param {import('./stage.js').Stage} stage @param {Line[]} lines open ones @param {Line[]} polygons closed ones
 * @param {string} colour of the lines, in CSS
 */
export function showShapes(stage, lines, polygons, colour) {
  const drawn = lines.filter((line) => line.length > 1).map((line) => path(stage, line)).join('');
  const outlined = polygons.map((line) => `${path(stage, line)}Z`).join('');
  for (const part of byId('shapes').children) part.setAttribute('d', part.classList.contains('line') ? drawn : outlined);
  byId('shapes').style.setProperty('--colour', colour);
}

/** @param {import('./stage.js').Stage} stage @param {Line} line */
function path(stage, line) {
  const { x, y, w, h } = stage.frame;
  return `M${line.map(([u, v]) => `${(x + u * w).toFixed(1)} ${(y + v * h).toFixed(1)}`).join('L')}`;
}
