// One server of an application-server herd in Node.js.
//
// What makes it fast: all complete lines of one read are handled together and answered with one write; a client's line
// is scanned as bytes, once, and only the client's ID and the AT line become strings; what goes to a neighbor is
// written once per turn of the event loop; buffers are used again once the kernel has taken their bytes. There is no
// promise, no callback and no timer per line.

import net from 'node:net';
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { parseArgs } from 'node:util';

const LF = 10, SPACE = 32, PLUS = 43, MINUS = 45, POINT = 46, ZERO = 48;
const LINE_LEN_MAX = 8192, ECHO_LEN = 64;
const AHEAD_MAX_S = 5;
const POWERS = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
// A socket with more unwritten bytes than this gets no more for a while.
const UNWRITTEN_MAX = 1 << 20;
// Records that are written together to a neighbor that comes up or catches up.
const SLICE_LEN = 2048;
const BACKOFF_MIN_MS = 50, BACKOFF_MAX_MS = 2000;

const NEARBY = Buffer.from('{\n  "html_attributions": [],\n  "results": [],\n  "status": "OK"\n}\n\n');
const HTTP = /^[\t-\r ]*[!#$%&'*+.^_`|~0-9A-Za-z-]+[\t-\r ][^]*[\t-\r ]HTTP\/\d\.\d[\t-\r ]*$/;
const REPORT = /^[\t-\r ]*IAMAT[\t-\r ]+([^\t-\r ]+)[\t-\r ]+([^\t-\r ]+)[\t-\r ]+([^\t-\r ]+)[\t-\r ]*$/;
const QUESTION =
    /^[\t-\r ]*WHATSAT[\t-\r ]+([^\t-\r ]{1,256})[\t-\r ]+(\d{1,2}(?:\.\d{1,9})?)[\t-\r ]+(\d{1,2})[\t-\r ]*$/;

// The records: a client's ID to its version (seconds and nanoseconds) and its AT line. Strings have one byte for each
// byte of the wire (latin1).
const table = new Map();
// The links that are up, by the neighbor's name.
const links = new Map();

const { values: options } = parseArgs({
    options: {
        name: { type: 'string' },
        listen: { type: 'string' },
        peer: { type: 'string' },
        neighbor: { type: 'string', multiple: true, default: [] },
    },
});
const prefix = Buffer.from(`AT ${options.name} `, 'latin1');
const neighbors = new Map(options.neighbor.map((text) => {
    const [name, where] = text.split('=');
    return [name, address(where)];
}));

function address(text) {
    const at = text.lastIndexOf(':');
    return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) };
}

// Bytes that are appended, and then sent with one write. The buffer is kept if the kernel takes everything at once.
class Outgoing {
    constructor(length) {
        this.bytes = Buffer.allocUnsafeSlow(length);
        this.length = 0;
    }

    // Makes room for so many bytes more.
    reserve(length) {
        if (this.length + length > this.bytes.length) {
            const larger = Buffer.allocUnsafeSlow(2 * (this.length + length));
            this.bytes.copy(larger, 0, 0, this.length);
            this.bytes = larger;
        }
    }

    append(bytes, start, end) {
        this.reserve(end - start);
        bytes.copy(this.bytes, this.length, start, end);
        this.length += end - start;
    }

    appendText(text) {
        this.reserve(text.length);
        this.length += this.bytes.latin1Write(text, this.length, text.length);
    }

    sendTo(socket) {
        socket.write(this.bytes.subarray(0, this.length));
        this.length = 0;
        if (socket.writableLength > 0) {
            this.bytes = Buffer.allocUnsafeSlow(this.bytes.length);
        }
    }
}

// All clients share these: each read is handled to its end before the next.
const replies = new Outgoing(256 * 1024);
const news = new Outgoing(256 * 1024);
// The clients of the news, in the same order.
const newsClients = [];

// The time of this read.
let nowSeconds = 0, nowNanos = 0;

