// The herd as a picture: servers as shapes with their names and numbers, links as lines, and updates as dots that run
// along the lines. The picture is as large as its element, so that texts have the size of the page's other texts.
//
// Each state has a shape or a dash of its own and is written beside it, so that nobody needs to see colors. All servers
// and links are buttons. The graph is one stop of the Tab key, and the arrow keys go from one button to the next; the
// panel's tables hold the same in words. The graph knows nothing of requests: `GraphEvents` says what was chosen.

import { setText } from '../base/dom';
import { compact } from '../base/format';
import { change, svg } from '../base/svg';
import { CIRCLE_MAX, layout, type Point } from './layout';
import type { HerdView, LinkView, ServerView } from './model';
import type { Dot } from './pulses';
import { lagText, linkName, linkStateText, rateText, serverStateText, shortName, UNKNOWN } from './texts';

/** What is chosen: a server or a link, by its key. */
export interface Choice {
  readonly kind: 'server' | 'link';
  readonly key: string;
}

/** Who is told what the person does. */
export interface GraphEvents {
  chosen(choice: Choice): void;
}

/** The radius of a server, pixels. In a large herd, which does not stand on a circle, servers are smaller. */
const RADIUS = 15;
const RADIUS_SMALL = 7;
/** Above this number of servers, only what is chosen has its numbers: others would run into each other. */
const FULL_TEXTS_MAX = 6;
/** Above this number of servers, only what is looked at has its name. */
const NAMES_MAX = 20;
/** The room around the outermost servers, pixels: for texts beside, above and below them. */
const MARGIN_X = 98;
const MARGIN_X_SMALL = 40;
const MARGIN_Y = 64;
const MARGIN_Y_SMALL = 30;
/** The number of colors of servers. */
const COLORS = 8;
/** The length of a link below which its texts are shorter, pixels. */
const SHORT = 125;
/** The distance between two lines of text, pixels. */
const LINE = 14;
/** A lag from this on is written at the link, seconds. */
const LAG_SHOWN_S = 0.5;

interface ServerShape {
  /** The button. */
  readonly group: SVGGElement;
  /** What is written at the button, for people who see it. */
  readonly texts: SVGGElement;
  readonly body: SVGPathElement;
  readonly mark: SVGTextElement;
  readonly name: SVGTextElement;
  readonly first: SVGTextElement;
  readonly second: SVGTextElement;
}

interface LinkShape {
  readonly group: SVGGElement;
  readonly texts: SVGGElement;
  readonly hit: SVGLineElement;
  readonly line: SVGLineElement;
  readonly cross: SVGPathElement;
  readonly fromA: SVGTextElement;
  readonly fromB: SVGTextElement;
  readonly note: SVGTextElement;
}

/** The picture of a herd in an element. */
export class Graph {
  private readonly root = svg('svg', { class: 'herd-graph', role: 'group', 'aria-label': 'Servers and links' });
  private readonly linkLayer = svg('g');
  private readonly dotLayer = svg('g', { class: 'herd-dots', 'aria-hidden': 'true' });
  private readonly serverLayer = svg('g');
  private readonly textLayer = svg('g', { class: 'herd-texts', 'aria-hidden': 'true' });
  private readonly servers = new Map<string, ServerShape>();
  private readonly links = new Map<string, LinkShape>();
  private readonly dots: SVGCircleElement[] = [];
  private dotsShown = 0;
  private view: HerdView = { servers: [], links: [] };
  private colors = new Map<string, number>();
  private unit = new Map<string, Point>();
  private places = new Map<string, Point>();
  private shape = '';
  private width = 0;
  private height = 0;
  private choice: Choice | null = null;
  private readonly observer: ResizeObserver;

