// @ts-check
// The photograph on screen. WebGL: light from the photograph's texture, colour from the ab planes, joined in a
// shader (ab enlarged as engine/image/compose.py and engine/image/guided.py, Lab to sRGB as engine/colour/cielab.py). Where WebGL is missing
// or slow: jpeg.js.
import { cellLight } from './cells.js';
import { RGB_FROM_XYZ, lightnessOf, toHalf } from './colour.js';
import { backdrop } from './jpeg.js';

/**
 * What to draw. `rect`: the photograph in canvas pixels (x, y, w, h). `colour` 0…1: 0 is grey. `split`: the part
 * left of it is grey, −1 for none. `reveal`: colour inside a circle (x, y of the photograph, radius in its heights).
 * `lens`: a circle of the canvas (pixels) that shows the place `at` of the photograph `zoom` times larger.
 * @typedef {{rect: [number, number, number, number], colour: number, split: number,
 *   reveal: [number, number, number] | null, lens?: Lens | null}} Scene
 * @typedef {{x: number, y: number, radius: number, at: [number, number], zoom: number}} Lens
 * @typedef {Composite | import('./jpeg.js').JpegCanvas} View
 */

const VERTEX = `#version 300 es
in vec2 corner; uniform vec4 rect; uniform vec2 size; out vec2 at;
void main() { at = corner; vec2 p = (rect.xy + corner * rect.zw) / size * 2.0 - 1.0; gl_Position = vec4(p.x, -p.y, 0, 1); }`;

const PLANE = 256;
const [PHOTO_UNIT, PLANES_UNIT, LIGHTNESSES_UNIT, CELLS_UNIT] = [0, 1, 2, 3];
// As in engine/image/guided.py.
const ALIKE_L = 20;
const MIN_WEIGHT = 1e-3;

/** How ab is found at a place of the photograph, where L is given. @typedef {'bilinear' | 'guided'} Upsampling */
/** @type {Record<Upsampling, string>} */
const ENLARGE = {
  bilinear: 'vec2 enlarge(float L) { return texture(planes, at).rg; }',
  guided: `uniform sampler2D cells;
vec3 lent(ivec2 cell, float share, float L) {
  float apart = L - texelFetch(cells, cell, 0).r;
  return share * (exp(apart * apart * ${-0.5 / ALIKE_L ** 2}) + ${MIN_WEIGHT}) * vec3(texelFetch(planes, cell, 0).rg, 1.0);
}
vec2 enlarge(float L) {
  vec2 centre = clamp(at * ${PLANE}.0 - 0.5, 0.0, ${PLANE - 1}.0), before = floor(centre), s = centre - before;
  ivec2 p = ivec2(before), q = min(p + 1, ${PLANE - 1});
  vec3 sums = lent(p, (1.0 - s.x) * (1.0 - s.y), L) + lent(ivec2(q.x, p.y), s.x * (1.0 - s.y), L)
    + lent(ivec2(p.x, q.y), (1.0 - s.x) * s.y, L) + lent(q, s.x * s.y, L);
  return sums.xy / sums.z;
}`,
};

