"""One server of an application-server herd in Python, on asyncio or uvloop.

What makes it fast: protocols with callbacks instead of streams; all complete lines of one read are handled together and
answered with one write; one compiled regular expression finds, checks and splits a client's line; bytes are never
decoded; what goes to a neighbor is written once per turn of the event loop. There is no task, no future and no timer
per line.
"""

import argparse
import asyncio
import contextlib
import gc
import itertools
import random
import re
import signal
import socket
import time

SECOND = 1_000_000_000
AHEAD_MAX = 5 * SECOND
LINE_LEN_MAX = 8192
ECHO_LEN = 64
# Records that are written together to a neighbor that comes up or catches up.
SLICE_LEN = 2048
BACKOFF_MIN, BACKOFF_MAX = 0.05, 2.0

NEARBY = b'\n{\n  "html_attributions": [],\n  "results": [],\n  "status": "OK"\n}\n'

# The text of a client's lines. The last alternative matches every line, so nothing is left out between two matches.
# `lastindex` tells the alternatives apart: 3 is a report, 6 is a question, 7 is anything else.
LINE = re.compile(
    rb"[ \t\r\f\v]*IAMAT[ \t\r\f\v]+(\S{1,256})[ \t\r\f\v]+"
    rb"([+-](?:0?[0-8]?[0-9](?:\.[0-9]{1,12})?|0?90(?:\.0{1,12})?)"
    rb"[+-](?:(?:0?[0-9]{1,2}|1[0-7][0-9])(?:\.[0-9]{1,12})?|180(?:\.0{1,12})?))"
    rb"[ \t\r\f\v]+([0-9]{1,10}(?:\.[0-9]{1,9})?)[ \t\r\f\v]*\n"
    rb"|[ \t\r\f\v]*WHATSAT[ \t\r\f\v]+(\S{1,256})[ \t\r\f\v]+([0-9]{1,2}(?:\.[0-9]{1,9})?)"
    rb"[ \t\r\f\v]+([0-9]{1,2})[ \t\r\f\v]*\n"
    rb"|([^\n]*)\n"
)
REPORT, QUESTION = 3, 6
HTTP = re.compile(rb"\s*[!#$%&'*+.^_`|~0-9A-Za-z-]+\s.*\sHTTP/[0-9]\.[0-9]\s*")


def nanos(stamp):
    """The nanoseconds of a timestamp, exactly."""
    if len(stamp) == 20 and stamp[10] == 46:
        return int(stamp[:10] + stamp[11:])
    seconds, _, fraction = stamp.partition(b".")
    return int(seconds + fraction.ljust(9, b"0"))


def signed_nanos(difference):
    """The nanoseconds of a difference in an AT line. It always has nine decimals."""
    return int(difference.replace(b".", b""))


def say(*words):
    """Prints an event. Nobody need read it."""
    with contextlib.suppress(BrokenPipeError):
        print(*words, flush=True)


def tie(line):
    """What decides between two records with the same version: the one that sorts first is kept.

    The record that was received first wins, then the newer timestamp, then the greater name of a server. What is left
    only has to be the same at every server.
    """
    _, server, difference, _, coordinates, stamp = line.split(b" ")
    inverted = tuple(-byte for byte in server)
    return nanos(stamp) + signed_nanos(difference), -nanos(stamp), inverted, coordinates, stamp


class Herd:
    """The records of this server, and its links.

    `table` maps a client to its version and its AT line. `links` holds the links that are up.
    """

    def __init__(self, name):
        self.name = name.encode()
        self.table = {}
        self.links = {}
        self.is_flush_due = False
        self.loop = asyncio.get_running_loop()

    def flood(self, lines, clients, source):
        """Hands news to all links but the one it came from. They leave before the event loop waits again."""
        joined = None
        for link in self.links.values():
            if link is source:
                continue
            if link.dirty is not None:
                link.dirty.update(dict.fromkeys(clients))
                continue
            if joined is None:
                joined = b"\n".join(lines) + b"\n"
            link.pending.append(joined)
            if not self.is_flush_due:
                self.is_flush_due = True
                self.loop.call_soon(self.flush)

    def flush(self):
        self.is_flush_due = False
        for link in self.links.values():
            link.flush()