  constructor(
    host: HTMLElement,
    private readonly events: GraphEvents,
  ) {
    this.root.append(this.linkLayer, this.dotLayer, this.serverLayer, this.textLayer);
    this.root.addEventListener('keydown', (event) => this.onKey(event));
    host.append(this.root);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.root);
  }

  /** Shows the herd as it is now. */
  show(view: HerdView, choice: Choice | null): void {
    this.view = view;
    this.choice = choice;
    const shape = JSON.stringify([view.servers.map(({ name }) => name), view.links.map(({ key }) => key)]);
    if (shape !== this.shape) {
      this.shape = shape;
      const names = view.servers.map(({ name }) => name);
      this.colors = new Map([...names].sort().map((name, at) => [name, at]));
      this.unit = layout(
        names,
        view.links.map(({ a, b }) => [a, b]),
      );
      this.place();
    }
    this.draw();
  }

  /** Shows the dots of this moment. */
  showDots(dots: readonly Dot[]): void {
    while (this.dots.length < dots.length) {
      const dot = svg('circle', { class: 'herd-dot', r: 4 });
      this.dotLayer.append(dot);
      this.dots.push(dot);
    }
    dots.forEach(({ origin, from, to, part }, at) => {
      const [start, end, dot] = [this.places.get(from), this.places.get(to), this.dots[at]];
      if (!start || !end || !dot) return;
      dot.setAttribute('cx', (start.x + (end.x - start.x) * part).toFixed(1));
      dot.setAttribute('cy', (start.y + (end.y - start.y) * part).toFixed(1));
      change(dot, { class: `herd-dot ${this.colorOf(origin)}` });
      if (at >= this.dotsShown) dot.removeAttribute('visibility');
    });
    for (let at = dots.length; at < this.dotsShown; at += 1) this.dots[at]?.setAttribute('visibility', 'hidden');
    this.dotsShown = dots.length;
  }

  destroy(): void {
    this.observer.disconnect();
    this.root.remove();
  }

  private resize(): void {
    const { width, height } = this.root.getBoundingClientRect();
    if (width === this.width && height === this.height) return;
    [this.width, this.height] = [width, height];
    change(this.root, { viewBox: `0 0 ${Math.max(1, Math.round(width))} ${Math.max(1, Math.round(height))}` });
    this.place();
    this.draw();
  }

  /** The places of the servers in pixels. */
  private place(): void {
    const isCircle = this.unit.size <= CIRCLE_MAX;
    const halfWidth = Math.max(10, this.width / 2 - (isCircle ? MARGIN_X : MARGIN_X_SMALL));
    const halfHeight = Math.max(10, this.height / 2 - (isCircle ? MARGIN_Y : MARGIN_Y_SMALL));
    this.places = new Map(
      [...this.unit].map(([name, { x, y }]) => [
        name,
        { x: this.width / 2 + x * halfWidth, y: this.height / 2 + y * halfHeight },
      ]),
    );
  }

  private draw(): void {
    keep(this.servers, new Set(this.view.servers.map(({ name }) => name)));
    keep(this.links, new Set(this.view.links.map(({ key }) => key)));
    this.root.classList.toggle('is-crowded', this.view.servers.length > NAMES_MAX);
    for (const link of this.view.links) this.drawLink(link);
    for (const server of this.view.servers) this.drawServer(server);
    this.keepOneStop();
  }

  /** The class with the color of a server. The map gives its clients the same one, by the order of the names. */
  private colorOf(server: string): string {
    return `herd-color-${(this.colors.get(server) ?? 0) % COLORS}`;
  }

  private drawServer(server: ServerView): void {
    const place = this.places.get(server.name);
    if (!place) return;
    const shape = this.servers.get(server.name) ?? this.addServer(server.name);
    const count = this.view.servers.length;
    const isChosen = this.isChosen('server', server.name);
    const radius = count <= CIRCLE_MAX ? RADIUS : RADIUS_SMALL;
    const isFull = count <= FULL_TEXTS_MAX || isChosen;
    const kind = server.state === 'up' && server.troubles.length > 0 ? 'troubled' : server.state;
    const transform = `translate(${place.x.toFixed(1)} ${place.y.toFixed(1)})`;
    const state = `is-${kind}${isChosen ? ' is-chosen' : ''}`;
    change(shape.texts, { transform });
    shape.texts.classList.toggle('is-chosen', isChosen);
    shape.texts.classList.toggle('is-away', kind === 'away');
    shape.texts.classList.toggle('is-troubled', kind === 'troubled');
    change(shape.group, {
      transform,
      class: `herd-server ${this.colorOf(server.name)} ${state}`,
      'aria-label': `Server ${server.name}, ${serverStateText(server)}`,
      'aria-pressed': String(isChosen),
    });
    change(shape.body, { d: bodyPath(server, radius) });
    setText(shape.mark, markOf(server));
    setText(shape.name, shortName(server.name));
    const isThere = server.records !== null;
    const word = serverStateText(server);
    // A long number would run into the texts of the next server. The tables have all digits.
    const records = server.records === null ? word : `${compact(server.records)} records`;
    setText(shape.first, isFull ? records : '');
    const rate = `${rateText(server.reportsPerS)} reports/s`;
    setText(shape.second, !isFull || !isThere ? '' : word === 'up' ? rate : word);
    this.placeTexts(server.name, shape, radius);
  }

  /** The texts of a server are on the side where no links are: away from the middle. */
  private placeTexts(server: string, shape: ServerShape, radius: number): void {
    const { x, y } = this.unit.get(server) ?? { x: 0, y: 0 };
    const texts = [shape.name, shape.first, shape.second].filter((text) => text.textContent !== '');
    const isBeside = this.unit.size <= CIRCLE_MAX && Math.abs(x) > 0.6 && Math.abs(y) < 0.8;
    const isAbove = !isBeside && this.unit.size <= CIRCLE_MAX && y < 0;
    const first = isBeside
      ? 4 - ((texts.length - 1) * LINE) / 2
      : isAbove
        ? -radius - 6 - (texts.length - 1) * LINE
        : radius + LINE;
    texts.forEach((text, line) => {
      const anchor = !isBeside ? 'middle' : x < 0 ? 'end' : 'start';
      const aside = isBeside ? Math.sign(x) * (radius + 6) : 0;
      change(text, { x: aside, y: first + line * LINE, 'text-anchor': anchor });
    });
  }

  private drawLink(link: LinkView): void {
    const [a, b] = [this.places.get(link.a), this.places.get(link.b)];
    if (!a || !b) return;
    const shape = this.links.get(link.key) ?? this.addLink(link);
    const isChosen = this.isChosen('link', link.key);
    const kind = link.state === 'up' ? (link.eager ? 'tree' : 'spare') : link.state;
    const state = `is-${kind}${isChosen ? ' is-chosen' : ''}`;
    change(shape.texts, { class: state });
    change(shape.group, {
      class: `herd-link ${state}`,
      'aria-label': `Link ${linkName(link)}, ${linkStateText(link)}`,
      'aria-pressed': String(isChosen),
    });
    const ends = { x1: a.x.toFixed(1), y1: a.y.toFixed(1), x2: b.x.toFixed(1), y2: b.y.toFixed(1) };
    change(shape.hit, ends);
    change(shape.line, ends);
    const middle = between(a, b, 0.5, 0);
    // Texts are wider than they are high, so they need more room beside a line that goes up.
    const room = 9 + (8 * Math.abs(b.y - a.y)) / Math.max(1, Math.hypot(b.x - a.x, b.y - a.y));
    change(shape.cross, { transform: `translate(${middle.x.toFixed(1)} ${middle.y.toFixed(1)})` });
    const isFull = this.view.servers.length <= FULL_TEXTS_MAX || isChosen;
    const shows = isFull && link.state === 'up';
    // A short line has room for the numbers alone.
    const unit = Math.hypot(b.x - a.x, b.y - a.y) < SHORT ? '' : '/s';
    this.label(shape.fromA, between(a, b, 0.28, room), shows ? rateLabel(link.fromA, unit) : '');
    this.label(shape.fromB, between(a, b, 0.72, room), shows ? rateLabel(link.fromB, unit) : '');
    const isLagging = link.lagS !== null && link.lagS >= LAG_SHOWN_S;
    const note = link.state === 'down' ? 'down' : isLagging ? `lag ${lagText(link.lagS)}` : '';
    this.label(shape.note, between(a, b, 0.5, -room - 3), isFull ? note : '');
  }

  private label(text: SVGTextElement, at: Point, label: string): void {
    change(text, { x: at.x.toFixed(1), y: (at.y + 4).toFixed(1) });
    setText(text, label);
  }

  private addServer(name: string): ServerShape {
    const group = this.button({ kind: 'server', key: name });
    const text = (kind: string) => svg('text', { class: kind, 'text-anchor': 'middle' });
    const shape: ServerShape = {
      group,
      texts: svg('g', { class: 'herd-server-texts' }),
      body: svg('path', { class: 'herd-body' }),
      mark: svg('text', { class: 'herd-mark', 'text-anchor': 'middle', y: 5 }),
      name: text('herd-name'),
      first: text('herd-number'),
      second: text('herd-number'),
    };
    group.append(shape.body);
    for (const [event, isLookedAt] of [['pointerenter', true], ['pointerleave', false], ['focus', true], ['blur', false]] as const) {
      group.addEventListener(event, () => shape.texts.classList.toggle('is-looked-at', isLookedAt));
    }
    shape.texts.append(shape.mark, shape.name, shape.first, shape.second);
    this.serverLayer.append(group);
    this.textLayer.append(shape.texts);
    this.servers.set(name, shape);
    return shape;
  }

  private addLink(link: LinkView): LinkShape {
    const group = this.button({ kind: 'link', key: link.key });
    const text = () => svg('text', { class: 'herd-rate', 'text-anchor': 'middle' });
    const shape: LinkShape = {
      group,
      texts: svg('g'),
      hit: svg('line', { class: 'herd-hit' }),
      line: svg('line', { class: 'herd-line' }),
      cross: svg('path', { class: 'herd-cross', d: 'M-6 -6 L6 6 M-6 6 L6 -6' }),
      fromA: text(),
      fromB: text(),
      note: text(),
    };
    group.append(shape.hit, shape.line, shape.cross);
    shape.texts.append(shape.fromA, shape.fromB, shape.note);
    this.linkLayer.append(group);
    // The texts of servers are above those of links.
    this.textLayer.prepend(shape.texts);
    this.links.set(link.key, shape);
    return shape;
  }

  private button(choice: Choice): SVGGElement {
    const group = svg('g', { role: 'button', tabindex: -1, 'data-kind': choice.kind, 'data-key': choice.key });
    group.addEventListener('click', () => this.events.chosen(choice));
    return group;
  }

  private isChosen(kind: Choice['kind'], key: string): boolean {
    return this.choice?.kind === kind && this.choice.key === key;
  }

  /** All buttons, servers first. */
  private buttons(): SVGGElement[] {
    const servers = this.view.servers.map(({ name }) => this.servers.get(name)?.group);
    const links = this.view.links.map(({ key }) => this.links.get(key)?.group);
    return [...servers, ...links].filter((group) => group !== undefined);
  }

  /** The Tab key reaches one button: the focused one, the chosen one, or the first. */
  private keepOneStop(): void {
    const buttons = this.buttons();
    const isPressed = (button: SVGGElement) => button.getAttribute('aria-pressed') === 'true';
    const stop = buttons.find((button) => button === document.activeElement) ?? buttons.find(isPressed) ?? buttons[0];
    for (const button of buttons) change(button, { tabindex: button === stop ? 0 : -1 });
  }

  private onKey(event: KeyboardEvent): void {
    const buttons = this.buttons();
    const at = buttons.findIndex((button) => button === event.target);
    if (at < 0) return;
    const next = {
      ArrowRight: at + 1,
      ArrowDown: at + 1,
      ArrowLeft: at - 1,
      ArrowUp: at - 1,
      Home: 0,
      End: buttons.length - 1,
    }[event.key];
    if (next !== undefined) {
      buttons[(next + buttons.length) % buttons.length]?.focus();
      this.keepOneStop();
    } else if (event.key === 'Enter' || event.key === ' ') {
      buttons[at]?.dispatchEvent(new MouseEvent('click', { bubbles: true }));
    } else {
      return;
    }
    event.preventDefault();
    // The map has keys of its own.
    event.stopPropagation();
  }
}

