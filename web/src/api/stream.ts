// One live stream of clients, over a WebSocket. The page says which clients it wants, and the stream tells the events
// of the herd. If the connection ends, the stream connects again, after a wait that grows; if the server is gone, it
// goes on with another server of the herd.
//
// Each time a stream begins anew, the server first tells the whole state: `reset`, the clients, `synced`. So a reader
// keeps nothing of an earlier state that the new one does not have.
//
// A browser notices a dead connection only after minutes. The page therefore asks the server of a stream that has been
// silent for long whether it is still there.

import type { Session } from './session';
import type { Client, StreamMessage } from './wire';

/** The parameters of `/v1/stream`. */
export interface Wanted {
  readonly box?: readonly [south: number, west: number, north: number, east: number];
  readonly ids?: readonly string[];
  readonly where?: string;
}

/** How a stream is. */
export type StreamState =
  /** Nothing is wanted. */
  | { readonly kind: 'idle' }
  /** The connection is being opened, or the state is still on its way. */
  | { readonly kind: 'connecting' }
  /** Changes arrive as they happen. */
  | { readonly kind: 'live' }
  /** The connection is lost. */
  | { readonly kind: 'lost'; readonly retryAtMs: number; readonly why: string }
  /** The server does not want to tell this. */
  | { readonly kind: 'refused'; readonly why: string };

/** Whoever reads a stream. */
export interface StreamReader {
  /** The state comes now, and replaces all that was known. */
  reset(): void;
  /** A client's report. `isNews`: it has just arrived at the server, and does not belong to the state. */
  location(client: Client, isNews: boolean): void;
  /** A client matches no more. `isGone`: the herd knows it no more. */
  removed(id: string, isGone: boolean): void;
  /** The state is complete. */
  synced(): void;
  /** The stream is in another state. */
  stateChanged(state: StreamState): void;
}

/** The first wait before connecting again, milliseconds. Each further failure doubles it. */
export const RETRY_MS_MIN = 400;
/** The longest wait before connecting again, milliseconds. */
export const RETRY_MS_MAX = 10_000;
/** The silence after which the page asks whether the server is still there, milliseconds. */
const SILENCE_MS_MAX = 5_000;

/** The server does not want to tell this: the token has ended, or more clients match than a stream may hold. */
const POLICY = 1008;

type Socket = Pick<WebSocket, 'send' | 'close' | 'onopen' | 'onmessage' | 'onclose' | 'onerror'>;

/** The wait after some failures in a row, milliseconds. `random` is from 0 to 1. */
export function retryMs(failures: number, random: number): number {
  const wait = Math.min(RETRY_MS_MIN * 2 ** Math.min(failures, 16), RETRY_MS_MAX);
  return wait / 2 + (random * wait) / 2;
}

export class Stream {
  private socket: Socket | null = null;
  /** The base URL of the server of the socket. */
  private base = '';
  private isOpen = false;
  private wanted: Wanted | null = null;
  private current: StreamState = { kind: 'idle' };
  private isNews = false;
  private failures = 0;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private silenceTimer: ReturnType<typeof setTimeout> | undefined;
  private heardAtMs = 0;
  /** The number of the newest subscription. Answers to earlier ones do not matter any more. */
  private asked = 0;

  constructor(
    private readonly session: Session,
    private readonly reader: StreamReader,
    private readonly open: (url: string) => Socket = (url) => new WebSocket(url),
  ) {}

  get state(): StreamState {
    return this.current;
  }

  /** Asks for other clients. `null`: for none, which ends the connection. */
  want(wanted: Wanted | null): void {
    this.wanted = wanted;
    if (!wanted) {
      this.drop();
      this.become({ kind: 'idle' });
      return;
    }
    if (!this.socket) {
      if (this.current.kind !== 'lost') this.connect();
      return;
    }
    if (this.isOpen) this.subscribe();
  }

  /** Connects again: to another server, or with another token. */
  restart(): void {
    this.failures = 0;
    // A connection that is being opened to the right server shows the present token once it is open.
    if (!this.wanted || (this.socket && !this.isOpen && this.base === this.session.server.base)) return;
    this.connect();
  }

  /** Ends the stream for good. */
  close(): void {
    this.want(null);
  }

  private become(state: StreamState): void {
    this.current = state;
    this.reader.stateChanged(state);
  }

  private drop(): void {
    clearTimeout(this.retryTimer);
    clearTimeout(this.silenceTimer);
    const socket = this.socket;
    this.socket = null;
    this.isOpen = false;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
    socket.close();
  }

  private connect(): void {
    this.drop();
    this.become({ kind: 'connecting' });
    this.base = this.session.server.base;
    const url = this.session.url('v1/ws');
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    let socket: Socket;
    try {
      socket = this.open(url.href);
    } catch {
      this.lost('the connection cannot be opened');
      return;
    }
    this.socket = socket;
    socket.onopen = () => {
      this.isOpen = true;
      this.heardAtMs = performance.now();
      this.session.showToken((token) => socket.send(JSON.stringify({ token })));
      this.subscribe();
      this.watchSilence();
    };
    socket.onmessage = (message) => {
      this.heardAtMs = performance.now();
      this.hear(JSON.parse(String(message.data)) as StreamMessage);
    };
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      this.socket = null;
      if (event.code === POLICY) this.refuse(event.reason || 'the server does not allow this');
      else this.lost(event.reason || 'the connection is lost');
    };
  }

  private subscribe(): void {
    if (!this.wanted || !this.socket) return;
    this.isNews = false;
    this.asked += 1;
    this.socket.send(JSON.stringify({ subscribe: this.wanted, ref: String(this.asked) }));
    if (this.current.kind !== 'connecting') this.become({ kind: 'connecting' });
  }

  private hear(message: StreamMessage): void {
    switch (message.event) {
      case 'location':
        this.reader.location(message.data, this.isNews);
        return;
      case 'left':
      case 'gone':
        this.reader.removed(message.data.id, message.event === 'gone');
        return;
      case 'reset':
        this.isNews = false;
        this.reader.reset();
        return;
      case 'synced':
        this.isNews = true;
        this.failures = 0;
        this.reader.synced();
        this.become({ kind: 'live' });
        return;
      case undefined:
        if (message.error !== undefined && (message.ref === undefined || message.ref === String(this.asked))) {
          this.refuse(message.error);
        }
        return;
      default:
    }
  }

  private refuse(why: string): void {
    this.drop();
    this.become({ kind: 'refused', why });
    // The token may be the reason: it was revoked, or it is past its end.
    void this.session.checkToken();
  }

  private lost(why: string): void {
    this.drop();
    const wait = retryMs(this.failures, Math.random());
    this.failures += 1;
    this.become({ kind: 'lost', retryAtMs: performance.now() + wait, why });
    // The page's server may be gone for good: then another one takes its place at once.
    void this.session.findServer();
    this.retryTimer = setTimeout(() => {
      void this.session.findServer().then(() => {
        if (this.wanted && !this.socket && this.current.kind === 'lost') this.connect();
      });
    }, wait);
  }

  private watchSilence(): void {
    clearTimeout(this.silenceTimer);
    this.silenceTimer = setTimeout(async () => {
      const socket = this.socket;
      if (!socket) return;
      if (performance.now() - this.heardAtMs >= SILENCE_MS_MAX) {
        const isThere = (await this.session.findServer()) && this.session.server.base === this.base;
        if (this.socket !== socket) return;
        if (!isThere) {
          this.lost('the server does not answer');
          return;
        }
        this.heardAtMs = performance.now();
      }
      this.watchSilence();
    }, SILENCE_MS_MAX);
  }
}