function readClock() {
    const millis = performance.timeOrigin + performance.now();
    nowSeconds = Math.floor(millis / 1000);
    nowNanos = Math.floor((millis - nowSeconds * 1000) * 1e6);
}

// The last scanned timestamp.
let seconds = 0, nanos = 0;

// Scans a timestamp. Returns the position behind it, or -1.
function scanTimestamp(bytes, start) {
    let at = start, digit;
    seconds = 0;
    nanos = 0;
    while ((digit = bytes[at] - ZERO) >= 0 && digit <= 9) {
        seconds = seconds * 10 + digit;
        at += 1;
    }
    if (at === start || at - start > 10) return -1;
    if (bytes[at] !== POINT) return at;
    const first = at += 1;
    while ((digit = bytes[at] - ZERO) >= 0 && digit <= 9) {
        if (at - first === 9) return -1;
        nanos = nanos * 10 + digit;
        at += 1;
    }
    if (at === first) return -1;
    nanos *= POWERS[9 - (at - first)];
    return at;
}

// Scans a signed coordinate of at most `max` degrees. Returns the position behind it, or -1.
function scanCoordinate(bytes, start, max) {
    if (bytes[start] !== PLUS && bytes[start] !== MINUS) return -1;
    let at = start + 1, digit, whole = 0, isFractional = false;
    while ((digit = bytes[at] - ZERO) >= 0 && digit <= 9) {
        whole = whole * 10 + digit;
        at += 1;
    }
    if (at === start + 1 || at - start > 4) return -1;
    if (bytes[at] === POINT) {
        const first = at += 1;
        while ((digit = bytes[at] - ZERO) >= 0 && digit <= 9) {
            isFractional ||= digit > 0;
            at += 1;
        }
        if (at === first || at - first > 12) return -1;
    }
    return whole < max || (whole === max && !isFractional) ? at : -1;
}

// Appends the AT line of a report to the replies, and keeps the report if it is news. `span` is the report's three
// fields with single spaces between them. Its timestamp has been scanned.
function takeReport(bytes, spanStart, clientEnd, spanEnd) {
    replies.reserve(spanEnd - spanStart + prefix.length + 32);
    const out = replies.bytes, lineStart = replies.length;
    let at = lineStart;
    for (let from = 0; from < prefix.length; from++) out[at++] = prefix[from];
    let [differenceS, differenceNs] = [nowSeconds - seconds, nowNanos - nanos];
    let [versionS, versionNs] = [seconds, nanos];
    if (differenceS < 0 || (differenceS === 0 && differenceNs < 0)) {
        out[at++] = MINUS;
        [differenceS, differenceNs] = [-differenceS, -differenceNs];
        if (isNewer(versionS, versionNs, nowSeconds + AHEAD_MAX_S, nowNanos)) {
            [versionS, versionNs] = [nowSeconds + AHEAD_MAX_S, nowNanos];
        }
    } else {
        out[at++] = PLUS;
    }
    if (differenceNs < 0) {
        differenceS -= 1;
        differenceNs += 1e9;
    }
    at = writeDigits(out, at, differenceS, differenceS < 10 ? 1 : String(differenceS).length);
    out[at++] = POINT;
    at = writeDigits(out, at, differenceNs, 9);
    out[at++] = SPACE;
    for (let from = spanStart; from < spanEnd; from++) out[at++] = bytes[from];
    out[at++] = LF;
    replies.length = at;
    keep(bytes.latin1Slice(spanStart, clientEnd), versionS, versionNs, out, lineStart, at - 1);
}

function writeDigits(out, at, number, width) {
    for (let place = at + width - 1; place >= at; place--) {
        const rest = Math.floor(number / 10);
        out[place] = ZERO + number - rest * 10;
        number = rest;
    }
    return at + width;
}

function isNewer(aSeconds, aNanos, bSeconds, bNanos) {
    return aSeconds > bSeconds || (aSeconds === bSeconds && aNanos > bNanos);
}