class Client(asyncio.Protocol):
    """A connection of a client."""

    def __init__(self, herd):
        self.herd = herd
        self.tail = b""
        self.is_refused = False
        self.plus = b"AT %b +" % herd.name
        self.minus = b"AT %b -" % herd.name

    def connection_made(self, transport):
        # asyncio and uvloop have set TCP_NODELAY.
        self.transport = transport

    def pause_writing(self):
        # A client that does not read its replies is not read either.
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()

    def data_received(self, data):
        if self.is_refused:
            return
        if self.tail:
            data = self.tail + data
        end = data.rfind(b"\n") + 1
        self.tail = data[end:]
        if end:
            self.take(data, end)
        if len(self.tail) > LINE_LEN_MAX:
            self.transport.write(b"? " + self.tail[:ECHO_LEN] + b"\n")
            self.refuse()

    def eof_received(self):
        # The last line may end with the stream. The transport closes itself once everything is written.
        if self.tail:
            line, self.tail = self.tail + b"\n", b""
            self.take(line, len(line))

    def take(self, data, end):
        """Answers all lines of `data` up to `end`."""
        now = time.time_ns()
        table = self.herd.table
        plus, minus = self.plus, self.minus
        replies, news, clients = [], [], []
        is_refused = False
        for match in LINE.finditer(data, 0, end):
            kind = match.lastindex
            if kind == REPORT:
                client, coordinates, stamp = match.group(1, 2, 3)
                if len(stamp) == 20 and stamp[10] == 46:
                    version = int(stamp[:10] + stamp[11:])
                else:
                    version = nanos(stamp)
                difference = now - version
                if difference >= 0:
                    line = b"%b%d.%09d %b %b %b" % (plus, *divmod(difference, SECOND), client, coordinates, stamp)
                else:
                    line = b"%b%d.%09d %b %b %b" % (minus, *divmod(-difference, SECOND), client, coordinates, stamp)
                    version = min(version, now + AHEAD_MAX)
                replies.append(line)
                held = table.get(client)
                if held is None or version > held[0] or version == held[0] and tie(line) < tie(held[1]):
                    table[client] = (version, line)
                    news.append(line)
                    clients.append(client)
            elif kind == QUESTION:
                held = table.get(match[4])
                if held is not None and 0 < float(match[5]) <= 50 and int(match[6]) <= 20:
                    replies.append(held[1] + NEARBY)
                else:
                    replies.append(b"? " + match[0][:-1])
            else:
                line = match[7]
                is_too_long = len(line) > LINE_LEN_MAX
                if is_too_long or HTTP.fullmatch(line):
                    replies.append(b"? " + (line[:ECHO_LEN] if is_too_long else line))
                    is_refused = True
                    break
                if line and not line.isspace():
                    replies.append(b"? " + line)
        if replies:
            self.transport.write(b"\n".join(replies) + b"\n")
        if is_refused:
            self.refuse()
        if news:
            self.herd.flood(news, clients, None)

    def refuse(self):
        """Ends the connection. What still comes is read and thrown away, so that the last reply arrives."""
        self.is_refused = True
        self.tail = b""
        self.transport.write_eof()


