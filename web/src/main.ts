// The map page. It asks the server what it is, builds the parts, and connects them: what the map shows goes to the
// streams, what the streams tell goes to the points, and what somebody presses goes to the panel.

import './style/page.css';
import { Problem, textOf } from './api/problem';
import { Session } from './api/session';
import type { StreamState } from './api/stream';
import type { App } from './app';
import { byId, setText, settled } from './base/dom';
import { whole } from './base/format';
import { ServerNumbers } from './base/servers';
import { LiveClients } from './clients/live';
import { CLIENTS_MAX, ClientStore } from './clients/store';
import { type HerdPanel, mountHerd } from './herd';
import { Labels } from './map/labels';
import { Points } from './map/points';
import { MapView, type Press } from './map/view';
import { ClientPanel } from './panel/client';
import { ClientList, showAllClients } from './panel/clients';
import { Panel } from './panel/panel';
import { showPlacesAround } from './panel/places';
import { ReportPanel } from './panel/report';
import { TokenDialog } from './panel/token';
import { SearchBox } from './search/box';
import { Theme, wantsLittleMotion } from './theme';

/** How long a notice is shown, milliseconds. */
const NOTICE_MS = 6000;
/** The least time between two requests for labels while the map moves, milliseconds. */
const REST_MS = 200;
/** On a demo's page at least this wide, the herd is open from the start, pixels. */
const HERD_WIDTH_MIN = 1100;
/** The longest time until a client that has appeared is drawn, milliseconds. */
const REPORT_MS = 80;
/** Zoom at which the map shows a client that was chosen. */
const CLIENT_ZOOM = 13;

/** The page's parts after the first answer of the server. */
class Page implements App {
  readonly theme: Theme;
  readonly servers = new ServerNumbers();
  readonly panel = new Panel();
  readonly view: MapView;
  readonly live: LiveClients;
  readonly points: Points;
  private readonly labels: Labels;
  private readonly tokens: TokenDialog;
  private herd: HerdPanel | null = null;
  private report: ReportPanel | null = null;
  private noticeTimer: ReturnType<typeof setTimeout> | undefined;
  private isPlaced = location.hash.includes('map=');

  constructor(
    readonly session: Session,
    theme: Theme,
  ) {
    this.theme = theme;
    const store = new ClientStore((server) => this.servers.of(server), !wantsLittleMotion());
    this.view = new MapView(byId('map'), theme.colors, session.info.tiles, true);
    this.live = new LiveClients(session, store);
    this.points = new Points(this.view, store, theme.colors);
    this.labels = new Labels(session, (labels, credits) => {
      this.view.credit(credits);
      this.view.set('places', labels);
    });
    this.tokens = new TokenDialog(session);
    new SearchBox(this);
    this.connectMap();
    this.connectLive();
    this.connectTools();
    this.connectSession();
  }

  /** Begins to show clients, or asks for a token first. */
  start(): void {
    this.showRights();
    if (!this.session.isOpen) {
      this.showConnection({ kind: 'idle' });
      this.tokens.open();
      return;
    }
    if (this.session.isDemo && this.session.rights.operate && innerWidth >= HERD_WIDTH_MIN) this.setHerd(true);
    // The servers get their colors before the first client is drawn.
    void this.learnServers().finally(() => {
      this.look();
      if (!this.isPlaced && this.session.rights.read) void this.placeMap();
    });
  }

  /** Moves the map to where clients are. Without an answer, the map stays where it begins. */
  private async placeMap(): Promise<void> {
    this.isPlaced = true;
    try {
      if (await showAllClients(this)) return;
      // With a token, there may be clients that it does not show.
      const { operate } = this.session.rights;
      this.notify(`No client${operate ? '' : ' that this token shows'} has reported to this herd yet.`);
    } catch {
      // The stream says what is wrong.
    }
  }

  private async learnServers(): Promise<void> {
    await this.session.learnServers();
    this.servers.know(this.session.servers.map(({ name }) => name));
  }

  announce(text: string): void {
    byId('announcer').textContent = text;
  }

  notify(text: string): void {
    const notice = byId('notice');
    notice.textContent = text;
    notice.hidden = false;
    this.announce(text);
    clearTimeout(this.noticeTimer);
    this.noticeTimer = setTimeout(() => {
      notice.hidden = true;
    }, NOTICE_MS);
  }

  select(id: string, { fly = false }: { readonly fly?: boolean } = {}): void {
    if (this.points.selected !== id) {
      const content = new ClientPanel(this, id);
      this.panel.show({
        title: id,
        element: content.element,
        takesFocus: !document.activeElement || document.activeElement !== this.view.map.getCanvas(),
        onClose: () => {
          content.close();
          this.unselect(id);
        },
      });
      this.points.selected = id;
      this.clientPanel = content;
      this.live.follow(id);
    }
    this.showTrail();
    if (fly) void this.flyTo(id);
  }