// Keeps a record if it wins. Then it is news.
function keep(client, versionS, versionNs, bytes, lineStart, lineEnd) {
    const held = table.get(client);
    if (held === undefined) {
        const line = bytes.latin1Slice(lineStart, lineEnd);
        table.set(client, { seconds: versionS, nanos: versionNs, line });
    } else {
        if (isNewer(held.seconds, held.nanos, versionS, versionNs)) return;
        const line = bytes.latin1Slice(lineStart, lineEnd);
        const isTied = held.seconds === versionS && held.nanos === versionNs;
        if (isTied && (line === held.line || !winsTie(line, held.line))) return;
        held.seconds = versionS;
        held.nanos = versionNs;
        held.line = line;
    }
    news.append(bytes, lineStart, lineEnd + 1);
    newsClients.push(client);
}

// What decides between two records with the same version. The record that was received first wins, then the newer
// timestamp, then the greater name of a server. What is left only has to be the same at every server.
function winsTie(line, held) {
    const keys = [line, held].map((text) => {
        const [, server, difference, , coordinates, stamp] = text.split(' ');
        const [whole, fraction = ''] = stamp.split('.');
        const sent = BigInt(whole + fraction.padEnd(9, '0'));
        return [-(sent + BigInt(difference.replace('.', '').replace('+', ''))), sent, server, coordinates, stamp];
    });
    const differing = keys[0].findIndex((part, place) => part !== keys[1][place]);
    return differing >= 0 && keys[0][differing] > keys[1][differing];
}

// Whether `IAMAT ` is there. Byte by byte, because a call of Buffer's methods costs more.
function startsReport(bytes, at) {
    return bytes[at] === 73 && bytes[at + 1] === 65 && bytes[at + 2] === 77 && bytes[at + 3] === 65
        && bytes[at + 4] === 84 && bytes[at + 5] === SPACE;
}

// Handles a client's line. Returns the position behind it, or -1 if the connection must be closed.
function takeLine(bytes, start) {
    if (startsReport(bytes, start)) {
        const spanStart = start + 6;
        let at = spanStart;
        while (bytes[at] > SPACE) at++;
        const clientEnd = at, length = at - spanStart;
        if (bytes[at] === SPACE && length > 0 && length <= 256) {
            at = scanCoordinate(bytes, at + 1, 90);
            if (at > 0) at = scanCoordinate(bytes, at, 180);
            if (at > 0 && bytes[at] === SPACE) at = scanTimestamp(bytes, at + 1);
            else at = -1;
            if (at > 0 && bytes[at] === LF) {
                takeReport(bytes, spanStart, clientEnd, at);
                return at + 1;
            }
        }
    }
    const end = bytes.indexOf(LF, start);
    return takeOther(bytes.latin1Slice(start, end)) ? end + 1 : -1;
}

// Handles a line that is no report in the usual form. Returns false if the connection must be closed.
function takeOther(line) {
    if (line.length > LINE_LEN_MAX) {
        replies.appendText(`? ${line.slice(0, ECHO_LEN)}\n`);
        return false;
    }
    const question = QUESTION.exec(line);
    if (question !== null) {
        const held = table.get(question[1]), radius = Number(question[2]);
        if (held !== undefined && radius > 0 && radius <= 50 && Number(question[3]) <= 20) {
            replies.appendText(held.line + '\n');
            replies.append(NEARBY, 0, NEARBY.length);
            return true;
        }
    }
    const report = REPORT.exec(line);
    if (report !== null) {
        // With single spaces it has the usual form, unless a field is wrong.
        const tidy = Buffer.from(`${report[1]} ${report[2]} ${report[3]}\n`, 'latin1'), clientEnd = report[1].length;
        let at = clientEnd <= 256 ? scanCoordinate(tidy, clientEnd + 1, 90) : -1;
        if (at > 0) at = scanCoordinate(tidy, at, 180);
        if (at > 0) at = tidy[at] === SPACE ? scanTimestamp(tidy, at + 1) : -1;
        if (at > 0 && tidy[at] === LF) {
            takeReport(tidy, 0, clientEnd, at);
            return true;
        }
    }
    if (/[^\t-\r ]/.test(line)) {
        replies.appendText(`? ${line}\n`);
    }
    return !HTTP.test(line);
}

