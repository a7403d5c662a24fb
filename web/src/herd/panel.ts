// The herd panel of the map page: the graph of all servers with their updates on the way, details of what is chosen,
// the demo's controls, and tables. `mountHerd` puts it into an element:
//
//   const panel = mountHerd(element, session);
//   panel.setActive(isOpen);   // a panel that nobody sees asks nothing and moves nothing
//   panel.destroy();
//
// The panel connects the parts of this folder and holds no knowledge of its own: the poller asks, the model judges, the
// graph and the tables show, the pulses say which dots there are.

import './herd.css';

import { textOf } from '../api/problem';
import { setText } from '../base/dom';
import { act, askDemo, type DemoAction, type DemoState, linkAction, serverAction } from './demo';
import { Details } from './details';
import { type Choice, Graph } from './graph';
import { HerdModel, type HerdView } from './model';
import { Poller } from './poller';
import { Pulses } from './pulses';
import { Routes } from './route';
import type { HerdSession } from './session';
import { Tables } from './tables';
import { summaryText } from './texts';

/** A panel that is in a page. */
export interface HerdPanel {
  /** Whether somebody sees the panel. At first nobody does. */
  setActive(isActive: boolean): void;
  destroy(): void;
}

/** The time between two questions for the state of the demo, milliseconds. Other pages can change it, too. */
const DEMO_MS = 2000;
/** Answers that come within this time are shown together, milliseconds. */
const SHOW_MS = 250;

/** Puts the panel into an element. The element must be empty. */
export function mountHerd(element: HTMLElement, session: HerdSession): HerdPanel {
  return new Panel(element, session);
}