class Link(asyncio.Protocol):
    """A connection with a neighbor. Each end says its name first, and then sends its whole table.

    While the neighbor takes what it is sent, news are appended to `pending`. Otherwise `dirty` has the clients whose
    records it lacks, and the records are sent as they are by then. So a slow neighbor costs a bounded amount of memory.
    """

    def __init__(self, herd, neighbors, dialed):
        self.herd = herd
        self.neighbors = neighbors
        self.dialed = dialed
        self.name = None
        self.tail = b""
        self.pending = []
        self.dirty = None
        self.is_paused = False
        self.closed = herd.loop.create_future()

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        transport.set_write_buffer_limits(high=1 << 20)
        transport.write(b"HELLO %b\n" % self.herd.name)

    def connection_lost(self, error):
        if self.herd.links.get(self.name) is self:
            del self.herd.links[self.name]
            say("lost", self.name.decode())
        self.closed.set_result(None)

    def pause_writing(self):
        self.is_paused = True
        if self.dirty is None:
            self.dirty = {}

    def resume_writing(self):
        self.is_paused = False
        self.catch_up()

    def catch_up(self):
        """Sends a slice of the records that the neighbor lacks. The next slice follows in the next turn of the loop."""
        if self.is_paused or self.dirty is None or self.transport.is_closing():
            return
        if not self.dirty:
            self.dirty = None
            return
        clients = list(itertools.islice(self.dirty, SLICE_LEN))
        for client in clients:
            del self.dirty[client]
        table = self.herd.table
        self.transport.write(b"".join([table[client][1] + b"\n" for client in clients]))
        self.herd.loop.call_soon(self.catch_up)

    def flush(self):
        pending = self.pending
        if pending:
            self.pending = []
            self.transport.write(pending[0] if len(pending) == 1 else b"".join(pending))

    def data_received(self, data):
        if self.tail:
            data = self.tail + data
        lines = data.split(b"\n")
        self.tail = lines.pop()
        if self.name is None and lines:
            self.greet(lines.pop(0))
        if lines and not self.transport.is_closing():
            self.take(lines)

    def greet(self, line):
        name = line.removeprefix(b"HELLO ")
        if name not in self.neighbors or self.dialed not in (None, name):
            self.transport.close()
            return
        self.name = name
        old = self.herd.links.get(name)
        if old is not None:
            old.transport.abort()
        self.herd.links[name] = self
        say("linked", name.decode())
        self.dirty = dict.fromkeys(self.herd.table)
        self.catch_up()

    def take(self, lines):
        """Merges a neighbor's records. Those that are news go on to all other neighbors."""
        table = self.herd.table
        news, clients = [], []
        for line in lines:
            _, _, difference, client, _, stamp = line.split(b" ")
            held = table.get(client)
            if held is not None and held[1] == line:
                continue
            if len(stamp) == 20 and stamp[10] == 46:
                version = int(stamp[:10] + stamp[11:])
            else:
                version = nanos(stamp)
            if difference[0] == 45:
                version += min(signed_nanos(difference) + AHEAD_MAX, 0)
            if held is None or version > held[0] or version == held[0] and tie(line) < tie(held[1]):
                table[client] = (version, line)
                news.append(line)
                clients.append(client)
        if news:
            self.herd.flood(news, clients, self)


async def keep_dialing(herd, name, address):
    """Keeps a link up. Of two neighbors, the one whose name sorts first dials."""
    neighbors, backoff = {name}, BACKOFF_MIN
    while True:
        try:
            _, link = await herd.loop.create_connection(lambda: Link(herd, neighbors, name), *address)
        except OSError:
            pass
        else:
            await link.closed
            if link.name is not None:
                backoff = BACKOFF_MIN
        await asyncio.sleep(backoff * random.uniform(0.5, 1))
        backoff = min(2 * backoff, BACKOFF_MAX)


def address(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def neighbor(text):
    name, _, where = text.partition("=")
    return name.encode(), address(where)


def arguments():
    parser = argparse.ArgumentParser(description="One server of a herd in Python.")
    parser.add_argument("--name", required=True)
    parser.add_argument("--listen", type=address, required=True, metavar="HOST:PORT", help="address for clients")
    parser.add_argument("--peer", type=address, required=True, metavar="HOST:PORT", help="address for neighbors")
    parser.add_argument("--neighbor", type=neighbor, action="append", default=[], metavar="NAME=HOST:PORT")
    parser.add_argument("--uvloop", action="store_true", help="use the event loop of uvloop")
    return parser.parse_args()


async def serve(options):
    herd = Herd(options.name)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        herd.loop.add_signal_handler(number, stop.set)
    neighbors = dict(options.neighbor)
    await herd.loop.create_server(lambda: Link(herd, neighbors, None), *options.peer, backlog=128)
    await herd.loop.create_server(lambda: Client(herd), *options.listen, backlog=4096)
    dialing = [
        herd.loop.create_task(keep_dialing(herd, name, where))
        for name, where in neighbors.items()
        if herd.name < name
    ]
    # Records form no cycles, so the collector would search all of them in vain.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    say("ready")
    await stop.wait()
    for task in dialing:
        task.cancel()


def main():
    options = arguments()
    if options.uvloop:
        import uvloop

        loop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(serve(options))


main()
