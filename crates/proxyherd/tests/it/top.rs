//! Tests of `proxyherd top` on a pseudo-terminal: what is drawn, and what the terminal is afterwards.

use std::{fs, io::Write as _, num::NonZeroU16};

use vt100::Parser;

use crate::harness::{Herd, PATIENCE, Plan, Process, eventually};

const PROGRAM: &str = env!("CARGO_BIN_EXE_proxyherd");

/// The size of the terminal that reads the output.
const ROWS: NonZeroU16 = NonZeroU16::new(60).unwrap();
const COLUMNS: NonZeroU16 = NonZeroU16::new(200).unwrap();

/// A shell on a terminal of its own, and the pipe that types into the terminal.
struct Terminal {
    process: Process,
    keys: fs::File,
}

impl Terminal {
    /// Runs a line of bash on a terminal of 80 columns and 24 lines. `script` makes the terminal.
    fn of(herd: &Herd, line: &str) -> Terminal {
        let line =
            format!("tty > tty; stty rows 24 cols 80; echo before\n{line}\necho ended $?; stty -a > after");
        herd.write_file("on_terminal", &line);
        let env = "env TERM=xterm-256color LANG=C.UTF-8";
        let start = format!("mkfifo keys && exec {env} script -qec 'bash on_terminal' /dev/null < keys");
        let process = Process::bash(herd.dir(), &start);
        let keys = eventually("the pipe of keys is there", || {
            fs::OpenOptions::new().write(true).open(herd.dir().join("keys"))
        });
        Terminal { process, keys }
    }

    fn types(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).unwrap();
        self.keys.flush().unwrap();
    }

    /// The screen of a terminal that has received all output. It is larger than any window of these tests.
    fn screen(&self) -> vt100::Screen {
        let mut parser = Parser::new(ROWS, COLUMNS, 0);
        parser.process(self.process.out().as_bytes());
        parser.screen().clone()
    }

    fn text(&self) -> String {
        self.screen().contents()
    }

    /// Waits until the screen is as it should be.
    fn shows(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        eventually(what, || {
            let text = self.text();
            if is_so(&text) { Ok(()) } else { Err(text) }
        });
    }

    /// Waits until the shell goes on after `top`, and checks that the terminal is as it was before.
    fn is_given_back(&self, herd: &Herd, ended: &str) {
        self.shows("the shell goes on", |text| text.contains(ended));
        let screen = self.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor(), "{}", screen.contents());
        assert!(screen.contents().starts_with("before"), "{}", screen.contents());
        let modes = eventually("the modes are told", || {
            let text = fs::read_to_string(herd.dir().join("after")).unwrap_or_default();
            if text.contains("echo") { Ok(text) } else { Err(text) }
        });
        assert!(modes.contains(" icanon") && modes.contains(" echo ") && modes.contains("isig"), "{modes}");
    }
}

/// The line that shows the herd.
fn top() -> String {
    format!("{PROGRAM} top --every 200ms")
}

#[test]
fn a_server_that_is_killed_is_away_and_comes_back_and_a_quit_gives_the_terminal_back() {
    let mut herd = Plan::pair().start();
    let mut terminal = Terminal::of(&herd, &top());
    terminal.shows("both servers are up", |text| text.contains("2 of 2 up"));
    terminal.shows("the link is there", |text| text.contains("Jaquez - Riley up"));
    herd.kill_all(&["Jaquez"]);
    terminal.shows("one server is away", |text| {
        text.contains("1 of 2 up") && text.contains("AWAY ") && text.contains("Jaquez is away: connection")
    });
    terminal.shows("the link is down", |text| text.contains("Jaquez - Riley DOWN"));
    herd.start("Jaquez");
    terminal.shows("the server is back", |text| {
        text.contains("2 of 2 up") && text.contains("Jaquez is back after") && !text.contains("AWAY")
    });
    let tty = fs::read_to_string(herd.dir().join("tty")).unwrap();
    let resize = |size: &str| {
        let finished = Process::bash(herd.dir(), &format!("stty -F {} {size}", tty.trim())).wait(PATIENCE);
        assert_eq!(finished.code, 0, "{finished:?}");
    };
    resize("rows 12 cols 60");
    terminal.shows("one table fits", |text| text.contains("▶ Servers") && !text.contains("Links"));
    terminal.types(b"\t");
    terminal.shows("the next table", |text| text.contains("▶ Links") && !text.contains("Servers"));
    resize("rows 40 cols 150");
    terminal.shows("all tables", |text| text.contains("▶ Links") && text.contains("─ Servers"));
    terminal.types(b"?");
    terminal.shows("the help", |text| text.contains("Shift-Tab") && !text.contains("Links"));
    terminal.types(b"?");
    terminal.shows("no help", |text| text.contains("▶ Links"));
    terminal.types(b"q");
    terminal.is_given_back(&herd, "ended 0");
}

#[test]
fn a_signal_gives_the_terminal_back() {
    for signal in ["TERM", "HUP", "INT"] {
        let herd = Plan::single().start();
        let line = format!("bash -c 'echo $$ > pid; exec {}'", top());
        let terminal = Terminal::of(&herd, &line);
        terminal.shows("the server is up", |text| text.contains("1 of 1 up"));
        let kill = format!("kill -s {signal} \"$(cat pid)\"");
        assert_eq!(Process::bash(herd.dir(), &kill).wait(PATIENCE).code, 0);
        terminal.is_given_back(&herd, "ended 0");
    }
}

#[test]
fn a_suspended_top_gives_the_terminal_back_and_takes_it_again() {
    let herd = Plan::single().start();
    let line = format!("set -m\n{}\necho stopped $?; stty -a > stopped; read line\nfg", top());
    let mut terminal = Terminal::of(&herd, &line);
    terminal.shows("the server is up", |text| text.contains("1 of 1 up"));
    terminal.types(b"\x1a");
    // 148: SIGTSTP has stopped it.
    terminal.shows("the shell goes on", |text| text.contains("stopped 148"));
    assert!(!terminal.screen().alternate_screen() && !terminal.screen().hide_cursor());
    let modes = eventually("the modes are told", || {
        let text = fs::read_to_string(herd.dir().join("stopped")).unwrap_or_default();
        if text.contains("echo") { Ok(text) } else { Err(text) }
    });
    assert!(modes.contains(" icanon") && modes.contains(" echo "), "{modes}");
    terminal.types(b"\n");
    terminal.shows("the herd is drawn again", |text| text.contains("1 of 1 up") && !text.contains("stopped"));
    terminal.types(b"\x03");
    terminal.is_given_back(&herd, "ended 0");
}

#[test]
fn colors_are_left_out_if_they_are_not_wanted() {
    let herd = Plan::single().start();
    let colored = Terminal::of(&herd, &top());
    colored.shows("the server is up", |text| text.contains("1 of 1 up"));
    let green = |terminal: &Terminal| terminal.process.out().contains("\x1b[38;5;2;");
    assert!(green(&colored), "{:?}", colored.process.out());
    let herd = Plan::single().start();
    let plain = Terminal::of(&herd, &format!("NO_COLOR=1 {}", top()));
    plain.shows("the server is up", |text| text.contains("1 of 1 up"));
    assert!(!green(&plain), "{:?}", plain.process.out());
}

#[test]
fn without_a_terminal_the_error_names_status() {
    let herd = Plan::single().start();
    let finished = Process::run(herd.dir(), &["top"]);
    assert_eq!((finished.code, finished.out.as_str()), (2, ""), "{finished:?}");
    assert!(
        finished.err.contains("standard output is not a terminal; `proxyherd status`"),
        "{}",
        finished.err
    );
}