class Panel implements HerdPanel {
  private readonly model = new HerdModel();
  private readonly pulses = new Pulses();
  private readonly poller: Poller;
  private readonly graph: Graph;
  private readonly tables: Tables;
  private readonly details: Details;
  private readonly summary = paragraph('herd-summary');
  private readonly refusal = paragraph('herd-refusal');
  private readonly news = paragraph('herd-news');
  private readonly still = matchMedia('(prefers-reduced-motion: reduce)');
  private readonly endings: (() => void)[] = [];
  private view: HerdView = { servers: [], links: [] };
  private routes = new Routes([]);
  private routesOf = '';
  private choice: Choice | null = null;
  private demo: DemoState | null = null;
  private isBusy = false;
  private isOpen = false;
  private isActive = false;
  private frame = 0;
  private showTimer: ReturnType<typeof setTimeout> | undefined;
  private demoTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly element: HTMLElement,
    private readonly session: HerdSession,
  ) {
    element.classList.add('herd');
    const picture = box('herd-picture');
    const chosen = box('herd-details');
    const words = document.createElement('details');
    words.className = 'herd-words';
    const open = document.createElement('summary');
    open.textContent = 'The herd as tables';
    words.append(open);
    this.news.setAttribute('role', 'status');
    this.refusal.setAttribute('role', 'status');
    this.refusal.hidden = true;
    element.append(this.summary, this.refusal, picture, chosen, this.news, legend(), words);
    const events = { chosen: (choice: Choice) => this.choose(choice) };
    this.graph = new Graph(picture, events);
    this.tables = new Tables(words, events);
    this.details = new Details(chosen, (action) => void this.act(action));
    this.poller = new Poller(session, {
      topology: (topology) => {
        this.model.noteTopology(topology);
        this.showSoon();
      },
      status: (server, status, atMs) => {
        this.model.noteStatus(server, status, atMs);
        this.showSoon();
      },
      silence: (server) => {
        this.model.noteSilence(server);
        this.showSoon();
      },
      refused: (why) => this.refuse(why),
    });
    this.endings.push(session.onReport((server) => this.pulse(server)));
    const onVisibility = () => this.update();
    document.addEventListener('visibilitychange', onVisibility);
    this.endings.push(() => document.removeEventListener('visibilitychange', onVisibility));
    this.show();
  }

  setActive(isActive: boolean): void {
    this.isOpen = isActive;
    this.update();
  }

  destroy(): void {
    this.setActive(false);
    for (const end of this.endings) end();
    this.graph.destroy();
    this.element.replaceChildren();
    this.element.classList.remove('herd');
  }

  private update(): void {
    const isActive = this.isOpen && !document.hidden;
    if (isActive === this.isActive) return;
    this.isActive = isActive;
    if (isActive) {
      this.poller.start();
      if (this.session.isDemo) void this.askDemo();
    } else {
      this.poller.stop();
      clearTimeout(this.demoTimer);
      this.pulses.clear();
      this.graph.showDots([]);
    }
  }

  private refuse(why: string | null): void {
    this.refusal.hidden = why === null;
    setText(this.refusal, why ?? '');
  }

  // ---- showing

  /** Several answers in a short time are shown together. */
  private showSoon(): void {
    this.showTimer ??= setTimeout(() => {
      this.showTimer = undefined;
      this.show();
    }, SHOW_MS);
  }

  private show(): void {
    this.view = this.model.view();
    const tree = this.view.links.filter((link) => link.state === 'up' && link.eager);
    const routesOf = tree.map((link) => link.key).join('\n');
    if (routesOf !== this.routesOf) {
      this.routesOf = routesOf;
      this.routes = new Routes(tree);
      // No dot runs over a link that is not in the tree any more.
      this.pulses.clear();
    }
    this.showChoice();
    setText(this.summary, this.view.servers.length > 0 ? summaryText(this.view) : 'Asking the servers of the herd…');
  }

  private showChoice(): void {
    this.graph.show(this.view, this.choice);
    this.tables.show(this.view, this.choice);
    this.details.show(this.view, this.choice, this.action(), this.isBusy);
  }

  private choose(choice: Choice): void {
    const isSame = this.choice?.kind === choice.kind && this.choice.key === choice.key;
    this.choice = isSame ? null : choice;
    this.showChoice();
  }

  // ---- the demo

  private action(): DemoAction | null {
    const { choice, demo } = this;
    if (!choice || !demo) return null;
    if (choice.kind === 'server') return serverAction(choice.key, demo.servers.get(choice.key));
    const link = this.view.links.find(({ key }) => key === choice.key);
    return link ? linkAction(link.a, link.b, demo.links.get(link.key)) : null;
  }

  private async askDemo(): Promise<void> {
    try {
      const state = await askDemo(this.session);
      // An action that is being done knows the state better.
      if (!this.isBusy) this.demo = state;
      this.showChoice();
    } catch {
      // The next question may be answered.
    }
    clearTimeout(this.demoTimer);
    if (this.isActive) this.demoTimer = setTimeout(() => void this.askDemo(), DEMO_MS);
  }

  private async act(action: DemoAction): Promise<void> {
    const chosen = this.choice;
    this.isBusy = true;
    this.tell(action.progress, false);
    this.showChoice();
    try {
      this.demo = await act(this.session, action, this.helper());
      this.tell(action.outcome, false);
    } catch (error) {
      this.tell(`${action.label}: ${textOf(error)}`, true);
    }
    this.isBusy = false;
    if (chosen?.kind === 'server') this.poller.hurry(chosen.key);
    this.showChoice();
  }

  /** A server that answers and is not the chosen one. */
  private helper(): string | null {
    const isChosen = (name: string) => this.choice?.kind === 'server' && this.choice.key === name;
    const other = this.view.servers.find(({ name, state, url }) => state === 'up' && url !== null && !isChosen(name));
    return other?.url ?? null;
  }

  private tell(text: string, isError: boolean): void {
    setText(this.news, text);
    this.news.classList.toggle('is-error', isError);
  }

  // ---- updates on their way

  private pulse(server: string): void {
    if (!this.isActive || this.still.matches) return;
    const now = performance.now();
    if (!this.pulses.hasRoom(now)) return;
    this.pulses.begin(this.routes.from(server), now);
    if (!this.pulses.isIdle && this.frame === 0) this.frame = requestAnimationFrame((at) => this.draw(at));
  }

  private draw(nowMs: number): void {
    this.graph.showDots(this.pulses.at(nowMs));
    this.frame = this.pulses.isIdle ? 0 : requestAnimationFrame((at) => this.draw(at));
  }
}

/** What the lines and shapes mean. */
function legend(): HTMLElement {
  const made = document.createElement('p');
  made.className = 'herd-legend';
  const parts: readonly [string, string][] = [
    ['tree', 'in the tree: carries updates'],
    ['spare', 'spare'],
    ['down', 'down'],
  ];
  for (const [kind, text] of parts) {
    const part = document.createElement('span');
    part.className = 'herd-key';
    const sample = document.createElement('span');
    sample.className = `herd-sample is-${kind}`;
    sample.setAttribute('aria-hidden', 'true');
    part.append(sample, text);
    made.append(part);
  }
  const numbers = document.createElement('span');
  numbers.className = 'herd-key';
  numbers.textContent =
    'Numbers at a line: records a second that the nearer server sends. ' +
    'Dots: updates on their way, slowed down, in the color of the server that took the report.';
  made.append(numbers);
  return made;
}

function paragraph(name: string): HTMLParagraphElement {
  const made = document.createElement('p');
  made.className = name;
  return made;
}

function box(name: string): HTMLDivElement {
  const made = document.createElement('div');
  made.className = name;
  return made;
}
