// Paints marks and a trail on a canvas with WebGL. It knows neither clients nor the map: `points` says what to paint.
//
// If the browser takes the graphics context away, nothing is painted until it gives a new one. The painter then asks for
// a frame.

import type { MapColors } from '../theme';
import {
  KIND,
  MARK_FLOATS,
  MARK_FRAGMENT,
  MARK_VERTEX,
  program,
  TRAIL_FLOATS,
  TRAIL_FRAGMENT,
  TRAIL_VERTEX,
} from './shaders';

/** The characters in the numbers of clusters. */
const DIGITS = '0123456789.k';
/** Width and height of one character in its texture, pixels. */
const DIGIT_PX = 48;
/** The size of a character as a mark, pixels, and the part of it from one character to the next. */
const DIGIT_SIZE = 15;
const DIGIT_ADVANCE = 7.2;
const POINT_ADVANCE = 3.6;
/** Half of the width of a trail with its smooth edges, pixels. */
export const TRAIL_HALF_PX = 2.75;

/** A list of marks that is filled anew for each frame. */
export class Marks {
  count = 0;
  values = new Float32Array(MARK_FLOATS * 1024);

  clear(): void {
    this.count = 0;
  }

  add(x: number, y: number, size: number, kind: number, color: number, extra: number): void {
    const at = this.count * MARK_FLOATS;
    if (at + MARK_FLOATS > this.values.length) {
      const larger = new Float32Array(this.values.length * 2);
      larger.set(this.values);
      this.values = larger;
    }
    const { values } = this;
    values[at] = x;
    values[at + 1] = y;
    values[at + 2] = size;
    values[at + 3] = kind;
    values[at + 4] = color;
    values[at + 5] = extra;
    this.count += 1;
  }

  /** Adds a short number, with its middle at a point. */
  addNumber(text: string, x: number, y: number): void {
    const advance = (character: string) => (character === '.' ? POINT_ADVANCE : DIGIT_ADVANCE);
    let width = 0;
    for (const character of text) width += advance(character);
    let left = x - width / 2;
    for (const character of text) {
      const step = advance(character);
      this.add(left + step / 2, y, DIGIT_SIZE, KIND.digit, 0, DIGITS.indexOf(character));
      left += step;
    }
  }
}

interface Programs {
  readonly marks: WebGLProgram;
  readonly trail: WebGLProgram;
  readonly markArray: WebGLVertexArrayObject;
  readonly trailArray: WebGLVertexArrayObject;
  readonly markBuffer: WebGLBuffer;
  readonly trailBuffer: WebGLBuffer;
}

