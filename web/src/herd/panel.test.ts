// @vitest-environment happy-dom

import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { type HerdPanel, mountHerd } from './panel';
import type { HerdSession } from './session';

/** A demo of two servers with a link between them. */
class FakeDemo implements HerdSession {
  isDemo = true;
  herdStatus = 200;
  isCut = false;
  readonly killed = new Set<string>();
  refusal: string | null = null;
  readonly asked: string[] = [];
  private readonly listeners = new Set<(server: string) => void>();

  request = async (path: string, init: RequestInit = {}): Promise<Response> => {
    this.asked.push(`${init.method ?? 'GET'} ${path}`);
    if (path === '/v1/herd') return Response.json(this.herd(), { status: this.herdStatus });
    if (init.method === 'POST' && this.refusal !== null) return Response.json({ detail: this.refusal }, { status: 409 });
    if (path.endsWith('/cut')) this.isCut = true;
    if (path.endsWith('/heal')) this.isCut = false;
    if (path.endsWith('/kill')) this.killed.add('Riley');
    if (path.endsWith('/start')) this.killed.delete('Riley');
    const servers = ['Riley', 'Jaquez'].map((name) => ({ name, state: this.killed.has(name) ? 'stopped' : 'running' }));
    return Response.json({ servers, links: [{ between: ['Riley', 'Jaquez'], cut: this.isCut }] });
  };

  doorsOf = ({ http }: { http: readonly string[] }) => http;

  requestAt = async (base: string, path: string, init?: RequestInit): Promise<Response> => {
    if (path !== '/v1/status') return await this.request(path, init);
    const name = base.endsWith('1') ? 'Riley' : 'Jaquez';
    this.asked.push(name);
    if (this.killed.has(name)) throw new TypeError('failed to fetch');
    const neighbor = name === 'Riley' ? 'Jaquez' : 'Riley';
    const up = !this.isCut && !this.killed.has(neighbor);
    return Response.json({ server: name, incarnation: '1', records: 7, reports: {}, links: [{ neighbor, up, eager: up }] });
  };

