// What is known about the chosen server or link, and in the demo the button that does something to it. The panel says
// what is chosen and what the demo allows; this module makes the elements.

import { setText } from '../base/dom';
import { type Fact, FactList } from '../base/facts';
import type { DemoAction } from './demo';
import type { Choice } from './graph';
import type { HerdView, LinkView, ServerView } from './model';
import { countText, durationText, lagText, linkName, linkStateText, rateText, serverStateText, UNKNOWN } from './texts';

/** The details of what is chosen, in an element. */
export class Details {
  private readonly title = document.createElement('h3');
  private readonly hint = document.createElement('p');
  private readonly facts = document.createElement('dl');
  private readonly factList = new FactList(this.facts);
  private readonly button = document.createElement('button');
  private action: DemoAction | null = null;

  constructor(host: HTMLElement, onAction: (action: DemoAction) => void) {
    this.title.className = 'herd-title';
    this.hint.className = 'herd-hint';
    this.facts.className = 'herd-facts';
    this.button.type = 'button';
    this.button.className = 'herd-action';
    this.button.addEventListener('click', () => {
      if (this.action && this.button.getAttribute('aria-disabled') !== 'true') onAction(this.action);
    });
    host.append(this.title, this.hint, this.facts, this.button);
  }

  /**
   * Shows what is chosen. `action`: what can be done to it in the demo. `isBusy`: something is being done, so the
   * button waits. A disabled button would lose the focus, so it stays enabled and says that it does nothing.
   */
  show(view: HerdView, choice: Choice | null, action: DemoAction | null, isBusy: boolean): void {
    const server = choice?.kind === 'server' ? view.servers.find(({ name }) => name === choice.key) : undefined;
    const link = choice?.kind === 'link' ? view.links.find(({ key }) => key === choice.key) : undefined;
    this.hint.hidden = server !== undefined || link !== undefined;
    setText(this.hint, 'Choose a server or a link to see more about it.');
    this.title.hidden = !this.hint.hidden;
    setText(this.title, server ? server.name : link ? linkName(link) : '');
    const facts = server ? serverFacts(server) : link ? linkFacts(link) : [];
    this.factList.show(facts);
    this.facts.hidden = facts.length === 0;
    this.action = action;
    this.button.hidden = action === null;
    setText(this.button, action?.label ?? '');
    this.button.setAttribute('aria-disabled', String(isBusy));
  }
}

function serverFacts(server: ServerView): Fact[] {
  const facts: Fact[] = [['State', serverStateText(server)]];
  if (server.state === 'hidden') facts.push(['Reason', 'It does not answer this page, but a neighbor has a link to it.']);
  for (const trouble of server.troubles) facts.push(['Trouble', trouble]);
  if (server.records === null) return facts;
  facts.push(
    ['Records', countText(server.records)],
    ['Reports', `${rateText(server.reportsPerS)} a second`],
    ['Connected clients', countText(server.connections)],
    ['Running for', durationText(server.uptimeS)],
    ['Version', server.version || UNKNOWN],
  );
  if (server.url) facts.push(['Address', server.url]);
  return facts;
}

function linkFacts(link: LinkView): Fact[] {
  const facts: Fact[] = [['State', linkStateText(link)]];
  if (link.state === 'up') {
    facts.push(
      [
        'Use',
        link.eager
          ? 'In the spanning tree: changes are sent over it as they come.'
          : 'Spare: it checks that both servers hold the same, and takes over if a link of the tree fails.',
      ],
      [`${link.a} sends`, `${rateText(link.fromA)} records a second`],
      [`${link.b} sends`, `${rateText(link.fromB)} records a second`],
      ['Lag', lagText(link.lagS)],
    );
  }
  for (const trouble of link.troubles) facts.push(['Trouble', trouble]);
  return facts;
}
