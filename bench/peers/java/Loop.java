import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.Arrays;
import java.util.Queue;
import java.util.Timer;
import java.util.TimerTask;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ThreadLocalRandom;

/** A thread with its selector, its connections, and the buffers that they share. */
final class Loop implements Runnable {
    private static final int BUFFER_LEN = 256 * 1024;
    private static final int BACKLOG = 4096;
    private static final long BACKOFF_MIN_MS = 50;
    private static final long BACKOFF_MAX_MS = 2000;

    final Herd herd;
    final Bytes input = new Bytes(BUFFER_LEN);
    final Bytes replies = new Bytes(BUFFER_LEN);
    final Link.News news = new Link.News();
    final Table.Key key = new Table.Key();
    final Table.Scanner scanner = new Table.Scanner();
    private final Loop[] all;
    private final Selector selector;
    private final ByteBuffer direct = ByteBuffer.allocateDirect(BUFFER_LEN);
    private final Queue<Connection> adopted = new ConcurrentLinkedQueue<>();
    private final Timer timer = new Timer("dial", true);
    private boolean hasFlooded;
    private int nextLoop;
    private volatile Thread thread;

    Loop(Herd herd, Loop[] all) throws IOException {
        this.herd = herd;
        this.all = all;
        selector = Selector.open();
    }

    /** Bytes that are appended at the end and taken at the front. */
    static final class Bytes {
        byte[] array;
        int start;
        int end;

        Bytes(int capacity) {
            array = new byte[capacity];
        }

        int length() {
            return end - start;
        }

        void clear() {
            start = 0;
            end = 0;
        }

        void reserve(int length) {
            if (end + length <= array.length) {
                return;
            }
            byte[] into = 2 * (length() + length) <= array.length ? array : new byte[2 * (length() + length)];
            System.arraycopy(array, start, into, 0, length());
            end -= start;
            start = 0;
            array = into;
        }

        void append(byte[] bytes, int from, int to) {
            reserve(to - from);
            System.arraycopy(bytes, from, array, end, to - from);
            end += to - from;
        }
    }

    /** One end of a connection. Its loop calls these methods, each from the loop's own thread. */
    abstract static class Connection {
        final SocketChannel channel;
        final Loop loop;
        SelectionKey selection;

        Connection(SocketChannel channel, Loop loop) {
            this.channel = channel;
            this.loop = loop;
        }

        /** Takes all that the loop's input has. The return value is the number of bytes that were taken. */
        abstract int take(Bytes input) throws IOException;

        /** The bytes of an earlier read that were not taken. */
        byte[] tail = {};

        abstract void opened() throws IOException;

        abstract void writable() throws IOException;

        abstract void ended() throws IOException;

        abstract void closed();

        final void close() {
            try {
                channel.close();
            } catch (IOException error) {
                // The descriptor is gone all the same.
            }
            closed();
        }
    }

    void listen(InetSocketAddress address, boolean isForNeighbors) throws IOException {
        ServerSocketChannel server = ServerSocketChannel.open();
        server.setOption(StandardSocketOptions.SO_REUSEADDR, true);
        server.bind(address, BACKLOG);
        server.configureBlocking(false);
        server.register(selector, SelectionKey.OP_ACCEPT, isForNeighbors);
    }

    /** Keeps a link up. A thread for all neighbors dials, and this loop serves the link. */
    void keepDialing(String neighbor, InetSocketAddress address) {
        dialIn(0, neighbor, address, BACKOFF_MIN_MS);
    }

