import java.io.IOException;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/**
 * A connection with a neighbor. Each end says its name first, and then sends its whole table.
 *
 * While the neighbor takes what it is sent, news are appended to `pending`. Otherwise `dirty` has the records that the
 * neighbor lacks, and they are sent as they are by then. So a slow neighbor costs a bounded amount of memory. Any
 * thread may add news and flush them; the lock of the link guards what is sent.
 */
final class Link extends Loop.Connection {
    /** With more unwritten bytes than this, the link sends records as they are later. */
    private static final int UNWRITTEN_MAX = 1 << 20;
    /** Records that are written together to a neighbor that comes up or catches up. */
    private static final int SLICE_LEN = 2048;

    /** The neighbor's name; null until it has said its name. */
    String name;
    private final String dialed;
    private final Consumer<Boolean> whenClosed;
    private final Loop.Bytes pending = new Loop.Bytes(64 * 1024);
    private final ByteBuffer direct = ByteBuffer.allocateDirect(64 * 1024);
    private Set<Table.Record> dirty;
    private boolean isClosed;

    /** Records that a thread must hand on, with their lines. */
    static final class News {
        private final Loop.Bytes lines = new Loop.Bytes(256 * 1024);
        private final List<Table.Record> records = new ArrayList<>();

        int length() {
            return lines.length();
        }

        void add(Table.Record record, byte[] bytes, int start, int end) {
            records.add(record);
            lines.append(bytes, start, end);
        }

        void clear() {
            lines.clear();
            records.clear();
        }
    }

    /** `dialed` is the neighbor's expected name if this server has dialed, and null otherwise. */
    Link(SocketChannel channel, Loop loop, String dialed, Consumer<Boolean> whenClosed) {
        super(channel, loop);
        this.dialed = dialed;
        this.whenClosed = whenClosed;
    }

    @Override
    synchronized void opened() throws IOException {
        channel.setOption(StandardSocketOptions.SO_KEEPALIVE, true);
        byte[] hello = ("HELLO " + loop.herd.name + "\n").getBytes(StandardCharsets.ISO_8859_1);
        pending.append(hello, 0, hello.length);
        send();
    }

    @Override
    void closed() {
        synchronized (this) {
            if (isClosed) {
                return;
            }
            isClosed = true;
        }
        loop.herd.lost(this);
        whenClosed.accept(name != null);
    }

    @Override
    void ended() {
        close();
    }

    @Override
    int take(Loop.Bytes input) throws IOException {
        int at = 0;
        int end = input.end;
        while (end > 0 && input.array[end - 1] != '\n') {
            end--;
        }
        if (name == null && end > 0) {
            while (input.array[at] != '\n') {
                at++;
            }
            greet(new String(input.array, 0, at, StandardCharsets.ISO_8859_1));
            at++;
        }
        while (at < end) {
            at = takeRecord(input.array, at);
        }
        if (loop.news.length() > 0) {
            loop.flood(this);
        }
        return end;
    }

    private void greet(String line) throws IOException {
        String said = line.startsWith("HELLO ") ? line.substring("HELLO ".length()) : "";
        if (!loop.herd.neighbors.containsKey(said) || dialed != null && !dialed.equals(said)) {
            throw new IOException("this is no neighbor: " + line);
        }
        name = said;
        synchronized (this) {
            dirty = new LinkedHashSet<>();
        }
        loop.herd.linked(this);
        synchronized (this) {
            for (Iterator<Table.Record> all = loop.herd.table.all(); all.hasNext(); ) {
                dirty.add(all.next());
            }
            catchUp();
        }
    }

    /** Merges a record: AT, server, difference, client, coordinates, timestamp. Returns the position behind it. */
    private int takeRecord(byte[] bytes, int start) throws IOException {
        int difference = behindSpace(bytes, start + 3);
        int id = behindSpace(bytes, difference);
        int idEnd = behindSpace(bytes, id) - 1;
        int end = loop.scanner.timestamp(bytes, behindSpace(bytes, idEnd + 1));
        if (end < 0 || bytes[end] != '\n') {
            throw new IOException("a neighbor sent a wrong record");
        }
        long version = loop.scanner.nanos;
        if (bytes[difference] == '-') {
            String text = new String(bytes, difference, id - 1 - difference, StandardCharsets.ISO_8859_1);
            version += Math.min(Long.parseLong(text.replace(".", "")) + Table.AHEAD_MAX, 0);
        }
        Table.Record record =
            loop.herd.table.keep(loop.key.set(bytes, id, idEnd), version, bytes, start, end + 1);
        if (record != null) {
            loop.news.add(record, bytes, start, end + 1);
        }
        return end + 1;
    }

    private static int behindSpace(byte[] bytes, int at) {
        while (bytes[at] != ' ') {
            at++;
        }
        return at + 1;
    }

    /** Adds news, which [flush] sends. */
    synchronized void add(News news) {
        if (dirty == null && pending.length() > UNWRITTEN_MAX) {
            dirty = new LinkedHashSet<>();
        }
        if (dirty == null) {
            pending.append(news.lines.array, news.lines.start, news.lines.end);
        } else {
            dirty.addAll(news.records);
        }
    }

    synchronized void flush() {
        try {
            send();
        } catch (IOException error) {
            // The loop finds the connection closed.
            loop.wake();
        }
    }

    @Override
    synchronized void writable() throws IOException {
        send();
        catchUp();
    }

    /** Sends a slice of the records that the neighbor lacks. The next one follows in the next turn of the loop. */
    private void catchUp() throws IOException {
        if (dirty == null || pending.length() > 0) {
            return;
        }
        int count = 0;
        for (Iterator<Table.Record> all = dirty.iterator(); all.hasNext() && count < SLICE_LEN; count++) {
            byte[] line = all.next().line();
            all.remove();
            if (line != null) {
                pending.append(line, 0, line.length);
            }
        }
        if (dirty.isEmpty()) {
            dirty = null;
        }
        send();
    }

    private void send() throws IOException {
        if (isClosed) {
            return;
        }
        Loop.write(channel, pending, direct);
        boolean waits = pending.length() > 0 || dirty != null;
        int wanted = SelectionKey.OP_READ | (waits ? SelectionKey.OP_WRITE : 0);
        if (selection.interestOps() != wanted) {
            selection.interestOps(wanted);
            loop.wake();
        }
    }
}
