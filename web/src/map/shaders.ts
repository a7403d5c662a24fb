// The programs that draw clients on the graphics processor. A mark is a square around a point of the screen; its
// fragment shader draws the shape by distances, so that edges are smooth at any size. All colors are premultiplied.

/** Kinds of marks. */
export const KIND = { dot: 0, cluster: 1, ring: 2, area: 3, digit: 4 } as const;

/** Floats of one mark: x, y, size, kind, color, extra. */
export const MARK_FLOATS = 6;

export const MARK_VERTEX = `#version 300 es
precision highp float;
uniform vec2 u_screen;
uniform float u_ratio;
in vec2 a_at;
in float a_size;
in float a_kind;
in float a_color;
in float a_extra;
flat out float v_kind;
flat out float v_color;
flat out float v_extra;
flat out float v_size;
void main() {
  gl_Position = vec4(a_at * 2.0 / u_screen * vec2(1.0, -1.0), 0.0, 1.0);
  gl_PointSize = a_size * u_ratio;
  v_kind = a_kind;
  v_color = a_color;
  v_extra = a_extra;
  v_size = a_size * u_ratio;
}`;

export const MARK_FRAGMENT = `#version 300 es
precision highp float;
uniform vec3 u_servers[8];
uniform vec3 u_edge;
uniform vec3 u_cluster;
uniform vec3 u_cluster_text;
uniform vec3 u_selected;
uniform sampler2D u_digits;
uniform float u_digit_count;
flat in float v_kind;
flat in float v_color;
flat in float v_extra;
flat in float v_size;
out vec4 color;

float fill(float distance) {
  return clamp(0.5 - distance, 0.0, 1.0);
}

void main() {
  // Device pixels from the middle of the mark.
  vec2 at = (gl_PointCoord - 0.5) * v_size;
  float far = length(at);
  if (v_kind < 0.5) {
    float radius = v_size * 0.25;
    float shape = far - radius;
    if (v_extra > -9.0) {
      // A small arrowhead at the edge of the dot shows the direction.
      vec2 ahead = vec2(sin(v_extra), -cos(v_extra));
      float along = dot(at, ahead);
      float across = abs(dot(at, vec2(ahead.y, -ahead.x)));
      float tip = max(along * 0.62 + across - radius * 1.02, -along);
      shape = min(shape, tip);
    }
    vec3 server = u_servers[int(v_color + 0.5)];
    float outer = fill(shape - v_size * 0.065);
    float inner = fill(shape);
    color = vec4(mix(u_edge, server, inner), 1.0) * outer;
  } else if (v_kind < 1.5) {
    float radius = v_size * 0.5 - 5.0;
    float inner = fill(far - radius);
    float halo = fill(far - v_size * 0.5 + 1.0) * 0.22;
    color = vec4(u_cluster, 1.0) * max(inner * 0.94, halo);
  } else if (v_kind < 2.5) {
    float radius = v_size * 0.5 - v_extra;
    float ring = fill(abs(far - radius) - v_extra * 0.5);
    color = vec4(u_selected, 1.0) * ring;
  } else if (v_kind < 3.5) {
    vec3 server = u_servers[int(v_color + 0.5)];
    float inner = fill(far - v_size * 0.5 + 1.0);
    float edge = fill(abs(far - v_size * 0.5 + 1.5) - 0.5);
    color = vec4(server, 1.0) * (inner * 0.12 + edge * 0.35);
  } else {
    vec2 cell = vec2((v_extra + gl_PointCoord.x) / u_digit_count, gl_PointCoord.y);
    color = vec4(u_cluster_text, 1.0) * texture(u_digits, cell).a;
  }
  if (color.a < 0.004) discard;
}`;

/**
 * Floats of one corner of a trail: x, y, the part of the trail that is behind, from 0 to 1, and the distance from the
 * trail's middle, pixels.
 */
export const TRAIL_FLOATS = 4;

export const TRAIL_VERTEX = `#version 300 es
precision highp float;
uniform vec2 u_screen;
in vec2 a_at;
in float a_part;
in float a_side;
out float v_part;
out float v_side;
void main() {
  gl_Position = vec4(a_at * 2.0 / u_screen * vec2(1.0, -1.0), 0.0, 1.0);
  v_part = a_part;
  v_side = a_side;
}`;

export const TRAIL_FRAGMENT = `#version 300 es
precision highp float;
uniform vec3 u_color;
uniform float u_half;
in float v_part;
in float v_side;
out vec4 color;
void main() {
  float edge = clamp(u_half - abs(v_side), 0.0, 1.0);
  color = vec4(u_color, 1.0) * mix(0.25, 0.9, v_part) * edge;
}`;

/** Compiles a program. An error here is a fault of this file or of the browser, and the page says so. */
export function program(gl: WebGL2RenderingContext, vertex: string, fragment: string): WebGLProgram {
  const made = gl.createProgram();
  for (const [type, source] of [
    [gl.VERTEX_SHADER, vertex],
    [gl.FRAGMENT_SHADER, fragment],
  ] as const) {
    const shader = gl.createShader(type);
    if (!shader) throw new Error('the graphics context is lost');
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
    gl.deleteShader(shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(`a program of the graphics processor is refused: ${gl.getProgramInfoLog(made)}`);
  }
  return made;
}
