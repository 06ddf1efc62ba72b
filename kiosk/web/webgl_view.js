// @ts-check
// The photograph on screen by WebGL: L from the photograph's texture, ab from the planes, joined in a shader. Where
// WebGL is missing or slow, jpeg_view.js does the same with JPEGs (see choose_view.js).
import { cellLightness } from './cell_lightness.js';
import { RGB_FROM_XYZ, lightnessOf, toHalf } from './colour.js';
import { backgroundColour } from './dom.js';
import { PLANE, VERTEX, fragment } from './shader.js';

/**
 * What to draw. `rect`: the photograph in canvas pixels (x, y, w, h). `colour` 0…2: factor of ab; 0 is grey. A
 * JPEG has its factor in its pixels, so there it is 0 or 1. `split`: the photograph is
 * grey left of this share of its width, −1 for nowhere. `reveal`: it has colour inside a circle alone (x, y as shares of
 * its sides, radius in its heights). `lens`: a circle of the canvas, in pixels, that shows the place `at` of the
 * photograph `zoom` times larger.
 * @typedef {{rect: [number, number, number, number], colour: number, split: number,
 *   reveal: [number, number, number] | null, lens?: Lens | null}} Scene
 * @typedef {{x: number, y: number, radius: number, at: [number, number], zoom: number}} Lens
 * @typedef {WebglView | import('./jpeg_view.js').JpegView} View
 * @typedef {import('./shader.js').Upsampling} Upsampling
 */

// Texture units, by the names of the shader's samplers.
const UNITS = { photo: 0, planes: 1, lightnesses: 2, cells: 3 };
/** @typedef {keyof typeof UNITS} TextureName */
/** A lost context that has not come back after this long is given up. */
const LOST_MS = 3000;

/** Its canvas has two events of its own: redraw (the context is back), gone (it does not come back). */
export class WebglView {
  /** @param {HTMLCanvasElement} canvas @param {Upsampling} upsampling */
  constructor(canvas, upsampling) {
    this.canvas = canvas;
    this.upsampling = upsampling;
    this.kind = /** @type {'planes' | 'jpeg'} */ ('planes');
    /** Drawing takes a large part of a frame: the stage draws with fewer pixels while fingers move. */
    this.slow = false;
    /** Time to draw a frame as measured at the start, null before. @type {number | null} */
    this.draw_ms = null;
    this.lost = false;
    this.lostTimer = 0;
    /** Belongs to the stage. @type {ImageBitmap | null} */
    this.image = null;
    /** @type {Uint16Array | null} */
    this.planes = null;
    /** @type {WebGLProgram | null} */
    this.program = null;
    /** @type {Map<TextureName, WebGLTexture>} */
    this.textures = new Map();
    const gl = canvas.getContext('webgl2', { alpha: false, antialias: false, depth: false });
    if (!gl) throw new Error('no WebGL2');
    this.gl = gl;
    this.setUp();
    canvas.addEventListener('webglcontextlost', (event) => {
      event.preventDefault();
      this.lost = true;
      this.lostTimer = setTimeout(() => canvas.dispatchEvent(new Event('gone')), LOST_MS);
    });
    canvas.addEventListener('webglcontextrestored', () => {
      clearTimeout(this.lostTimer);
      try {
        this.restore();
      } catch (error) {
        console.warn('WebGL cannot be used any more:', error);
        canvas.dispatchEvent(new Event('gone'));
      }
    });
  }