// Serves a client.
function serveClient(socket) {
    let tail = null;
    const take = (bytes, end) => {
        readClock();
        let at = 0;
        while (at >= 0 && at < end) at = takeLine(bytes, at);
        if (replies.length > 0) replies.sendTo(socket);
        if (news.length > 0) flood(null);
        if (at < 0) close();
        // A client that does not read its replies is not read either.
        else if (socket.writableLength > UNWRITTEN_MAX) socket.pause();
    };
    const close = () => {
        tail = null;
        socket.removeAllListeners('data');
        // What still comes is read and thrown away, so that the last reply arrives.
        socket.resume();
        socket.end();
    };
    socket.on('data', (chunk) => {
        const bytes = tail === null ? chunk : Buffer.concat([tail, chunk]);
        const end = bytes.lastIndexOf(LF) + 1;
        tail = end === bytes.length ? null : bytes.subarray(end);
        if (end > 0) take(bytes, end);
        if (tail !== null && tail.length > LINE_LEN_MAX) {
            replies.appendText(`? ${tail.latin1Slice(0, ECHO_LEN)}\n`);
            replies.sendTo(socket);
            close();
        }
    });
    socket.on('drain', () => socket.resume());
    // The last line may end with the stream.
    socket.on('end', () => {
        if (tail !== null) {
            const bytes = Buffer.concat([tail, Buffer.from('\n')]);
            take(bytes, bytes.length);
        }
        socket.end();
    });
    // `close` follows.
    socket.on('error', () => {});
}

let isFlushDue = false;

// Hands the news to all links but the one they came from. They leave when all ready sockets were read.
function flood(source) {
    for (const link of links.values()) {
        if (link !== source) link.addNews();
    }
    news.length = 0;
    newsClients.length = 0;
    if (!isFlushDue && links.size > 0) {
        isFlushDue = true;
        setImmediate(flushLinks);
    }
}

function flushLinks() {
    isFlushDue = false;
    for (const link of links.values()) link.flush();
}

// A connection with a neighbor. Each end says its name first, and then sends its whole table.
//
// While the neighbor takes what it is sent, news are appended to `pending`. Otherwise `dirty` has the clients whose
// records it lacks, and the records are sent as they are by then. So a slow neighbor costs a bounded amount of memory.
class Link {
    constructor(socket, dialed) {
        this.socket = socket;
        this.dialed = dialed;
        this.name = null;
        this.tail = null;
        this.pending = new Outgoing(64 * 1024);
        this.dirty = null;
        socket.setKeepAlive(true);
        socket.on('data', (chunk) => this.take(chunk));
        socket.on('drain', () => this.catchUp());
        socket.on('end', () => socket.end());
        socket.on('error', () => {});
        socket.on('close', () => {
            if (links.get(this.name) !== this) return;
            links.delete(this.name);
            console.log(`lost ${this.name}`);
        });
        socket.write(`HELLO ${options.name}\n`);
    }

    addNews() {
        if (this.dirty === null) {
            this.pending.append(news.bytes, 0, news.length);
            return;
        }
        for (const client of newsClients) this.dirty.add(client);
    }

    flush() {
        if (this.pending.length === 0) return;
        this.pending.sendTo(this.socket);
        if (this.socket.writableLength > UNWRITTEN_MAX) this.dirty = new Set();
    }

