// Follows a share: asks once what it shows, then follows a stream, and asks again and again where no stream comes
// through. `Follower` tells its reader each time something may have changed; the reader looks at the follower's fields.
//
// The token goes to the page's own server alone, as a header or in a message. It is in no error and no field that a
// reader sees.
//
// While a stream comes through, an answer that the stream does not tell shows that the connection is dead without
// saying so. The follower then asks again after `POLL_MS`, and until then the stream has had at least `UNHEARD_MS` to
// tell it. A browser may say only after minutes that a connection is closed.

import { millis } from '../base/format';
import { type End, endOf } from './ends';
import type { SharedClient } from './texts';

/** The time between two questions while no stream comes through, milliseconds. */
export const POLL_MS = 5000;
/** The time between two questions while a stream comes through, milliseconds. */
export const CHECK_MS = 30_000;
/** A stream that has not told an answer for this long is dead, milliseconds. */
export const UNHEARD_MS = 4000;
/** The time in which an answer must come, milliseconds. */
const ANSWER_MS_MAX = 15_000;
/** The shortest and the longest wait before a stream is opened again, milliseconds. */
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 30_000;
/** Timers take no longer times than about 24 days. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** What the share's path answers. */
export interface Share {
  readonly id: string;
  readonly expires: string;
  readonly client: SharedClient | null;
}

type Socket = Pick<WebSocket, 'send' | 'close' | 'onopen' | 'onmessage' | 'onclose'>;

/** What a follower uses of the browser. */
export interface Outside {
  /** The URL under which the server's paths are, with a slash at its end. */
  readonly base: string;
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** Opens a WebSocket. `null`: this browser has none. May throw. */
  readonly open: ((url: string) => Socket) | null;
  /** A number from 0 to 1. */
  random(): number;
}

/** An event of the stream, as far as a share needs it. */
interface Message {
  readonly event?: string;
  readonly error?: unknown;
  readonly data?: SharedClient;
}

export class Follower {
  /** What the share's path has told last. `null`: nothing yet. */
  share: Share | null = null;
  /** The shared client. `null`: it is not known at present. */
  client: SharedClient | null = null;
  /** Why the share shows nothing any more. */
  end: End | null = null;
  /** Whether changes come through a stream. */
  isLive = false;
  /** Whether the server answers. */
  isReachable = true;
  /** What must be added to this device's clock to get the server's, milliseconds. */
  clockOffsetMs = 0;

