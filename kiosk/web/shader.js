// @ts-check
// The shader that joins L and ab on screen: ab is enlarged as in engine/image/compose.py (bilinear) or
// engine/image/guided.py (guided), Lab becomes sRGB as in engine/colour/cielab.py. Tests hold them equal.

/** Side of the ab planes in pixels. */
export const PLANE = 256;
// As in engine/image/guided.py.
const SIGMA_L = 20;
const MIN_WEIGHT = 1e-3;

/** How ab is found at a place of the photograph, where L is given. @typedef {'bilinear' | 'guided'} Upsampling */

export const VERTEX = `#version 300 es
in vec2 corner; uniform vec4 rect; uniform vec2 size; out vec2 at;
void main() { at = corner; vec2 p = (rect.xy + corner * rect.zw) / size * 2.0 - 1.0; gl_Position = vec4(p.x, -p.y, 0, 1); }`;

/** @type {Record<Upsampling, string>} */
const ENLARGE = {
  bilinear: 'vec2 enlarge(float L) { return texture(planes, at).rg; }',
  guided: `uniform sampler2D cells;
vec3 weighted(ivec2 cell, float share, float L) {
  float difference = L - texelFetch(cells, cell, 0).r;
  return share * (exp(difference * difference * ${-0.5 / SIGMA_L ** 2}) + ${MIN_WEIGHT}) * vec3(texelFetch(planes, cell, 0).rg, 1.0);
}
vec2 enlarge(float L) {
  vec2 centre = clamp(at * ${PLANE}.0 - 0.5, 0.0, ${PLANE - 1}.0), before = floor(centre), s = centre - before;
  ivec2 p = ivec2(before), q = min(p + 1, ${PLANE - 1});
  vec3 sums = weighted(p, (1.0 - s.x) * (1.0 - s.y), L) + weighted(ivec2(q.x, p.y), s.x * (1.0 - s.y), L)
    + weighted(ivec2(p.x, q.y), (1.0 - s.x) * s.y, L) + weighted(q, s.x * s.y, L);
  return sums.xy / sums.z;
}`,
};

// The photograph is grey: a table from its one channel to (L + 16) / 116 saves a third of the arithmetic.
/** @param {Upsampling} upsampling */
export const fragment = (upsampling) => `#version 300 es
precision highp float;
precision highp sampler2D;
uniform sampler2D photo, planes, lightnesses; uniform float colour, split, aspect; uniform vec3 reveal, lens; uniform mat3 fromXyz;
in vec2 at; out vec4 pixel;
${ENLARGE[upsampling]}
float expand(float f) { return f > 0.2068966 ? f * f * f : (f - 16.0 / 116.0) / 7.787; }
void main() {
  if (lens.z > 0.0 && distance(gl_FragCoord.xy, lens.xy) > lens.z) discard;
  float fy = texture(lightnesses, vec2((texture(photo, at).r * 255.0 + 0.5) / 256.0, 0.5)).r;
  float share = colour * step(split, at.x);
  if (reveal.z >= 0.0) share *= 1.0 - smoothstep(reveal.z * 0.72, reveal.z, length((at - reveal.xy) * vec2(aspect, 1.0)));
  vec2 ab = enlarge(fy * 116.0 - 16.0) * share;
  vec3 xyz = vec3(expand(fy + ab.x / 500.0), expand(fy), expand(max(fy - ab.y / 200.0, 0.0)));
  vec3 rgb = clamp(fromXyz * xyz, 0.0, 1.0);
  pixel = vec4(mix(rgb * 12.92, 1.055 * pow(max(rgb, 0.0031308), vec3(1.0 / 2.4)) - 0.055, step(0.0031308, rgb)), 1);
}`;