  setUp() {
    const gl = this.gl;
    this.program = this.link();
    gl.useProgram(this.program);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([0, 0, 1, 0, 0, 1, 1, 1]), gl.STATIC_DRAW);
    const corner = gl.getAttribLocation(this.program, 'corner');
    gl.enableVertexAttribArray(corner);
    gl.vertexAttribPointer(corner, 2, gl.FLOAT, false, 0, 0);
    this.replaceTexture('planes', gl.LINEAR, gl.LINEAR);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RG16F, PLANE, PLANE, 0, gl.RG, gl.HALF_FLOAT, new Uint16Array(PLANE * PLANE * 2));
    this.replaceTexture('lightnesses', gl.LINEAR, gl.LINEAR);
    const lightnesses = Uint16Array.from({ length: 256 }, (_, byte) => toHalf((lightnessOf(byte) + 16) / 116));
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R16F, 256, 1, 0, gl.RED, gl.HALF_FLOAT, lightnesses);
    for (const [name, unit] of Object.entries(UNITS)) gl.uniform1i(this.uniform(name), unit);
    gl.uniformMatrix3fv(this.uniform('fromXyz'), true, RGB_FROM_XYZ.flat());
  }

  /** @returns {WebGLProgram} */
  link() {
    const gl = this.gl;
    const program = /** @type {WebGLProgram} */ (gl.createProgram());
    const sources = /** @type {[number, string][]} */ ([[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, fragment(this.upsampling)]]);
    for (const [kind, source] of sources) {
      const shader = /** @type {WebGLShader} */ (gl.createShader(kind));
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
      // The program keeps the shader as long as it needs it.
      gl.deleteShader(shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? 'no shader');
    return program;
  }

  /** Set up the context that replaces a lost one. */
  restore() {
    this.lost = false;
    this.setUp();
    if (this.image) this.setPhoto(this.image);
    if (this.planes) this.setPlanes(this.planes);
    this.canvas.dispatchEvent(new Event('redraw'));
  }

  /** Give everything back to the GPU. The view is of no use afterwards. */
  dispose() {
    for (const name of this.textures.keys()) this.deleteTexture(name);
    this.gl.deleteProgram(this.program);
    this.gl.getExtension('WEBGL_lose_context')?.loseContext();
  }

  /** @param {string} name */
  uniform(name) {
    return this.program ? this.gl.getUniformLocation(this.program, name) : null;
  }

  /**
   * Put a new texture into a unit, make the unit active, and delete the texture before.
   * @param {TextureName} name @param {number} minFilter @param {number} magFilter
   */
  replaceTexture(name, minFilter, magFilter) {
    const gl = this.gl;
    this.deleteTexture(name);
    const texture = /** @type {WebGLTexture} */ (gl.createTexture());
    this.textures.set(name, texture);
    gl.activeTexture(gl.TEXTURE0 + UNITS[name]);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, minFilter);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, magFilter);
  }

  /** @param {TextureName} name */
  deleteTexture(name) {
    this.gl.deleteTexture(this.textures.get(name) ?? null);
    this.textures.delete(name);
  }

  /** Set the grey photograph. The image must stay open as long as it is shown. @param {ImageBitmap} image */
  setPhoto(image) {
    const gl = this.gl;
    this.image = image;
    this.replaceTexture('photo', gl.LINEAR_MIPMAP_LINEAR, gl.LINEAR);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, gl.RED, gl.UNSIGNED_BYTE, image);
    gl.generateMipmap(gl.TEXTURE_2D);
    if (this.upsampling !== 'guided') return;
    this.replaceTexture('cells', gl.NEAREST, gl.NEAREST);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R32F, PLANE, PLANE, 0, gl.RED, gl.FLOAT, cellLightness(image, PLANE));
  }

  /** @param {Uint16Array} planes ab as half floats [256, 256, 2] */
  setPlanes(planes) {
    const gl = this.gl;
    this.planes = planes;
    gl.activeTexture(gl.TEXTURE0 + UNITS.planes);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, PLANE, PLANE, gl.RG, gl.HALF_FLOAT, planes);
  }

  /** Drop the photograph and its colours. The canvas keeps its pixels until the next drawing. */
  clear() {
    this.image = null;
    this.deleteTexture('photo');
    this.deleteTexture('cells');
    this.setPlanes(new Uint16Array(PLANE * PLANE * 2));
  }

  /** @param {Scene} scene */
  draw(scene) {
    if (this.lost) return;
    const gl = this.gl;
    const { width, height } = this.canvas;
    gl.viewport(0, 0, width, height);
    gl.clearColor(...backgroundColour(), 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (!this.image) return;
    gl.uniform4f(this.uniform('rect'), ...scene.rect);
    gl.uniform2f(this.uniform('size'), width, height);
    gl.uniform1f(this.uniform('colour'), scene.colour);
    gl.uniform1f(this.uniform('split'), scene.split);
    gl.uniform1f(this.uniform('aspect'), this.image.width / this.image.height);
    gl.uniform3f(this.uniform('reveal'), ...(scene.reveal ?? [0, 0, -1]));
    gl.uniform3f(this.uniform('lens'), 0, 0, 0);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    if (scene.lens) this.drawLens(scene.rect, scene.lens);
  }

  /** @param {Scene['rect']} rect @param {Lens} lens */
  drawLens(rect, lens) {
    const gl = this.gl;
    const [w, h] = [rect[2] * lens.zoom, rect[3] * lens.zoom];
    const y = this.canvas.height - lens.y;
    const side = Math.ceil(lens.radius * 2) + 1;
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(Math.floor(lens.x - lens.radius), Math.floor(y - lens.radius), side, side);
    gl.uniform3f(this.uniform('lens'), lens.x, y, lens.radius);
    gl.uniform4f(this.uniform('rect'), lens.x - lens.at[0] * w, lens.y - lens.at[1] * h, w, h);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    gl.disable(gl.SCISSOR_TEST);
  }

  /** Draw and read the canvas back: RGBA, rows from the top. @param {Scene} scene */
  read(scene) {
    this.draw(scene);
    const gl = this.gl;
    const { width, height } = this.canvas;
    const pixels = new Uint8Array(width * height * 4);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    const upright = new Uint8Array(pixels.length);
    const stride = width * 4;
    for (let y = 0; y < height; y += 1) upright.set(pixels.subarray(y * stride, (y + 1) * stride), (height - 1 - y) * stride);
    return upright;
  }
}
