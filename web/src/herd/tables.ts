// The herd in words: a table of servers and a table of links, with the same numbers as the graph. Each row has a button
// that chooses its server or link. Rows and cells stay the same elements while the herd does, so that focus and
// selections stay where they are.

import { setText } from '../base/dom';
import { change } from '../base/svg';
import type { Choice, GraphEvents } from './graph';
import type { HerdView, LinkView, ServerView } from './model';
import { countText, durationText, lagText, linkName, linkStateText, rateText, serverStateText, UNKNOWN } from './texts';

const SERVER_HEADS = ['Server', 'State', 'Records', 'Reports/s', 'Clients', 'Running for'];
const LINK_HEADS = ['Link', 'State', 'Records/s there', 'Records/s back', 'Lag'];

interface Row {
  readonly element: HTMLTableRowElement;
  readonly button: HTMLButtonElement;
  readonly cells: readonly HTMLTableCellElement[];
}

/** Both tables, in an element. */
export class Tables {
  private readonly servers: HTMLTableSectionElement;
  private readonly links: HTMLTableSectionElement;
  private readonly rows = new Map<string, Row>();
  private order = '';

  constructor(
    host: HTMLElement,
    private readonly events: GraphEvents,
  ) {
    this.servers = table(host, 'Servers', SERVER_HEADS);
    this.links = table(host, 'Links', LINK_HEADS);
  }

  /** Shows the herd as it is now. */
  show(view: HerdView, choice: Choice | null): void {
    this.arrange(view);
    for (const server of view.servers) this.fill({ kind: 'server', key: server.name }, serverCells(server), choice);
    for (const link of view.links) this.fill({ kind: 'link', key: link.key }, linkCells(link), choice);
  }

  /** Makes a row for each server and link, in their order. */
  private arrange(view: HerdView): void {
    const order = JSON.stringify([view.servers.map(({ name }) => name), view.links.map(({ key }) => key)]);
    if (order === this.order) return;
    this.order = order;
    this.rows.clear();
    const servers = view.servers.map(({ name }) => this.row({ kind: 'server', key: name }, name, SERVER_HEADS));
    const links = view.links.map((link) => this.row({ kind: 'link', key: link.key }, linkName(link), LINK_HEADS));
    this.servers.replaceChildren(...servers);
    this.links.replaceChildren(...links);
  }

  private row(choice: Choice, name: string, heads: readonly string[]): HTMLTableRowElement {
    const element = document.createElement('tr');
    const head = document.createElement('th');
    head.scope = 'row';
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'herd-choose';
    button.textContent = name;
    button.addEventListener('click', () => this.events.chosen(choice));
    head.append(button);
    const cells = heads.slice(1).map(() => document.createElement('td'));
    element.append(head, ...cells);
    this.rows.set(`${choice.kind} ${choice.key}`, { element, button, cells });
    return element;
  }

  private fill({ kind, key }: Choice, texts: readonly string[], choice: Choice | null): void {
    const row = this.rows.get(`${kind} ${key}`);
    if (!row) return;
    const isChosen = choice?.kind === kind && choice.key === key;
    change(row.button, { 'aria-pressed': String(isChosen) });
    row.element.classList.toggle('is-chosen', isChosen);
    texts.forEach((text, at) => {
      const cell = row.cells[at];
      if (cell) setText(cell, text);
    });
  }
}

function serverCells(server: ServerView): string[] {
  return [
    serverStateText(server),
    countText(server.records),
    rateText(server.reportsPerS),
    countText(server.connections),
    durationText(server.uptimeS),
  ];
}

function linkCells(link: LinkView): string[] {
  const isUp = link.state === 'up';
  return [
    linkStateText(link),
    isUp ? rateText(link.fromA) : UNKNOWN,
    isUp ? rateText(link.fromB) : UNKNOWN,
    isUp ? lagText(link.lagS) : UNKNOWN,
  ];
}

function table(host: HTMLElement, caption: string, heads: readonly string[]): HTMLTableSectionElement {
  // A narrow screen scrolls the table and not the page. Whoever has no pointer scrolls an element that has the focus.
  const scroller = document.createElement('div');
  scroller.className = 'herd-scroller';
  scroller.tabIndex = 0;
  scroller.setAttribute('role', 'region');
  scroller.setAttribute('aria-label', `Table of ${caption.toLowerCase()}`);
  const made = document.createElement('table');
  made.createCaption().textContent = caption;
  const row = made.createTHead().insertRow();
  for (const head of heads) {
    const cell = document.createElement('th');
    cell.scope = 'col';
    cell.textContent = head;
    row.append(cell);
  }
  const body = made.createTBody();
  scroller.append(made);
  host.append(scroller);
  return body;
}
