//! The commands that can be typed while the demo runs. They stop, kill and start servers, and cut and heal links, while
//! the other servers run.

use std::sync::Arc;

use proxyherd_server::herd::{DemoCommand, DemoRefusal};

use super::servers::{DemoActor, DemoServers};

/// The text that `help` shows.
pub(super) const HELP: &str = "\
stop NAME       stops one server; its clients go to the others
kill NAME       ends it at once, as a crash does: what it has not sent is lost
start NAME      starts it again, empty; its neighbors send it everything
cut NAME NAME   cuts the link between two servers, as a broken network does
heal NAME NAME  heals it; the servers send each other what they have missed
help            shows this
quit            ends the demo, as Ctrl-C does";

/// The meaning of a line.
#[derive(Debug, PartialEq, Eq)]
enum ConsoleCommand<'l> {
    Stop(&'l str),
    Demo(DemoCommand),
    Help,
    Quit,
    Unknown,
}

/// What the demo does after a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CommandOutcome {
    /// The demo shows this text.
    Say(String),
    /// An event tells what was done.
    Begun,
    /// The demo ends.
    Quit,
}

/// Reads a line. `None` if the line is blank.
fn read(line: &str) -> Option<ConsoleCommand<'_>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (first, names) = words.split_first()?;
    Some(match (first.to_ascii_lowercase().as_str(), names) {
        ("stop", [name]) => ConsoleCommand::Stop(name),
        ("kill", [name]) => ConsoleCommand::Demo(DemoCommand::Kill((*name).to_owned())),
        ("start", [name]) => ConsoleCommand::Demo(DemoCommand::Start((*name).to_owned())),
        ("cut", [one, other]) => {
            ConsoleCommand::Demo(DemoCommand::Cut((*one).to_owned(), (*other).to_owned()))
        }
        ("heal", [one, other]) => {
            ConsoleCommand::Demo(DemoCommand::Heal((*one).to_owned(), (*other).to_owned()))
        }
        ("help" | "?", []) => ConsoleCommand::Help,
        ("quit" | "exit", []) => ConsoleCommand::Quit,
        _ => ConsoleCommand::Unknown,
    })
}

/// Begins to carry out a line. `None` if the line is blank.
pub(super) fn obey(line: &str, servers: &Arc<DemoServers>) -> Option<CommandOutcome> {
    let refused = |refusal: DemoRefusal| CommandOutcome::Say(with_advice(&refusal));
    Some(match read(line)? {
        ConsoleCommand::Quit => CommandOutcome::Quit,
        ConsoleCommand::Help => CommandOutcome::Say(HELP.to_owned()),
        ConsoleCommand::Unknown => CommandOutcome::Say(
            "no such command; try `kill Riley`, `start Riley`, `cut Riley Jaquez` or `help`".to_owned(),
        ),
        ConsoleCommand::Stop(name) => {
            let begun = servers.stop(name, DemoActor::Console);
            begun.map_or_else(refused, |_| CommandOutcome::Say(format!("{name} is stopping")))
        }
        ConsoleCommand::Demo(command) => {
            servers.begin(&command, DemoActor::Console).map_or_else(refused, |_| CommandOutcome::Begun)
        }
    })
}

/// Why a command was refused, and which command helps.
fn with_advice(refusal: &DemoRefusal) -> String {
    match refusal {
        DemoRefusal::NotRunning(name) => format!("{refusal}; `start {name}` starts it"),
        DemoRefusal::RunsAlready(name) => {
            format!("{refusal}; `stop {name}` stops it, and `kill {name}` kills it")
        }
        DemoRefusal::NoServer(_)
        | DemoRefusal::NoLink(..)
        | DemoRefusal::Busy(..)
        | DemoRefusal::NotStarted(..)
        | DemoRefusal::Ending => refusal.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proxyherd_core::types::ServerName;

    use super::*;

    #[test]
    fn commands_are_words_in_capitals_or_not() {
        let text = |name: &str| name.to_owned();
        for (line, expected) in [
            ("stop Riley", Some(ConsoleCommand::Stop("Riley"))),
            (" START  riley \r\n", Some(ConsoleCommand::Demo(DemoCommand::Start(text("riley"))))),
            ("kill Riley", Some(ConsoleCommand::Demo(DemoCommand::Kill(text("Riley"))))),
            ("cut Riley jaquez", Some(ConsoleCommand::Demo(DemoCommand::Cut(text("Riley"), text("jaquez"))))),
            ("Heal a b", Some(ConsoleCommand::Demo(DemoCommand::Heal(text("a"), text("b"))))),
            ("help", Some(ConsoleCommand::Help)),
            ("quit", Some(ConsoleCommand::Quit)),
            ("stop", Some(ConsoleCommand::Unknown)),
            ("cut Riley", Some(ConsoleCommand::Unknown)),
            ("kill Riley now", Some(ConsoleCommand::Unknown)),
            ("WHATSAT kiwi 10 5", Some(ConsoleCommand::Unknown)),
            (" \t", None),
        ] {
            assert_eq!(read(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_refusal_names_a_command_that_helps_at_the_console_alone() {
        let riley = || ServerName::new("Riley").unwrap();
        for (refusal, advice) in [
            (DemoRefusal::NotRunning(riley()), "`start Riley` starts it"),
            (DemoRefusal::RunsAlready(riley()), "`stop Riley` stops it, and `kill Riley` kills it"),
        ] {
            assert_eq!(with_advice(&refusal), format!("{refusal}; {advice}"));
            assert!(!refusal.to_string().contains('`'), "a page shows this: {refusal}");
        }
        let busy = DemoRefusal::Busy(riley(), "starting");
        assert_eq!(with_advice(&busy), busy.to_string());
    }

    #[test]
    fn the_help_fits_a_narrow_terminal_and_names_each_command() {
        assert!(HELP.lines().all(|line| line.chars().count() <= 78), "{HELP}");
        for line in HELP.lines() {
            let words = line.split_once("  ").unwrap().0;
            assert_ne!(read(words), Some(ConsoleCommand::Unknown), "{words}");
        }
    }
}
