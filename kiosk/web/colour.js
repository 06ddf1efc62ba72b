// @ts-check
// CIELAB and sRGB as in engine/colour/cielab.py (D65, 2 degrees), held equal by tests, and the names of colours.

/** Rows of the matrix from XYZ to linear sRGB: the inverse that engine/colour/cielab.py computes, times its white. */
export const RGB_FROM_XYZ = [
  [3.079980302, -1.537151516, -0.542821308],
  [-0.921247752, 1.875990001, 0.045247340],
  [0.052890461, -0.204041338, 1.151232012],
];
const GAMUT_SLACK = 1.5e-4;
/** Rims of swatches have at least this L, and dark colours at most this chroma. */
const MIN_RIM_L = 60;
const MAX_RIM_CHROMA = 34;
/** The field of colours is shown with at least this L, and its chroma multiplied by at most this. */
const MIN_FIELD_L = 45;
const MAX_FIELD_GAIN = 2;

/** @param {number} f */
const expand = (f) => (f > 0.2068966 ? f ** 3 : (f - 16 / 116) / 7.787);

/** CIELAB to linear-light sRGB, unclipped. @param {number} L @param {number} a @param {number} b */
function labToLinear(L, a, b) {
  const y = (L + 16) / 116;
  const xyz = [expand(y + a / 500), expand(y), expand(Math.max(y - b / 200, 0))];
  return RGB_FROM_XYZ.map((row) => row[0] * xyz[0] + row[1] * xyz[1] + row[2] * xyz[2]);
}

/** CIELAB to gamma-encoded sRGB in 0…1. @param {number} L @param {number} a @param {number} b */
export function labToSrgb(L, a, b) {
  return labToLinear(L, a, b).map((v) => {
    const c = Math.min(1, Math.max(0, v));
    return c > 0.0031308 ? 1.055 * c ** (1 / 2.4) - 0.055 : 12.92 * c;
  });
}

/** CIELAB to sRGB bytes. @param {number} L @param {number} a @param {number} b */
export function labToBytes(L, a, b) {
  return labToSrgb(L, a, b).map((v) => Math.round(255 * v));
}

/** @param {number} L @param {number} a @param {number} b */
export function inGamut(L, a, b) {
  return labToLinear(L, a, b).every((v) => v >= -GAMUT_SLACK && v <= 1 + GAMUT_SLACK);
}

/**
 * ab reduced towards grey until sRGB can show it at L, to 2^-steps of its chroma.
 * @param {number} L @param {number} a @param {number} b @param {number} [steps] @returns {[number, number]}
 */
export function project(L, a, b, steps = 20) {
  if (inGamut(L, a, b)) return [a, b];
  let low = 0;
  let high = 1;
  for (let i = 0; i < steps; i += 1) {
    const middle = (low + high) / 2;
    if (inGamut(L, a * middle, b * middle)) low = middle;
    else high = middle;
  }
  return [a * low, b * low];
}

/** The smallest square of ab that holds every colour sRGB can show at L: its centre and half its side. @param {number} L */
export function extent(L) {
  const [a, b] = [[Infinity, -Infinity], [Infinity, -Infinity]];
  for (let hue = 0; hue < 360; hue += 3) {
    const angle = (hue * Math.PI) / 180;
    const [p, q] = project(L, 140 * Math.cos(angle), 140 * Math.sin(angle));
    [a[0], a[1], b[0], b[1]] = [Math.min(a[0], p), Math.max(a[1], p), Math.min(b[0], q), Math.max(b[1], q)];
  }
  return { a: (a[0] + a[1]) / 2, b: (b[0] + b[1]) / 2, reach: Math.max(8, a[1] - a[0], b[1] - b[0]) / 2 * 1.06 };
}

/** @param {number} L @param {number} a @param {number} b */
export function css(L, a, b) {
  return `rgb(${labToBytes(L, a, b).join(' ')})`;
}

/**
 * A colour for the rim of a swatch: a dark one is lightened until its hue can be told.
 * @param {number} L @param {number} a @param {number} b
 */
export function cssHue(L, a, b) {
  const rimL = Math.max(L, MIN_RIM_L);
  const gain = Math.min(rimL / Math.max(L, 12), Math.max(1, MAX_RIM_CHROMA / Math.max(1, Math.hypot(a, b))));
  return css(rimL, ...project(rimL, a * gain, b * gain));
}

/**
 * A colour of a dark place, brightened so that its hue can be told: for the field of colours alone.
 * @param {number} L @param {number} a @param {number} b @returns {[number, number, number]} L, a, b
 */
export function brightened(L, a, b) {
  if (L >= MIN_FIELD_L) return [L, a, b];
  const gain = Math.min(MAX_FIELD_GAIN, MIN_FIELD_L / Math.max(L, 1));
  return [MIN_FIELD_L, a * gain, b * gain];
}

/** L of a grey sRGB byte. @param {number} byte */
export function lightnessOf(byte) {
  const s = byte / 255;
  const y = s > 0.04045 ? ((s + 0.055) / 1.055) ** 2.4 : s / 12.92;
  return y > 0.008856 ? 116 * Math.cbrt(y) - 16 : 903.292 * y;
}

/** The bits of a half float. Only for 0 and numbers from 2^-14 to 65504. @param {number} value */
export function toHalf(value) {
  // Adding half of the last place makes the cut below round to the nearest.
  const bits = new Uint32Array(new Float32Array([value]).buffer)[0] + 0x1000;
  return value === 0 ? 0 : ((bits >>> 16) & 0x8000) | (((bits >>> 23 & 255) - 112) << 10) | (bits >>> 13 & 0x3ff);
}

/** The number behind the bits of a half float that is neither infinite nor NaN. @param {number} bits */
export function fromHalf(bits) {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction;
  return bits & 0x8000 ? -size : size;
}

/**
 * The name of a colour: [shade, name], both keys of the language files.
 * @param {number} L @param {number} a @param {number} b @returns {[string, string]}
 */
export function nameOf(L, a, b) {
  const chroma = Math.hypot(a, b);
  if (chroma < 7) return [shadeOf(L, 30), 'grey_name'];
  const hue = ((Math.atan2(b, a) * 180) / Math.PI + 360) % 360;
  const dull = chroma < 28, muted = chroma < 40;
  /** @type {[number, string][]} */
  const names = [
    [15, L > 62 ? 'pink' : 'red'], [45, L > 70 ? 'pink' : dull ? 'brown' : 'red'],
    [72, dull && L > 62 ? 'beige' : L < (muted ? 70 : 55) || dull ? 'brown' : 'orange'],
    [98, dull && L > 68 ? 'beige' : L < 70 || dull ? 'ochre' : 'yellow'],
    [122, L < 60 || dull ? 'olive' : 'yellow_green'],
    [165, 'green'], [220, 'teal'], [chroma > 60 ? 307 : L > 70 && dull ? 283 : 296, 'blue'], [330, 'purple'],
    [361, L > 55 ? 'pink' : 'purple'],
  ];
  const found = names.find(([limit]) => hue < limit);
  return [shadeOf(L, chroma), found ? found[1] : 'red'];
}

/** The shade of a colour, by its most striking quality. @param {number} L @param {number} chroma */
function shadeOf(L, chroma) {
  if (L < 35) return 'dark';
  if (chroma > 55) return 'vivid';
  if (L > 78) return 'light';
  return chroma < 20 ? 'dull' : L > 72 ? 'light' : 'plain';
}