/** Removes the shapes of what is not there any more. */
function keep(shapes: Map<string, ServerShape | LinkShape>, keys: ReadonlySet<string>): void {
  for (const [key, { group, texts }] of shapes) {
    if (keys.has(key)) continue;
    group.remove();
    texts.remove();
    shapes.delete(key);
  }
}

/** Each state has another outline: a circle is there, a square is not, a triangle needs a look. */
function bodyPath(server: ServerView, radius: number): string {
  const r = radius;
  if (server.state === 'away') return `M${-r} ${-r} H${r} V${r} H${-r} Z`;
  if (server.state === 'draining') return `M0 ${-r - 2} L${r + 2} 0 L0 ${r + 2} L${-r - 2} 0 Z`;
  if (server.state === 'up' && server.troubles.length > 0) return `M0 ${-r - 3} L${r + 2} ${r} L${-r - 2} ${r} Z`;
  return `M${-r} 0 a${r} ${r} 0 1 0 ${2 * r} 0 a${r} ${r} 0 1 0 ${-2 * r} 0 Z`;
}

function markOf(server: ServerView): string {
  switch (server.state) {
    case 'up':
      return server.troubles.length > 0 ? '!' : '';
    case 'draining':
      return '…';
    case 'hidden':
    case 'asked':
      return '?';
    case 'away':
      return '×';
  }
}

function rateLabel(perSecond: number | null, unit: string): string {
  return perSecond === null ? UNKNOWN : `${rateText(perSecond)}${unit}`;
}

/** The point at a part of the way from `a` to `b`, moved to the left of the way. */
function between(a: Point, b: Point, part: number, aside: number): Point {
  const length = Math.max(1, Math.hypot(b.x - a.x, b.y - a.y));
  const x = a.x + (b.x - a.x) * part + ((b.y - a.y) / length) * aside;
  const y = a.y + (b.y - a.y) * part - ((b.x - a.x) / length) * aside;
  return { x, y };
}