    private void dialIn(long pause, String neighbor, InetSocketAddress address, long backoff) {
        timer.schedule(new TimerTask() {
            @Override
            public void run() {
                Runnable again = () -> dialIn(ThreadLocalRandom.current().nextLong(backoff / 2, backoff), neighbor,
                    address, Math.min(2 * backoff, BACKOFF_MAX_MS));
                try {
                    SocketChannel channel = SocketChannel.open(address);
                    adopt(new Link(channel, Loop.this, neighbor, (wasUp) -> {
                        if (wasUp) {
                            dialIn(BACKOFF_MIN_MS, neighbor, address, BACKOFF_MIN_MS);
                        } else {
                            again.run();
                        }
                    }));
                } catch (IOException error) {
                    again.run();
                }
            }
        }, pause);
    }

    private void adopt(Connection connection) {
        adopted.add(connection);
        selector.wakeup();
    }

    @Override
    public void run() {
        thread = Thread.currentThread();
        try {
            while (true) {
                selector.select(this::ready);
                for (Connection connection = adopted.poll(); connection != null; connection = adopted.poll()) {
                    open(connection);
                }
                flushLinks();
            }
        } catch (IOException error) {
            throw new IllegalStateException("the selector does not work", error);
        }
    }

    /** What was flooded in this turn leaves before the thread waits again. */
    private void flushLinks() {
        if (!hasFlooded) {
            return;
        }
        hasFlooded = false;
        for (Link link : herd.links()) {
            link.flush();
        }
    }

    private void ready(SelectionKey selection) {
        if (selection.attachment() instanceof Connection connection) {
            serve(connection, selection);
            return;
        }
        try {
            SocketChannel channel = ((ServerSocketChannel) selection.channel()).accept();
            if (channel == null) {
                return;
            }
            if ((boolean) selection.attachment()) {
                open(new Link(channel, this, null, wasUp -> { }));
            } else {
                Loop loop = all[nextLoop++ % all.length];
                Client client = new Client(channel, loop);
                if (loop == this) {
                    open(client);
                } else {
                    loop.adopt(client);
                }
            }
        } catch (IOException error) {
            System.err.println("cannot accept: " + error);
        }
    }

    private void open(Connection connection) {
        try {
            connection.channel.configureBlocking(false);
            connection.channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
            connection.selection = connection.channel.register(selector, SelectionKey.OP_READ, connection);
            connection.opened();
        } catch (IOException error) {
            connection.close();
        }
    }

    private void serve(Connection connection, SelectionKey selection) {
        try {
            if (selection.isValid() && selection.isWritable()) {
                connection.writable();
            }
            if (selection.isValid() && selection.isReadable()) {
                read(connection);
            }
        } catch (IOException error) {
            connection.close();
        }
    }

    private void read(Connection connection) throws IOException {
        direct.clear();
        int count = connection.channel.read(direct);
        if (count < 0) {
            connection.ended();
            return;
        }
        input.clear();
        input.append(connection.tail, 0, connection.tail.length);
        input.reserve(count);
        direct.flip().get(input.array, input.end, count);
        input.end += count;
        int taken = connection.take(input);
        connection.tail = taken == input.end ? Client.NOTHING : Arrays.copyOfRange(input.array, taken, input.end);
    }

    /** Writes from the front of `bytes` as much as the socket takes. Only this loop's thread may call it. */
    void write(SocketChannel channel, Bytes bytes) throws IOException {
        write(channel, bytes, direct);
    }

    static void write(SocketChannel channel, Bytes bytes, ByteBuffer direct) throws IOException {
        while (bytes.length() > 0) {
            direct.clear();
            direct.put(bytes.array, bytes.start, Math.min(bytes.length(), direct.capacity())).flip();
            int count = channel.write(direct);
            bytes.start += count;
            if (direct.hasRemaining()) {
                return;
            }
        }
        bytes.clear();
    }

    /** Hands the news of this turn to all links but the one they came from. */
    void flood(Link source) {
        for (Link link : herd.links()) {
            if (link != source) {
                link.add(news);
            }
        }
        news.clear();
        hasFlooded = true;
    }

    /** Makes this loop look for what a connection now waits for. */
    void wake() {
        if (thread != Thread.currentThread()) {
            selector.wakeup();
        }
    }
}