// The photograph is grey, so one channel and a table give (L + 16) / 116: a third of the arithmetic.
/** @param {Upsampling} upsampling */
const fragment = (upsampling) => `#version 300 es
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

/** WebGL2 composite. */
export class Composite {
  /** @param {HTMLCanvasElement} canvas @param {Upsampling} upsampling */
  constructor(canvas, upsampling) {
    this.canvas = canvas;
    this.upsampling = upsampling;
    this.kind = /** @type {'planes' | 'jpeg'} */ ('planes');
    /** Drawing costs more than a frame: the stage draws coarser while fingers move. */
    this.slow = false;
    this.lost = false;
    /** @type {ImageBitmap | null} */
    this.image = null;
    /** @type {Uint16Array | null} */
    this.planes = null;
    /** @type {WebGLProgram | null} */
    this.program = null;
    /** By texture unit. @type {Map<number, WebGLTexture>} */
    this.textures = new Map();
    const gl = canvas.getContext('webgl2', { alpha: false, antialias: false, depth: false });
    if (!gl) throw new Error('no WebGL2');
    this.gl = gl;
    this.build();
    canvas.addEventListener('webglcontextlost', (event) => { event.preventDefault(); this.lost = true; });
    canvas.addEventListener('webglcontextrestored', () => {
      this.lost = false;
      this.build();
      if (this.image) this.setPhoto(this.image);
      if (this.planes) this.setPlanes(this.planes);
      canvas.dispatchEvent(new Event('redraw'));
    });
  }

  build() {
    const gl = this.gl;
    const program = /** @type {WebGLProgram} */ (gl.createProgram());
    for (const [kind, source] of /** @type {[number, string][]} */ ([[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, fragment(this.upsampling)]])) {
      const shader = /** @type {WebGLShader} */ (gl.createShader(kind));
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
      // The program keeps it as long as it is needed.
      gl.deleteShader(shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? 'no shader');
    gl.useProgram(program);
    this.program = program;
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([0, 0, 1, 0, 0, 1, 1, 1]), gl.STATIC_DRAW);
    const corner = gl.getAttribLocation(program, 'corner');
    gl.enableVertexAttribArray(corner);
    gl.vertexAttribPointer(corner, 2, gl.FLOAT, false, 0, 0);
    this.texture(PLANES_UNIT, gl.LINEAR);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RG16F, PLANE, PLANE, 0, gl.RG, gl.HALF_FLOAT, new Uint16Array(PLANE * PLANE * 2));
    this.texture(LIGHTNESSES_UNIT, gl.LINEAR);
    const lightnesses = Uint16Array.from({ length: 256 }, (_, byte) => toHalf((lightnessOf(byte) + 16) / 116));
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R16F, 256, 1, 0, gl.RED, gl.HALF_FLOAT, lightnesses);
    for (const [unit, name] of ['photo', 'planes', 'lightnesses', 'cells'].entries()) gl.uniform1i(this.at(name), unit);
    gl.uniformMatrix3fv(this.at('fromXyz'), true, RGB_FROM_XYZ.flat());
  }

  /** @param {string} name */
  at(name) {
    return this.program ? this.gl.getUniformLocation(this.program, name) : null;
  }

  /** Put a new texture into `unit` and delete the one before. @param {number} unit @param {number} small @param {number} [large] filters */
  texture(unit, small, large = this.gl.LINEAR) {
    const gl = this.gl;
    this.deleteTexture(unit);
    const texture = /** @type {WebGLTexture} */ (gl.createTexture());
    this.textures.set(unit, texture);
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, small);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, large);
  }

  /** @param {number} unit */
  deleteTexture(unit) {
    this.gl.deleteTexture(this.textures.get(unit) ?? null);
    this.textures.delete(unit);
  }

  /** The grey photograph; what colours the last one had are gone. @param {ImageBitmap} image */
  setPhoto(image) {
    const gl = this.gl;
    this.image = image;
    this.texture(PHOTO_UNIT, gl.LINEAR_MIPMAP_LINEAR);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, gl.RED, gl.UNSIGNED_BYTE, image);
    gl.generateMipmap(gl.TEXTURE_2D);
    if (this.upsampling !== 'guided') return;
    this.texture(CELLS_UNIT, gl.NEAREST, gl.NEAREST);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R32F, PLANE, PLANE, 0, gl.RED, gl.FLOAT, cellLight(image, PLANE));
  }

  /** Half floats [256, 256, 2]. @param {Uint16Array} planes */
  setPlanes(planes) {
    const gl = this.gl;
    this.planes = planes;
    gl.activeTexture(gl.TEXTURE0 + PLANES_UNIT);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, PLANE, PLANE, gl.RG, gl.HALF_FLOAT, planes);
  }

  clearColours() {
    this.setPlanes(new Uint16Array(PLANE * PLANE * 2));
  }

  /** Drop the photograph, which belongs to the stage, its textures and its colours. */
  clear() {
    this.image = null;
    this.clearColours();
    for (const unit of [PHOTO_UNIT, CELLS_UNIT]) this.deleteTexture(unit);
  }

  /** The end of this view: give everything back to the GPU. */
  dispose() {
    this.clear();
    for (const unit of this.textures.keys()) this.deleteTexture(unit);
    this.gl.deleteProgram(this.program);
    this.gl.getExtension('WEBGL_lose_context')?.loseContext();
  }

  /** @param {Scene} scene */
  draw(scene) {
    if (this.lost) return;
    const gl = this.gl;
    const { width, height } = this.canvas;
    gl.viewport(0, 0, width, height);
    gl.clearColor(...backdrop(), 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (!this.image) return;
    gl.uniform4f(this.at('rect'), ...scene.rect);
    gl.uniform2f(this.at('size'), width, height);
    gl.uniform1f(this.at('colour'), scene.colour);
    gl.uniform1f(this.at('split'), scene.split);
    gl.uniform1f(this.at('aspect'), this.image.width / this.image.height);
    gl.uniform3f(this.at('reveal'), ...(scene.reveal ?? [0, 0, -1]));
    gl.uniform3f(this.at('lens'), 0, 0, 0);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    if (scene.lens) this.drawLens(scene.rect, scene.lens);
  }

  /** @param {Scene['rect']} rect @param {Lens} lens */
  drawLens(rect, lens) {
    const gl = this.gl;
    const [w, h] = [rect[2] * lens.zoom, rect[3] * lens.zoom];
    const [left, bottom] = [lens.x - lens.radius, this.canvas.height - lens.y - lens.radius];
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(Math.floor(left), Math.floor(bottom), Math.ceil(lens.radius * 2) + 1, Math.ceil(lens.radius * 2) + 1);
    gl.uniform3f(this.at('lens'), lens.x, this.canvas.height - lens.y, lens.radius);
    gl.uniform4f(this.at('rect'), lens.x - lens.at[0] * w, lens.y - lens.at[1] * h, w, h);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    gl.disable(gl.SCISSOR_TEST);
  }

  /** Draw and read the canvas back, RGBA rows from the top. @param {Scene} scene */
  read(scene) {
    this.draw(scene);
    const gl = this.gl;
    const { width, height } = this.canvas;
    const pixels = new Uint8Array(width * height * 4);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    const upright = new Uint8Array(pixels.length);
    for (let y = 0; y < height; y += 1) upright.set(pixels.subarray(y * width * 4, (y + 1) * width * 4), (height - 1 - y) * width * 4);
    return upright;
  }
}
