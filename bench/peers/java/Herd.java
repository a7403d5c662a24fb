import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * One server of an application-server herd in Java, on non-blocking channels.
 *
 * What makes it fast: few threads, each with a selector and connections of its own; direct buffers for the kernel, and
 * arrays for everything else; lines are scanned as bytes, and a client that is known costs no new object but its line;
 * all complete lines of one read are answered with one write; what goes to a neighbor is written once per turn of a
 * selector.
 */
final class Herd {
    final String name;
    final Map<String, InetSocketAddress> neighbors = new LinkedHashMap<>();
    final Table table = new Table();
    /** The links that are up. The array is replaced, and never changed. */
    private volatile Link[] links = {};

    private Herd(String name) {
        this.name = name;
    }

    public static void main(String[] arguments) throws IOException {
        String name = null;
        InetSocketAddress listen = null;
        InetSocketAddress peer = null;
        int threads = 1;
        Map<String, InetSocketAddress> neighbors = new LinkedHashMap<>();
        for (int at = 0; at + 1 < arguments.length; at += 2) {
            String value = arguments[at + 1];
            switch (arguments[at]) {
                case "--name" -> name = value;
                case "--listen" -> listen = address(value);
                case "--peer" -> peer = address(value);
                case "--threads" -> threads = Integer.parseInt(value);
                case "--neighbor" -> {
                    int equals = value.indexOf('=');
                    neighbors.put(value.substring(0, equals), address(value.substring(equals + 1)));
                }
                default -> throw new IllegalArgumentException("unknown argument " + arguments[at]);
            }
        }
        if (name == null || listen == null || peer == null || threads < 1 || arguments.length % 2 == 1) {
            System.err.println("usage: Herd --name NAME --listen HOST:PORT --peer HOST:PORT"
                + " [--neighbor NAME=HOST:PORT]... [--threads N]");
            System.exit(2);
        }
        Herd herd = new Herd(name);
        herd.neighbors.putAll(neighbors);
        herd.serve(listen, peer, threads);
    }

    private static InetSocketAddress address(String text) {
        int colon = text.lastIndexOf(':');
        return new InetSocketAddress(text.substring(0, colon), Integer.parseInt(text.substring(colon + 1)));
    }

    /** Starts the threads. The virtual machine ends itself at SIGTERM. */
    private void serve(InetSocketAddress listen, InetSocketAddress peer, int threads) throws IOException {
        Loop[] loops = new Loop[threads];
        for (int number = 0; number < threads; number++) {
            loops[number] = new Loop(this, loops);
        }
        loops[0].listen(peer, true);
        loops[0].listen(listen, false);
        neighbors.forEach((neighbor, where) -> {
            // Of two neighbors, the one whose name sorts first dials.
            if (name.compareTo(neighbor) < 0) {
                loops[0].keepDialing(neighbor, where);
            }
        });
        for (int number = 0; number < threads; number++) {
            new Thread(loops[number], "loop-" + number).start();
        }
        say("ready");
    }

    Link[] links() {
        return links;
    }

    /** Adds a link, in the place of an older one with the same neighbor. */
    synchronized void linked(Link link) {
        Link[] more = new Link[links.length + 1];
        int count = 0;
        for (Link other : links) {
            if (other.name.equals(link.name)) {
                other.close();
            } else {
                more[count++] = other;
            }
        }
        more[count++] = link;
        links = java.util.Arrays.copyOf(more, count);
        say("linked " + link.name);
    }

    synchronized void lost(Link link) {
        Link[] others = java.util.Arrays.stream(links).filter(other -> other != link).toArray(Link[]::new);
        if (others.length < links.length) {
            links = others;
            say("lost " + link.name);
        }
    }

    private static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