  private socket: Socket | null = null;
  /** What the stream has told of the state with which it begins. */
  private beginning: { client: SharedClient | null } | null = null;
  /** Since when an answer differs from what the stream has told, while the stream tells nothing. 0: it does not. */
  private unheardSince = 0;
  private failures = 0;
  private pollTimer: ReturnType<typeof setTimeout> | undefined;
  private socketTimer: ReturnType<typeof setTimeout> | undefined;
  private endTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly token: string,
    private readonly outside: Outside,
    private readonly changed: () => void,
  ) {}

  /** The server's time, milliseconds. */
  nowMs(): number {
    return Date.now() + this.clockOffsetMs;
  }

  /** Ends the following for good. */
  finish(end: End): void {
    this.end = end;
    this.client = null;
    for (const timer of [this.pollTimer, this.socketTimer, this.endTimer]) clearTimeout(timer);
    this.socket?.close();
    this.changed();
  }

  /** Asks now, and again after a while. */
  async ask(): Promise<void> {
    clearTimeout(this.pollTimer);
    if (this.end) return;
    const share = await this.read();
    if (this.end) return;
    if (share) {
      this.take(share);
    } else {
      this.isReachable = false;
      this.changed();
    }
    // Another question may have been asked meanwhile.
    clearTimeout(this.pollTimer);
    if (!this.end) this.askIn(this.isLive && this.unheardSince === 0 ? CHECK_MS : POLL_MS);
  }

  /** What the share's path answers. `null`: there is no answer, or the share has ended. */
  private async read(): Promise<Share | null> {
    try {
      const response = await this.outside.fetch(new URL('v1/share', this.outside.base).href, {
        headers: { Authorization: `Bearer ${this.token}`, Accept: 'application/json' },
        cache: 'no-store',
        credentials: 'omit',
        signal: AbortSignal.timeout(ANSWER_MS_MAX),
      });
      if (response.status === 401 || response.status === 403) {
        this.finish(endOf(response.headers.get('WWW-Authenticate')));
        return null;
      }
      if (!response.ok) return null;
      this.noteClock(response.headers.get('Date'));
      return (await response.json()) as Share;
    } catch {
      return null;
    }
  }

  private askIn(delayMs: number): void {
    this.pollTimer = setTimeout(() => void this.ask(), delayMs);
  }

  private take(share: Share): void {
    this.isReachable = true;
    this.share = share;
    if (this.isLive && this.isDeaf(share.client)) this.drop();
    // A stream that lives is never behind an answer for long.
    if (!this.isLive || share.client === null) this.client = share.client;
    this.planEnd(share);
    this.changed();
    this.follow(share);
  }

  /** Whether the stream has not told what an earlier answer told, and has told nothing else since. */
  private isDeaf(answer: SharedClient | null): boolean {
    const isTold = answer && this.client ? answer.at === this.client.at : answer === this.client;
    if (isTold || this.unheardSince === 0) {
      this.unheardSince = isTold ? 0 : performance.now();
      return false;
    }
    return performance.now() - this.unheardSince >= UNHEARD_MS;
  }

  private noteClock(date: string | null): void {
    const server = date ? Date.parse(date) : Number.NaN;
    if (Number.isNaN(server)) return;
    // The header has whole seconds.
    const offset = server + 500 - Date.now();
    this.clockOffsetMs = Math.abs(offset) < 2000 ? 0 : offset;
  }

  /** Asks again when the share's time is over. */
  private planEnd(share: Share): void {
    clearTimeout(this.endTimer);
    const left = millis(share.expires) - this.nowMs();
    this.endTimer = setTimeout(() => void this.ask(), Math.min(Math.max(left, 0) + 1000, TIMER_MS_MAX));
  }

  private follow(share: Share): void {
    // A star at the end of an ID would stand for many clients.
    if (this.socket || this.socketTimer !== undefined || this.end || share.id.endsWith('*')) return;
    const { open, base } = this.outside;
    if (!open) return;
    const url = new URL('v1/ws', base);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    let opened: Socket;
    try {
      opened = open(url.href);
    } catch {
      return;
    }
    this.socket = opened;
    opened.onopen = () => {
      opened.send(JSON.stringify({ token: this.token }));
      opened.send(JSON.stringify({ subscribe: { ids: [share.id] } }));
    };
    opened.onmessage = (message: MessageEvent) => {
      if (this.socket === opened) this.hear(JSON.parse(String(message.data)) as Message);
    };
    opened.onclose = () => {
      if (this.socket !== opened) return;
      const wasLive = this.isLive;
      this.lose();
      // The end of a stream may be the end of the share.
      if (wasLive && !this.end) void this.ask();
    };
  }

  /** Gives up a connection that is dead. */
  private drop(): void {
    const dead = this.socket;
    this.lose();
    dead?.close();
  }

  /** Follows again after a while. */
  private lose(): void {
    this.socket = null;
    this.beginning = null;
    this.isLive = false;
    this.unheardSince = 0;
    if (this.end) return;
    this.failures += 1;
    const wait = Math.min(RETRY_MS_MIN * 2 ** Math.min(this.failures, 10), RETRY_MS_MAX);
    clearTimeout(this.socketTimer);
    this.socketTimer = setTimeout(
      () => {
        this.socketTimer = undefined;
        void this.ask();
      },
      wait / 2 + (this.outside.random() * wait) / 2,
    );
  }

  private hear(message: Message): void {
    if (message.error !== undefined) {
      this.socket?.close();
      return;
    }
    // The connection lives.
    if (message.event !== undefined) this.unheardSince = 0;
    switch (message.event) {
      case 'reset':
        // The state comes now. If the client is not in it, it is not known any more.
        this.beginning = { client: null };
        return;
      case 'location':
        if (!this.hearClient(message.data, message.data ?? null)) return;
        break;
      case 'left':
      case 'gone':
        if (!this.hearClient(message.data, null)) return;
        break;
      case 'synced':
        this.hearAll();
        break;
      default:
        return;
    }
    this.changed();
  }

  /** Takes what the stream tells of a client. Returns whether it is the shared one. */
  private hearClient(told: { readonly id: string } | undefined, client: SharedClient | null): boolean {
    if (told?.id !== this.share?.id) return false;
    if (this.beginning) this.beginning.client = client;
    else this.client = client;
    return true;
  }

  /** The state is complete, and changes follow. */
  private hearAll(): void {
    if (this.beginning) this.client = this.beginning.client;
    this.beginning = null;
    this.isLive = true;
    this.isReachable = true;
    this.failures = 0;
    clearTimeout(this.pollTimer);
    this.askIn(CHECK_MS);
  }
}