  onReport(listener: (server: string) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  report(server: string): void {
    for (const listener of this.listeners) listener(server);
  }

  private herd() {
    const server = (name: string, port: number, neighbor: string) => ({
      name,
      http: [`http://127.0.0.1:800${port}`],
      links: [{ neighbor, up: true, eager: true }],
    });
    return { server: 'Riley', servers: [server('Riley', 1, 'Jaquez'), server('Jaquez', 2, 'Riley')] };
  }
}

let demo: FakeDemo;
let panel: HerdPanel;

const shown = (selector: string) => document.querySelector<HTMLElement>(selector);
const text = (selector: string) => shown(selector)?.textContent ?? '';
const button = (label: string) =>
  [...document.querySelectorAll<HTMLElement>('[role="button"], button')].find(
    (found) => (found.getAttribute('aria-label') ?? found.textContent ?? '').startsWith(label) && !found.hidden,
  );
const press = (label: string) => {
  const found = button(label);
  if (!found) throw new Error(`there is no button ${label}`);
  found.dispatchEvent(new MouseEvent('click', { bubbles: true }));
};
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(async () => {
  vi.useFakeTimers();
  document.body.innerHTML = '<div id="herd-body"></div>';
  demo = new FakeDemo();
  panel = mountHerd(document.getElementById('herd-body') as HTMLElement, demo);
});
afterEach(() => {
  panel.destroy();
  vi.useRealTimers();
});

test('a panel that nobody sees asks nothing', async () => {
  await pass(10_000);
  expect(demo.asked).toEqual([]);
  panel.setActive(true);
  await pass(1500);
  expect(demo.asked).toContain('Jaquez');
  panel.setActive(false);
  const { length } = demo.asked;
  await pass(60_000);
  expect(demo.asked).toHaveLength(length);
});

test('servers and links are shown as a graph and as tables', async () => {
  panel.setActive(true);
  await pass(500);
  expect(text('.herd-summary')).toBe('2 of 2 servers up · 1 of 1 link up');
  expect(button('Server Riley, up')).toBeDefined();
  expect(button('Link Riley – Jaquez, up, in the tree')).toBeDefined();
  const rows = [...document.querySelectorAll('tbody tr')].map((row) => row.textContent);
  expect(rows).toHaveLength(3);
  expect(rows[0]).toContain('Rileyup7');
});

test('a link is cut and healed by its button, which keeps its place', async () => {
  panel.setActive(true);
  await pass(500);
  press('Link Riley – Jaquez');
  const action = button('Cut the link Riley – Jaquez');
  press('Cut the link Riley – Jaquez');
  expect(text('.herd-news')).toBe('Cutting the link Riley – Jaquez…');
  await pass(1500);
  expect(text('.herd-news')).toContain('is cut. Watch the pulses');
  expect(button('Link Riley – Jaquez, down')).toBeDefined();
  expect(button('Heal the link Riley – Jaquez')).toBe(action);
  press('Heal the link Riley – Jaquez');
  await pass(1500);
  expect(button('Link Riley – Jaquez, up')).toBeDefined();
});

test('a server is killed and started again', async () => {
  panel.setActive(true);
  await pass(500);
  press('Server Riley');
  press('Kill Riley');
  await pass(1500);
  expect(text('.herd-news')).toContain('Riley is gone.');
  expect(button('Server Riley, away')).toBeDefined();
  expect(text('.herd-summary')).toContain('1 of 2 servers up');
  press('Start Riley again');
  await pass(1500);
  expect(button('Server Riley, up')).toBeDefined();
});

test('an action that is refused says why', async () => {
  panel.setActive(true);
  await pass(500);
  press('Server Riley');
  demo.refusal = 'Riley is the last server that runs';
  press('Kill Riley');
  await pass(500);
  expect(text('.herd-news')).toBe('Kill Riley: Riley is the last server that runs.');
  expect(shown('.herd-news')?.classList.contains('is-error')).toBe(true);
});

test('outside of a demo there is nothing to cut or kill, and nobody asks for it', async () => {
  demo.isDemo = false;
  panel.setActive(true);
  await pass(500);
  press('Server Riley');
  expect(shown('.herd-action')?.hidden).toBe(true);
  expect(text('.herd-facts')).toContain('Records7');
  expect(demo.asked.some((path) => path.includes('/v1/demo'))).toBe(false);
});

test('without the right to operate, the panel says what is missing', async () => {
  demo.herdStatus = 403;
  panel.setActive(true);
  await pass(500);
  expect(text('.herd-refusal')).toContain('The scope "operate" is needed');
});

test('the arrow keys go through servers and links, and the Tab key finds one of them', async () => {
  panel.setActive(true);
  await pass(500);
  const buttons = () => [...document.querySelectorAll('.herd-graph [role="button"]')];
  const stops = () => buttons().filter((found) => found.getAttribute('tabindex') === '0');
  expect(stops()).toHaveLength(1);
  (stops()[0] as unknown as HTMLElement).focus();
  const key = (name: string) => document.activeElement?.dispatchEvent(new KeyboardEvent('keydown', { key: name, bubbles: true }));
  key('End');
  expect(document.activeElement?.getAttribute('aria-label')).toContain('Link Riley – Jaquez');
  expect(stops()).toHaveLength(1);
  key('Enter');
  expect(text('.herd-title')).toBe('Riley – Jaquez');
  key('ArrowRight');
  expect(document.activeElement?.getAttribute('aria-label')).toContain('Server Riley');
});

const dots = () => document.querySelectorAll('.herd-dot:not([visibility])').length;

test('whoever wants little motion sees no dots', async () => {
  panel.destroy();
  vi.stubGlobal('matchMedia', () => ({ matches: true }));
  panel = mountHerd(document.getElementById('herd-body') as HTMLElement, demo);
  vi.unstubAllGlobals();
  panel.setActive(true);
  await pass(500);
  demo.report('Riley');
  await pass(100);
  expect(dots()).toBe(0);
});

test('a report is seen travelling', async () => {
  panel.setActive(true);
  await pass(500);
  demo.report('Riley');
  await pass(100);
  expect(dots()).toBe(1);
  await pass(1000);
  expect(dots()).toBe(0);
});
