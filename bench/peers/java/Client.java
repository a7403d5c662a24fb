import java.io.IOException;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A connection of a client. */
final class Client extends Loop.Connection {
    static final byte[] NOTHING = {};
    private static final int LINE_LEN_MAX = 8192;
    private static final int ECHO_LEN = 64;
    private static final int ID_LEN_MAX = 256;
    private static final byte[] IAMAT = "IAMAT ".getBytes(StandardCharsets.ISO_8859_1);
    private static final byte[] NEARBY =
        "{\n  \"html_attributions\": [],\n  \"results\": [],\n  \"status\": \"OK\"\n}\n\n"
            .getBytes(StandardCharsets.ISO_8859_1);
    private static final Pattern REPORT = Pattern.compile("\\s*IAMAT\\s+(\\S+)\\s+(\\S+)\\s+(\\S+)\\s*");
    private static final Pattern QUESTION =
        Pattern.compile("\\s*WHATSAT\\s+(\\S{1,256})\\s+([0-9]{1,2}(?:\\.[0-9]{1,9})?)\\s+([0-9]{1,2})\\s*");
    private static final Pattern HTTP =
        Pattern.compile("\\s*[!#$%&'*+.^_`|~0-9A-Za-z-]+\\s.*\\sHTTP/[0-9]\\.[0-9]\\s*", Pattern.DOTALL);
    private static final Pattern BLANK = Pattern.compile("\\s*");

    private final byte[] prefix;
    /** Replies that the socket has not taken. While there are some, the client is not read. Null: there are none. */
    private Loop.Bytes unwritten;
    /** After the reply to a line that ends the connection, everything is read and thrown away. */
    private boolean isRefused;
    private boolean hasEnded;

    Client(SocketChannel channel, Loop loop) {
        super(channel, loop);
        prefix = ("AT " + loop.herd.name + " ").getBytes(StandardCharsets.ISO_8859_1);
    }

    @Override
    void opened() { }

    @Override
    void closed() { }

    @Override
    int take(Loop.Bytes input) throws IOException {
        if (isRefused) {
            return input.end;
        }
        int end = input.end;
        while (end > 0 && input.array[end - 1] != '\n') {
            end--;
        }
        takeLines(input.array, end);
        if (!isRefused && input.end - end > LINE_LEN_MAX) {
            refuse(text(input.array, end, end + ECHO_LEN));
        }
        reply();
        return isRefused ? input.end : end;
    }

    /** The last line may end with the stream. */
    @Override
    void ended() throws IOException {
        hasEnded = true;
        if (!isRefused && tail.length > 0) {
            Loop.Bytes line = new Loop.Bytes(tail.length + 1);
            line.append(tail, 0, tail.length);
            line.append(new byte[] {'\n'}, 0, 1);
            takeLines(line.array, line.end);
        }
        reply();
    }

    @Override
    void writable() throws IOException {
        if (unwritten != null) {
            loop.write(channel, unwritten);
            afterWrite();
        }
    }

    private void reply() throws IOException {
        Loop.Bytes replies = loop.replies;
        if (unwritten == null) {
            loop.write(channel, replies);
        }
        if (replies.length() > 0) {
            if (unwritten == null) {
                unwritten = new Loop.Bytes(replies.length());
            }
            unwritten.append(replies.array, replies.start, replies.end);
            replies.clear();
        }
        if (unwritten != null || isRefused || hasEnded) {
            afterWrite();
        }
    }

    private void afterWrite() throws IOException {
        if (unwritten != null && unwritten.length() > 0) {
            selection.interestOps(SelectionKey.OP_WRITE);
            return;
        }
        unwritten = null;
        if (hasEnded) {
            close();
            return;
        }
        if (isRefused) {
            channel.shutdownOutput();
        }
        selection.interestOps(SelectionKey.OP_READ);
    }

    /** Handles complete lines. */
    private void takeLines(byte[] bytes, int end) {
        // The clock of the system has microseconds or better.
        java.time.Instant instant = java.time.Instant.now();
        long now = instant.getEpochSecond() * Table.SECOND + instant.getNano();
        int at = 0;
        while (at < end && !isRefused) {
            int behind = takeReport(bytes, at, now);
            if (behind < 0) {
                behind = at;
                while (bytes[behind] != '\n') {
                    behind++;
                }
                takeOther(text(bytes, at, behind), now);
                behind++;
            }
            at = behind;
        }
        if (loop.news.length() > 0) {
            loop.flood(null);
        }
    }

