// The clients of the view, live: one stream whose box is the view with a margin, and a second one for the selected
// client, so that the page follows it when it leaves the view. The stream gets another box when the view leaves its
// box, or shows only a small part of it. So what the server sends is bounded by what is in view.
//
// This module connects the streams with the store and the trails. It draws nothing.

import type { Session } from '../api/session';
import { Stream, type StreamReader, type StreamState } from '../api/stream';
import type { Client } from '../api/wire';
import { area, type Box, contains, isInside, widened } from '../base/box';
import { xOf, yOf } from '../base/mercator';
import { Signal } from '../base/signal';
import type { ClientStore } from './store';
import { Trails } from './trails';

/** The part of the view's width and height that the box adds at each side. */
const MARGIN = 0.3;
/** The least time between two boxes, milliseconds. A flight over the map passes many boxes. */
const ASK_MS_MIN = 250;
/** If the box has more than this many times the area of the view with its margin, a smaller box is asked for. */
const AREA_RATIO_MAX = 5;

export class LiveClients {
  /** Something in the store has changed. */
  readonly changed = new Signal<void>();
  /** The stream of the view is in another state. */
  readonly stateChanged = new Signal<StreamState>();
  /** The followed client has reported, or is not known any more. */
  readonly followedChanged = new Signal<Client | null>();
  readonly trails = new Trails();
  private readonly stream: Stream;
  private readonly following: Stream;
  private box: Box | null = null;
  private askedAtMs = Number.NEGATIVE_INFINITY;
  private askTimer: ReturnType<typeof setTimeout> | undefined;
  private followed: string | null = null;
  private followedState: Client | null = null;
  /** The followed client was known before its stream began anew. */
  private mayBeLost = false;

  constructor(
    private readonly session: Session,
    readonly store: ClientStore,
  ) {
    this.stream = new Stream(session, this.viewReader());
    this.following = new Stream(session, this.followReader());
    session.rightsChanged.listen(() => this.restart());
    session.moved.listen(() => this.restart());
  }

  get state(): StreamState {
    return this.stream.state;
  }

  /** The map shows this box now. */
  see(view: Box): void {
    clearTimeout(this.askTimer);
    if (this.box && isInside(view, this.box) && !isMuchLarger(this.box, widened(view, MARGIN))) return;
    const waitMs = this.askedAtMs + ASK_MS_MIN - performance.now();
    if (waitMs > 0) {
      // Where the flight is by then decides.
      this.askTimer = setTimeout(() => this.see(view), waitMs);
      return;
    }
    this.askedAtMs = performance.now();
    this.box = widened(view, MARGIN);
    this.ask();
  }

  /** Follows a client wherever it goes. `null`: follows none. */
  follow(id: string | null): void {
    if (this.followed === id) return;
    this.leaveBehind();
    this.followed = id;
    this.followedState = null;
    this.mayBeLost = false;
    // A star at the end would stand for many clients.
    const wanted = id !== null && !id.endsWith('*') && this.session.rights.read ? { ids: [id] } : null;
    this.following.want(wanted);
  }

  /** Forgets the followed client if it is outside of the box: the stream of the view will tell nothing about it. */
  private leaveBehind(): void {
    const { box, followedState } = this;
    if (!box || !followedState || contains(box, followedState.lat, followedState.lon)) return;
    this.store.remove(followedState.id);
    this.changed.emit();
  }

  /** The newest report of a client that the page knows. */
  get(id: string): Client | undefined {
    return this.store.get(id) ?? (this.followedState?.id === id ? this.followedState : undefined);
  }

  private ask(): void {
    if (!this.box) return;
    if (!this.session.rights.read) {
      this.stream.want(null);
      return;
    }
    const [south, west, north, east] = this.box.map((degrees) => Number(degrees.toFixed(6))) as unknown as Box;
    this.stream.want({ box: [south, west, north, east] });
  }

  private restart(): void {
    if (!this.session.rights.read) {
      this.stream.close();
      this.following.close();
      this.store.clear();
      this.trails.clear();
      this.changed.emit();
      return;
    }
    this.stream.restart();
    this.following.restart();
    this.ask();
  }

  private take(client: Client, isNews: boolean): void {
    if (this.store.put(client, performance.now())) {
      this.trails.add(client.id, xOf(client.lon), yOf(client.lat));
      if (isNews) this.session.reports.emit(client);
    }
  }

  /** Whether the stream of the view alone tells of the followed client. */
  private get isFollowedHere(): boolean {
    return this.following.state.kind === 'idle';
  }

  /** Forgets the followed client, because the herd does not know it any more. */
  private lose(id: string): void {
    this.trails.remove(id);
    this.store.remove(id);
    this.changed.emit();
    this.followedChanged.emit(null);
  }

  /** A new state of the view does not have the followed client, and neither has the followed client's own stream. */
  private missFollowed(): void {
    const { followed, following } = this;
    if (followed === null || this.get(followed)) return;
    if (this.isFollowedHere || following.state.kind === 'live') this.followedChanged.emit(null);
  }

  private viewReader(): StreamReader {
    return {
      reset: () => this.store.beginState(),
      location: (client, isNews) => {
        this.take(client, isNews);
        this.changed.emit();
        // No stream of its own can name a client whose ID ends in a star or is no text.
        if (client.id === this.followed) this.followedChanged.emit(client);
      },
      removed: (id, isGone) => {
        // Whoever is forgotten has no trail here either.
        if (isGone) this.trails.remove(id);
        if (id !== this.followed) this.store.remove(id);
        else if (isGone && this.isFollowedHere) this.lose(id);
        this.changed.emit();
      },
      synced: () => {
        // The followed client belongs to every state, wherever it is.
        if (this.followedState) this.store.put(this.followedState, performance.now());
        this.store.endState();
        this.changed.emit();
        this.missFollowed();
      },
      stateChanged: (state) => this.stateChanged.emit(state),
    };
  }

  private followReader(): StreamReader {
    return {
      reset: () => {
        this.mayBeLost ||= this.followedState !== null;
        this.followedState = null;
      },
      location: (client) => {
        if (client.id !== this.followed) return;
        this.followedState = client;
        this.take(client, false);
        this.changed.emit();
        this.followedChanged.emit(client);
      },
      removed: (id, isGone) => {
        if (id !== this.followed) return;
        if (isGone) this.trails.remove(id);
        this.followedState = null;
        this.store.remove(id);
        this.changed.emit();
        this.followedChanged.emit(null);
      },
      synced: () => {
        const { followed, followedState, mayBeLost } = this;
        this.mayBeLost = false;
        if (followed === null || followedState !== null) return;
        // This stream can name the client, so it is gone, even if the view still shows it.
        if (mayBeLost) this.lose(followed);
        else this.followedChanged.emit(this.store.get(followed) ?? null);
      },
      stateChanged: () => {},
    };
  }
}

function isMuchLarger(box: Box, wanted: Box): boolean {
  return area(box) > AREA_RATIO_MAX * area(wanted);
}
