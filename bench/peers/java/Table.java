import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Iterator;
import java.util.concurrent.ConcurrentHashMap;

/** The newest record of each client, which all threads share. */
final class Table {
    static final long SECOND = 1_000_000_000L;
    /** A client's clock may be so far ahead of the server's. */
    static final long AHEAD_MAX = 5 * SECOND;

    private final ConcurrentHashMap<Key, Record> records = new ConcurrentHashMap<>();

    /** A client's ID. A thread has one key that it changes for each search, so that a search makes no object. */
    static class Key {
        byte[] bytes;
        int start;
        int end;
        int hash;

        final Key set(byte[] bytes, int start, int end) {
            this.bytes = bytes;
            this.start = start;
            this.end = end;
            int hash = 0;
            for (int at = start; at < end; at++) {
                hash = 31 * hash + bytes[at];
            }
            this.hash = hash;
            return this;
        }

        @Override
        public final int hashCode() {
            return hash;
        }

        @Override
        public final boolean equals(Object other) {
            return other instanceof Key key && hash == key.hash
                && Arrays.equals(bytes, start, end, key.bytes, key.start, key.end);
        }
    }

    /** A client's record, which is its own key. The fields of the key never change. */
    static final class Record extends Key {
        private long version;
        private byte[] line;

        /** The AT line with its end. The array never changes. */
        synchronized byte[] line() {
            return line;
        }

        /** Keeps a record if it wins. Returns whether it did. */
        private synchronized boolean offer(long version, byte[] bytes, int start, int end) {
            if (line != null) {
                if (version < this.version) {
                    return false;
                }
                if (version == this.version
                    && (Arrays.equals(bytes, start, end, line, 0, line.length)
                        || !winsTie(Arrays.copyOfRange(bytes, start, end), line))) {
                    return false;
                }
            }
            this.version = version;
            line = Arrays.copyOfRange(bytes, start, end);
            return true;
        }
    }

    int size() {
        return records.size();
    }

    /** All records, also those that come meanwhile. */
    Iterator<Record> all() {
        return records.values().iterator();
    }

    /** The record of a client, or null. */
    Record find(Key client) {
        return records.get(client);
    }

    /** Keeps a client's AT line if it wins. Returns the client's record if it did, and null otherwise. */
    Record keep(Key client, long version, byte[] bytes, int start, int end) {
        Record held = records.get(client);
        if (held == null) {
            Record made = new Record();
            byte[] id = Arrays.copyOfRange(client.bytes, client.start, client.end);
            made.set(id, 0, id.length);
            held = records.putIfAbsent(made, made);
            if (held == null) {
                held = made;
            }
        }
        return held.offer(version, bytes, start, end) ? held : null;
    }

    /**
     * What decides between two records with the same version. The record that was received first wins, then the newer
     * timestamp, then the greater name of a server. What is left only has to be the same at every server.
     */
    private static boolean winsTie(byte[] line, byte[] held) {
        String[] ours = new String(line, StandardCharsets.ISO_8859_1).trim().split(" ");
        String[] theirs = new String(held, StandardCharsets.ISO_8859_1).trim().split(" ");
        int order = Long.compareUnsigned(received(theirs), received(ours));
        order = order != 0 ? order : Long.compareUnsigned(nanos(ours[5]), nanos(theirs[5]));
        for (int field : new int[] {1, 4, 5}) {
            order = order != 0 ? order : ours[field].compareTo(theirs[field]);
        }
        return order > 0;
    }

    private static long received(String[] fields) {
        return nanos(fields[5]) + Long.parseLong(fields[2].replace(".", ""));
    }

    private static long nanos(String stamp) {
        byte[] bytes = (stamp + "\n").getBytes(StandardCharsets.ISO_8859_1);
        Scanner scanner = new Scanner();
        scanner.timestamp(bytes, 0);
        return scanner.nanos;
    }

    /** Scans numbers. What it scans ends with another byte, at the latest with the end of the line. */
    static final class Scanner {
        private static final long[] POWERS = new long[10];

        static {
            long power = 1;
            for (int digits = 0; digits < POWERS.length; digits++, power *= 10) {
                POWERS[digits] = power;
            }
        }

        /** The last timestamp, nanoseconds. At most 9999999999.999999999 s, which is more than a signed long holds. */
        long nanos;

        /** Scans a timestamp. Returns the position behind it, or -1. */
        int timestamp(byte[] bytes, int start) {
            int at = start;
            long seconds = 0;
            int digit;
            while ((digit = bytes[at] - '0') >= 0 && digit <= 9) {
                seconds = 10 * seconds + digit;
                at++;
            }
            if (at == start || at - start > 10) {
                return -1;
            }
            nanos = seconds * SECOND;
            if (bytes[at] != '.') {
                return at;
            }
            int first = ++at;
            long fraction = 0;
            while ((digit = bytes[at] - '0') >= 0 && digit <= 9) {
                fraction = 10 * fraction + digit;
                at++;
            }
            if (at == first || at - first > 9) {
                return -1;
            }
            nanos += fraction * POWERS[9 - (at - first)];
            return at;
        }

        /** Scans a signed coordinate of at most so many degrees. Returns the position behind it, or -1. */
        int coordinate(byte[] bytes, int start, int degreesMax) {
            if (bytes[start] != '+' && bytes[start] != '-') {
                return -1;
            }
            int at = start + 1;
            int whole = 0;
            int digit;
            while ((digit = bytes[at] - '0') >= 0 && digit <= 9 && at - start <= 4) {
                whole = 10 * whole + digit;
                at++;
            }
            if (at == start + 1 || at - start > 4) {
                return -1;
            }
            boolean hasFraction = false;
            if (bytes[at] == '.') {
                int first = ++at;
                while ((digit = bytes[at] - '0') >= 0 && digit <= 9) {
                    hasFraction |= digit > 0;
                    at++;
                }
                if (at == first || at - first > 12) {
                    return -1;
                }
            }
            return whole < degreesMax || whole == degreesMax && !hasFraction ? at : -1;
        }
    }
}