  private clientPanel: ClientPanel | null = null;

  private unselect(id: string): void {
    if (this.points.selected !== id) return;
    this.points.selected = null;
    this.points.trail = [];
    this.clientPanel = null;
    this.live.follow(null);
    this.points.ask();
  }

  private async flyTo(id: string): Promise<void> {
    let client = this.live.get(id);
    if (!client) {
      try {
        client = await this.session.json(`v1/clients/${encodeURIComponent(id)}`);
      } catch (error) {
        this.notify(textOf(error));
        return;
      }
    }
    if (!client) return;
    this.view.flyTo(client.lat, client.lon, CLIENT_ZOOM, this.panelOffset());
  }

  /** Half of what the panel covers, so that a chosen client is in the middle of what is left. */
  private panelOffset(): [number, number] {
    if (!this.panel.isOpen) return [0, 0];
    const { width, height, right } = byId('panel').getBoundingClientRect();
    if (width > innerWidth * 0.8) return [0, -height / 2 + 40];
    return [Math.min(right / 2, innerWidth / 2 - 60), 0];
  }

  private showTrail(): void {
    const { selected } = this.points;
    if (selected !== null) this.points.trail = this.live.trails.of(selected);
    this.points.ask();
  }

  private connectMap(): void {
    const rested = settled(REST_MS, () => this.look());
    this.view.rested.listen(rested);
    const { map } = this.view;
    map.on('move', () => this.live.see(this.view.box));
    map.on('resize', rested);
    this.view.pressed.listen((press) => this.press(press));
    this.view.hovered.listen((press) => this.hover(press));
    this.points.onDrawn = settled(150, () => this.showCount());
    this.theme.changed.listen(() => {
      this.view.recolor(this.theme.colors);
      this.points.recolor(this.theme.colors);
      this.showTheme();
    });
    document.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && !event.defaultPrevented) this.panel.close();
    });
  }

  /** Asks for what the view shows now. */
  private look(): void {
    const { box } = this.view;
    this.live.see(box);
    void this.learnServers();
    void this.labels.update(this.view.view.zoom, box);
    this.points.ask();
  }

  private press({ lat, lon, px, py }: Press): void {
    if (this.report) {
      this.report.setPosition(lat, lon);
      return;
    }
    const hit = this.points.hit(px, py);
    if (hit?.kind === 'client') {
      this.select(hit.id);
    } else if (hit) {
      const center = this.view.map.unproject([hit.px, hit.py]);
      this.view.flyTo(center.lat, center.lng, this.view.view.zoom + 2);
    } else if (this.panel.isOpen && this.points.selected !== null) {
      this.panel.close();
    } else if (this.session.rights.places) {
      showPlacesAround(this, lat, lon);
    }
  }

  private hover(press: Press | null): void {
    const hit = press && this.points.hit(press.px, press.py);
    this.view.map.getCanvas().classList.toggle('is-over', hit !== null && !this.report);
    const hovered = hit?.kind === 'client' ? hit.id : null;
    if (hovered === this.points.hovered) return;
    this.points.hovered = hovered;
    this.points.ask();
  }

  private connectLive(): void {
    // A report begins a glide from where the client is drawn, so its frame has time.
    this.live.changed.listen(() => this.points.ask(REPORT_MS));
    this.live.stateChanged.listen((state) => this.showConnection(state));
    this.live.followedChanged.listen((client) => {
      this.clientPanel?.update(client);
      this.showTrail();
    });
  }

  private connectSession(): void {
    const { session } = this;
    session.moved.listen(({ from, to }) => {
      this.notify(`${from.name} does not answer. The page uses ${to.name} now.`);
      this.labels.clear();
      this.look();
    });
    session.rightsChanged.listen(() => {
      this.panel.close();
      this.labels.clear();
      this.showRights();
      if (session.isOpen) this.start();
    });
    session.tokenNeeded.listen((why) => this.tokens.open(textOf(`the herd does not take the token any more: ${why}`)));
    addEventListener('online', () => this.look());
    matchMedia('(prefers-reduced-motion: reduce)').addEventListener('change', ({ matches }) => {
      this.live.store.glides = !matches;
    });
  }

  private connectTools(): void {
    const press = (id: string, act: () => void) => byId(id).addEventListener('click', act);
    press('show-list', () => this.toggleList());
    press('show-report', () => this.toggleReport());
    press('show-herd', () => this.toggleHerd());
    press('herd-close', () => this.setHerd(false));
    press('show-token', () => this.tokens.open());
    press('switch-theme', () => this.theme.next());
    byId('herd').addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || event.defaultPrevented) return;
      event.stopPropagation();
      this.setHerd(false);
    });
    this.panel.onChange = () => {
      byId('show-list').setAttribute('aria-expanded', String(this.list !== null));
      byId('show-report').setAttribute('aria-expanded', String(this.report !== null));
    };
    this.showTheme();
  }

  private list: ClientList | null = null;

  private toggleList(): void {
    if (this.list) {
      this.panel.close();
      return;
    }
    const list = new ClientList(this);
    const onClose = () => {
      list.close();
      this.list = null;
    };
    this.panel.show({ title: 'Clients in view', element: list.element, onClose, takesFocus: true });
    this.list = list;
    this.panel.onChange?.();
  }

  private toggleReport(): void {
    if (this.report) {
      this.panel.close();
      return;
    }
    const report = new ReportPanel(this);
    const onClose = () => {
      report.close();
      this.report = null;
    };
    this.panel.show({ title: 'Report a position', element: report.element, onClose, takesFocus: true });
    this.report = report;
    const { lat, lon } = this.view.pointAt(...this.panelOffset());
    report.setPosition(lat, lon);
    this.panel.onChange?.();
  }

  private toggleHerd(): void {
    const isOpen = byId('herd').hidden !== false;
    this.setHerd(isOpen);
    if (isOpen) byId('herd').focus({ preventScroll: true });
  }

  private setHerd(isOpen: boolean): void {
    const element = byId('herd');
    const hadFocus = element.contains(document.activeElement);
    element.hidden = !isOpen;
    document.body.classList.toggle('has-herd', isOpen);
    byId('show-herd').setAttribute('aria-expanded', String(isOpen));
    if (isOpen && !this.herd) this.herd = mountHerd(byId('herd-body'), this.session);
    this.herd?.setActive(isOpen);
    if (!isOpen && hadFocus) byId('show-herd').focus();
  }

  /** Hides what the token does not allow. */
  private showRights(): void {
    const { rights, info } = this.session;
    byId('show-list').hidden = !rights.read;
    byId('search').hidden = !rights.read;
    byId('show-report').hidden = !rights.report;
    byId('show-herd').hidden = !rights.operate;
    byId('show-token').hidden = !info.tokens;
    if (!rights.operate) this.setHerd(false);
  }

  private showConnection(state: StreamState): void {
    const { name } = this.session.server;
    const shown = byId('connection');
    if (state.kind === 'lost' && shown.dataset.state === 'live') {
      this.announce(`No answer from ${name}. The page tries again.`);
    }
    shown.dataset.state = state.kind;
    setText(byId('connection-text'), this.connectionText(state, name));
    shown.title = state.kind === 'refused' || state.kind === 'lost' ? textOf(state.why) : '';
    if (state.kind === 'refused') this.notify(textOf(state.why));
  }

  private connectionText(state: StreamState, name: string): string {
    switch (state.kind) {
      case 'live':
        return `Live from ${name}`;
      case 'connecting':
        return `Connecting to ${name}`;
      case 'lost':
        return `No answer from ${name}`;
      case 'refused':
        return `${name} has refused the stream`;
      case 'idle':
        return this.session.isOpen ? name : 'A token is needed';
    }
  }

  private showCount(): void {
    const { store } = this.live;
    const count = byId('count');
    count.hidden = store.count === 0;
    setText(count, whole(this.points.sorted.inView));
    count.dataset.count = String(store.count);
    const hint = byId('hint');
    hint.hidden = store.leftOut === 0;
    if (store.leftOut > 0) {
      setText(hint, `More than ${whole(CLIENTS_MAX)} clients are here. Zoom in to see all of them.`);
    }
  }

  private showTheme(): void {
    const { choice } = this.theme;
    const button = byId('switch-theme');
    const text = choice === 'system' ? 'Theme: as the system' : `Theme: ${choice}`;
    button.setAttribute('aria-label', text);
    button.title = text;
  }
}

async function begin(): Promise<void> {
  const theme = new Theme();
  const base = new URL('.', document.baseURI).href;
  for (let failures = 0; ; failures += 1) {
    try {
      new Page(await Session.begin(base), theme).start();
      return;
    } catch (error) {
      byId('connection').dataset.state = 'lost';
      setText(byId('connection-text'), textOf(error));
      // A server that does not answer, or has no room, may answer later. A fault of the page does not go away by itself.
      const isTemporary = error instanceof TypeError || error instanceof DOMException || error instanceof Problem;
      if (!isTemporary) throw error;
      await new Promise((resolve) => setTimeout(resolve, Math.min(1000 * 2 ** failures, 10_000)));
    }
  }
}

void begin();