export class Painter {
  private readonly gl: WebGL2RenderingContext;
  private programs: Programs | null = null;
  private colors: MapColors;
  private ratio = 1;
  private width = 0;
  private height = 0;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    colors: MapColors,
    askFrame: () => void,
  ) {
    const options = { alpha: true, antialias: false, depth: false, premultipliedAlpha: true };
    const gl = canvas.getContext('webgl2', options) as WebGL2RenderingContext | null;
    if (!gl) throw new Error('this browser has no WebGL 2, which the map needs');
    this.gl = gl;
    this.colors = colors;
    this.prepare();
    canvas.addEventListener('webglcontextlost', (event) => {
      event.preventDefault();
      this.programs = null;
    });
    canvas.addEventListener('webglcontextrestored', () => {
      this.prepare();
      askFrame();
    });
  }

  recolor(colors: MapColors): void {
    this.colors = colors;
    if (this.programs) this.color(this.programs.marks);
  }

  /** The size of the canvas, pixels of the page. */
  resize(width: number, height: number): void {
    const ratio = Math.min(globalThis.devicePixelRatio || 1, 3);
    if (width === this.width && height === this.height && ratio === this.ratio) return;
    this.width = width;
    this.height = height;
    this.ratio = ratio;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
  }

  /** Paints a frame. `trail` are the corners of triangles, in the color of a server. */
  paint(marks: Marks, trail: Float32Array, trailCorners: number, trailColor: number): void {
    const { gl, programs } = this;
    if (!programs || gl.isContextLost()) return;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    if (trailCorners > 0) this.paintTrail(programs, trail, trailCorners, trailColor);
    if (marks.count === 0) return;
    gl.useProgram(programs.marks);
    gl.uniform2f(gl.getUniformLocation(programs.marks, 'u_screen'), this.width, this.height);
    gl.uniform1f(gl.getUniformLocation(programs.marks, 'u_ratio'), this.ratio);
    gl.bindVertexArray(programs.markArray);
    gl.bindBuffer(gl.ARRAY_BUFFER, programs.markBuffer);
    gl.bufferData(gl.ARRAY_BUFFER, marks.values.subarray(0, marks.count * MARK_FLOATS), gl.DYNAMIC_DRAW);
    gl.drawArrays(gl.POINTS, 0, marks.count);
  }

  private paintTrail(programs: Programs, trail: Float32Array, corners: number, color: number): void {
    const { gl } = this;
    gl.useProgram(programs.trail);
    gl.uniform2f(gl.getUniformLocation(programs.trail, 'u_screen'), this.width, this.height);
    gl.uniform3f(gl.getUniformLocation(programs.trail, 'u_color'), ...channels(this.serverColor(color)));
    gl.uniform1f(gl.getUniformLocation(programs.trail, 'u_half'), TRAIL_HALF_PX);
    gl.bindVertexArray(programs.trailArray);
    gl.bindBuffer(gl.ARRAY_BUFFER, programs.trailBuffer);
    gl.bufferData(gl.ARRAY_BUFFER, trail.subarray(0, corners * TRAIL_FLOATS), gl.DYNAMIC_DRAW);
    gl.drawArrays(gl.TRIANGLES, 0, corners);
  }

  private serverColor(number: number): string {
    const { servers } = this.colors;
    return servers[number % servers.length] ?? '#888888';
  }

  private prepare(): void {
    const { gl } = this;
    const marks = program(gl, MARK_VERTEX, MARK_FRAGMENT);
    const trail = program(gl, TRAIL_VERTEX, TRAIL_FRAGMENT);
    const [markArray, markBuffer] = this.array(marks, [
      ['a_at', 2],
      ['a_size', 1],
      ['a_kind', 1],
      ['a_color', 1],
      ['a_extra', 1],
    ]);
    const [trailArray, trailBuffer] = this.array(trail, [
      ['a_at', 2],
      ['a_part', 1],
      ['a_side', 1],
    ]);
    this.programs = { marks, trail, markArray, trailArray, markBuffer, trailBuffer };
    this.color(marks);
    this.drawDigits();
  }

  /** A buffer of floats, one attribute after the other. */
  private array(
    of: WebGLProgram,
    attributes: readonly (readonly [name: string, floats: number])[],
  ): [WebGLVertexArrayObject, WebGLBuffer] {
    const { gl } = this;
    const array = gl.createVertexArray();
    const buffer = gl.createBuffer();
    gl.bindVertexArray(array);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    const stride = 4 * attributes.reduce((sum, [, floats]) => sum + floats, 0);
    let offset = 0;
    for (const [name, floats] of attributes) {
      const place = gl.getAttribLocation(of, name);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, floats, gl.FLOAT, false, stride, offset);
      offset += 4 * floats;
    }
    return [array, buffer];
  }

  private color(marks: WebGLProgram): void {
    const { gl, colors } = this;
    gl.useProgram(marks);
    const set = (name: string, values: readonly string[]) =>
      gl.uniform3fv(gl.getUniformLocation(marks, name), new Float32Array(values.flatMap((value) => channels(value))));
    set('u_servers', colors.servers.slice(0, 8));
    set('u_edge', [colors.edge]);
    set('u_cluster', [colors.cluster]);
    set('u_cluster_text', [colors.clusterText]);
    set('u_selected', [colors.selected]);
    gl.uniform1f(gl.getUniformLocation(marks, 'u_digit_count'), DIGITS.length);
    gl.uniform1i(gl.getUniformLocation(marks, 'u_digits'), 0);
  }

  /** A texture with the characters of numbers, drawn with the font of the system. */
  private drawDigits(): void {
    const canvas = document.createElement('canvas');
    canvas.width = DIGITS.length * DIGIT_PX;
    canvas.height = DIGIT_PX;
    const context = canvas.getContext('2d');
    if (!context) return;
    context.font = `600 ${DIGIT_PX * 0.8}px system-ui, sans-serif`;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    [...DIGITS].forEach((character, at) => {
      context.fillText(character, (at + 0.5) * DIGIT_PX, DIGIT_PX * 0.53);
    });
    const { gl } = this;
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, canvas);
    gl.generateMipmap(gl.TEXTURE_2D);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
  }
}

/** The channels of `#rrggbb`, from 0 to 1. */
export function channels(color: string): [number, number, number] {
  const value = Number.parseInt(color.slice(1), 16);
  return [(value >> 16) / 255, ((value >> 8) & 255) / 255, (value & 255) / 255];
}