    // Sends a slice of the records that the neighbor lacks. The next slice follows in the next turn of the event loop.
    catchUp() {
        if (this.dirty === null || this.socket.writableLength > UNWRITTEN_MAX || this.socket.destroyed) return;
        if (this.dirty.size === 0) {
            this.dirty = null;
            return;
        }
        let text = '', count = 0;
        for (const client of this.dirty) {
            this.dirty.delete(client);
            text += table.get(client).line + '\n';
            if (++count === SLICE_LEN) break;
        }
        this.socket.write(text, 'latin1');
        setImmediate(() => this.catchUp());
    }

    take(chunk) {
        const bytes = this.tail === null ? chunk : Buffer.concat([this.tail, chunk]);
        const end = bytes.lastIndexOf(LF) + 1;
        this.tail = end === bytes.length ? null : bytes.subarray(end);
        let at = 0;
        if (this.name === null && end > 0) {
            at = bytes.indexOf(LF) + 1;
            if (!this.greet(bytes.latin1Slice(0, at - 1))) return;
        }
        while (at < end) at = this.takeRecord(bytes, at);
        if (news.length > 0) flood(this);
    }

    greet(line) {
        const name = line.startsWith('HELLO ') ? line.slice(6) : '';
        if (!neighbors.has(name) || (this.dialed !== null && this.dialed !== name)) {
            this.socket.destroy();
            return false;
        }
        this.name = name;
        links.get(name)?.socket.destroy();
        links.set(name, this);
        console.log(`linked ${name}`);
        this.dirty = new Set(table.keys());
        this.catchUp();
        return true;
    }

    // Merges a record: AT, server, difference, client, coordinates, timestamp. Returns the position behind it.
    takeRecord(bytes, start) {
        const differenceStart = bytes.indexOf(SPACE, start + 3) + 1;
        const clientStart = bytes.indexOf(SPACE, differenceStart) + 1;
        let at = clientStart;
        while (bytes[at] !== SPACE) at++;
        const clientEnd = at++;
        while (bytes[at] !== SPACE) at++;
        const end = scanTimestamp(bytes, at + 1);
        if (end < 0 || bytes[end] !== LF) {
            this.socket.destroy(new Error('a neighbor sent a wrong record'));
            return bytes.length;
        }
        let [versionS, versionNs] = [seconds, nanos];
        if (bytes[differenceStart] === MINUS) {
            const [ahead, aheadNs] = bytes.latin1Slice(differenceStart + 1, clientStart - 1).split('.').map(Number);
            if (ahead >= AHEAD_MAX_S) {
                versionS -= ahead - AHEAD_MAX_S;
                versionNs -= aheadNs;
                if (versionNs < 0) {
                    versionS -= 1;
                    versionNs += 1e9;
                }
            }
        }
        keep(bytes.latin1Slice(clientStart, clientEnd), versionS, versionNs, bytes, start, end);
        return end + 1;
    }
}

// Keeps a link up. Of two neighbors, the one whose name sorts first dials.
function keepDialing(name, where) {
    let backoff = BACKOFF_MIN_MS;
    const dial = () => {
        let link = null;
        const socket = net.connect({ ...where, noDelay: true }, () => {
            link = new Link(socket, name);
        });
        socket.on('error', () => {});
        socket.on('close', () => {
            if (link?.name) backoff = BACKOFF_MIN_MS;
            setTimeout(dial, backoff * (0.5 + Math.random() / 2));
            backoff = Math.min(2 * backoff, BACKOFF_MAX_MS);
        });
    };
    dial();
}

function listen(server, where) {
    return new Promise((resolve, reject) => {
        server.on('error', reject);
        server.listen({ ...where, backlog: 4096 }, resolve);
    });
}

// Nobody need read what is printed.
process.stdout.on('error', () => {});
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
await listen(net.createServer({ noDelay: true }, (socket) => new Link(socket, null)), address(options.peer));
await listen(net.createServer({ noDelay: true, allowHalfOpen: true }, serveClient), address(options.listen));
for (const [name, where] of neighbors) {
    if (options.name < name) keepDialing(name, where);
}
console.log('ready');