    /** Handles a report with single spaces, the usual form. Returns the position behind it, or -1 for other lines. */
    private int takeReport(byte[] bytes, int start, long now) {
        for (int at = 0; at < IAMAT.length; at++) {
            if (bytes[start + at] != IAMAT[at]) {
                return -1;
            }
        }
        int idStart = start + IAMAT.length;
        int idEnd = idStart;
        // Bytes from 0x80 on are negative, and no white space.
        while (bytes[idEnd] > ' ' || bytes[idEnd] < 0) {
            idEnd++;
        }
        if (bytes[idEnd] != ' ' || idEnd == idStart || idEnd - idStart > ID_LEN_MAX) {
            return -1;
        }
        int at = loop.scanner.coordinate(bytes, idEnd + 1, 90);
        at = at < 0 ? at : loop.scanner.coordinate(bytes, at, 180);
        at = at < 0 || bytes[at] != ' ' ? -1 : loop.scanner.timestamp(bytes, at + 1);
        if (at < 0 || bytes[at] != '\n') {
            return -1;
        }
        answer(bytes, idStart, idEnd, at + 1, now);
        return at + 1;
    }

    /** Appends the AT line of a report whose timestamp was scanned, and keeps the report if it is news. */
    private void answer(byte[] bytes, int idStart, int idEnd, int end, long now) {
        Loop.Bytes replies = loop.replies;
        replies.reserve(prefix.length + 32 + end - idStart);
        byte[] out = replies.array;
        int lineStart = replies.end;
        System.arraycopy(prefix, 0, out, lineStart, prefix.length);
        int at = lineStart + prefix.length;
        long version = loop.scanner.nanos;
        // The difference fits, although the timestamp may need 64 bits.
        long difference = now - version;
        out[at++] = (byte) (difference < 0 ? '-' : '+');
        if (difference + Table.AHEAD_MAX < 0) {
            version = now + Table.AHEAD_MAX;
        }
        at = number(out, at, Math.abs(difference));
        out[at++] = ' ';
        System.arraycopy(bytes, idStart, out, at, end - idStart);
        at += end - idStart;
        replies.end = at;
        Table.Key key = loop.key.set(bytes, idStart, idEnd);
        Table.Record record = loop.herd.table.keep(key, version, out, lineStart, at);
        if (record != null) {
            loop.news.add(record, out, lineStart, at);
        }
    }

    /** Writes nanoseconds as seconds with nine decimals. Returns the position behind them. */
    private static int number(byte[] out, int start, long nanos) {
        long seconds = nanos / Table.SECOND;
        int rest = (int) (nanos % Table.SECOND);
        int width = 1;
        for (long bound = 10; bound <= seconds; bound *= 10) {
            width++;
        }
        for (int at = start + width - 1; at >= start; at--, seconds /= 10) {
            out[at] = (byte) ('0' + seconds % 10);
        }
        int point = start + width;
        out[point] = '.';
        for (int at = point + 9; at > point; at--, rest /= 10) {
            out[at] = (byte) ('0' + rest % 10);
        }
        return point + 10;
    }

    /** Handles a line that is no report in the usual form. */
    private void takeOther(String line, long now) {
        if (line.length() > LINE_LEN_MAX) {
            refuse(line.substring(0, ECHO_LEN));
            return;
        }
        Matcher question = QUESTION.matcher(line);
        if (question.matches() && answer(question)) {
            return;
        }
        Matcher report = REPORT.matcher(line);
        if (report.matches()) {
            // With single spaces it has the usual form, unless a field is wrong.
            byte[] tidy = bytes("IAMAT " + report.group(1) + " " + report.group(2) + " " + report.group(3) + "\n");
            if (takeReport(tidy, 0, now) >= 0) {
                return;
            }
        }
        if (HTTP.matcher(line).matches()) {
            refuse(line);
        } else if (!BLANK.matcher(line).matches()) {
            append(bytes("? " + line + "\n"));
        }
    }

    private boolean answer(Matcher question) {
        double radius = Double.parseDouble(question.group(2));
        byte[] id = bytes(question.group(1));
        Table.Record record = loop.herd.table.find(loop.key.set(id, 0, id.length));
        byte[] line = record == null ? null : record.line();
        if (line == null || !(radius > 0 && radius <= 50) || Integer.parseInt(question.group(3)) > 20) {
            return false;
        }
        append(line);
        append(NEARBY);
        return true;
    }

    private void refuse(String line) {
        append(bytes("? " + line + "\n"));
        isRefused = true;
    }

    private void append(byte[] bytes) {
        loop.replies.append(bytes, 0, bytes.length);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    private static String text(byte[] bytes, int start, int end) {
        return new String(bytes, start, end - start, StandardCharsets.ISO_8859_1);
    }
}
