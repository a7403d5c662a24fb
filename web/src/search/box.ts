// The search: a field, and the results in the panel. Results appear while somebody types; Enter shows mistakes, too,
// and chooses the only result.

import { Problem, textOf } from '../api/problem';
import type { Client, ClientPage } from '../api/wire';
import type { App } from '../app';
import { byId, el, settled } from '../base/dom';
import { clientRow } from '../panel/list';
import { parseQuery, pathOf, RESULTS_MAX } from './query';

const TYPING_MS = 300;

export class SearchBox {
  private readonly field = byId<HTMLInputElement>('query');
  private readonly results = el('div', { class: 'results' });
  private request: AbortController | null = null;
  /** The text for which Enter has searched last. */
  private answered: string | null = null;

  constructor(private readonly app: App) {
    const typed = settled(TYPING_MS, () => {
      // Enter has searched for this text already, and may have chosen its only result.
      if (this.field.value !== this.answered) void this.search(false);
    });
    this.field.addEventListener('input', typed);
    byId('search').addEventListener('submit', (event) => {
      event.preventDefault();
      void this.search(true);
    });
    document.addEventListener('keydown', (event) => {
      const { target } = event;
      const isTyping = target instanceof HTMLElement && target.matches('input, select, textarea');
      if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.field.focus();
    });
  }

  private async search(isAsked: boolean): Promise<void> {
    this.request?.abort();
    this.answered = isAsked ? this.field.value : null;
    const query = parseQuery(this.field.value);
    if (!query) {
      if (this.app.panel.shows(this.results)) this.app.panel.close();
      return;
    }
    const request = new AbortController();
    this.request = request;
    try {
      const page = await this.app.session.json<ClientPage>(pathOf(query), { signal: request.signal });
      const exact = page.clients.find(({ id }) => id === this.field.value.trim());
      const only = page.clients.length === 1 ? page.clients[0] : exact;
      if (isAsked && only) this.app.select(only.id, { fly: true });
      else this.show(page, isAsked);
    } catch (error) {
      if (request.signal.aborted || !isAsked) return;
      const isForbidden = error instanceof Problem && error.isForbidden;
      const text = isForbidden ? 'The token does not allow to search for clients.' : textOf(error);
      this.results.replaceChildren(el('p', { class: 'problem', role: 'alert' }, text));
      this.showPanel(false);
    }
  }

  private show({ clients, next }: ClientPage, takesFocus: boolean): void {
    const count = clients.length;
    const more = next ? `The first ${RESULTS_MAX} are shown. Type more to find fewer.` : null;
    const lead = count === 0 ? 'No client matches.' : `${count} client${count === 1 ? '' : 's'}`;
    const rows = clients.map((client) => this.row(client));
    this.results.replaceChildren(
      el('p', { class: 'lead', role: 'status' }, lead),
      el('ul', { class: 'rows' }, ...rows),
      ...(more ? [el('p', { class: 'quiet-text' }, more)] : []),
    );
    this.showPanel(takesFocus && count > 0);
    if (takesFocus) this.results.querySelector('button')?.focus();
  }

  private row(client: Client): HTMLElement {
    const color = `server-${this.app.servers.of(client.server) % 8}`;
    return clientRow(client, color, Date.now(), (id) => this.app.select(id, { fly: true }));
  }

  private showPanel(takesFocus: boolean): void {
    if (this.app.panel.shows(this.results)) return;
    const onClose = () => this.request?.abort();
    this.app.panel.show({ title: 'Search', element: this.results, onClose, takesFocus });
  }
}
