//! The commands that can be typed while the demo runs. They stop one server and start it again while the others run.

use super::{Demo, DemoServerState};

/// The text that `help` shows.
pub(super) const HELP: &str = "\
stop NAME     stops one server; its clients go to the others
start NAME    starts it again, empty; its neighbors send it everything
help          shows this
quit          ends the demo, as Ctrl-C does";

/// The meaning of a line.
#[derive(Debug, PartialEq, Eq)]
enum DemoCommand<'l> {
    Stop(&'l str),
    Start(&'l str),
    Help,
    Quit,
    Unknown,
}

/// What the demo does after a line.
pub(super) enum CommandOutcome {
    /// The demo shows this text.
    Say(String),
    /// The demo shows this text, and waits until the server at this index has all records.
    Started(usize, String),
    /// The demo ends.
    Quit,
}

/// Reads a line. `None` if the line is blank.
fn read(line: &str) -> Option<DemoCommand<'_>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (first, name) = match words.as_slice() {
        [] => return None,
        [first] => (first, None),
        [first, name] => (first, Some(*name)),
        _ => return Some(DemoCommand::Unknown),
    };
    Some(match (first.to_ascii_lowercase().as_str(), name) {
        ("stop", Some(name)) => DemoCommand::Stop(name),
        ("start", Some(name)) => DemoCommand::Start(name),
        ("help" | "?", None) => DemoCommand::Help,
        ("quit" | "exit", None) => DemoCommand::Quit,
        _ => DemoCommand::Unknown,
    })
}

/// Carries out a line. `None` if the line is blank. A `stop` command returns before the server has stopped
/// ([`Demo::left`]).
pub(super) async fn obey(line: &str, demo: &mut Demo) -> Option<CommandOutcome> {
    let command = read(line)?;
    let (DemoCommand::Stop(name) | DemoCommand::Start(name)) = command else {
        return Some(match command {
            DemoCommand::Quit => CommandOutcome::Quit,
            DemoCommand::Help => CommandOutcome::Say(HELP.to_owned()),
            _ => CommandOutcome::Say(
                "no such command; try `stop Riley`, `start Riley`, `help` or `quit`".to_owned(),
            ),
        });
    };
    let Some(index) = demo.index_of(name) else {
        let names: Vec<&str> = demo.places().map(|(name, ..)| name).collect();
        return Some(CommandOutcome::Say(format!("no server of that name; there are {}", names.join(", "))));
    };
    let name = demo.config.servers[index].name.to_string();
    Some(match command {
        DemoCommand::Stop(_) if demo.stop_one(index) => CommandOutcome::Say(format!("{name} is stopping")),
        DemoCommand::Stop(_) => CommandOutcome::Say(format!("{name} does not run; `start {name}` starts it")),
        _ => start(index, name, demo).await,
    })
}

async fn start(index: usize, name: String, demo: &mut Demo) -> CommandOutcome {
    match demo.states[index] {
        DemoServerState::Runs(_) => {
            CommandOutcome::Say(format!("{name} runs already; `stop {name}` stops it"))
        }
        DemoServerState::Stops => CommandOutcome::Say(format!("{name} is still stopping")),
        DemoServerState::Stopped => match demo.start_one(index).await {
            Ok(()) => CommandOutcome::Started(index, format!("{name} runs again, and knows no client yet")),
            Err(error) => CommandOutcome::Say(format!("{name} did not start: {error:#}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_words_in_capitals_or_not() {
        for (line, expected) in [
            ("stop Riley", Some(DemoCommand::Stop("Riley"))),
            (" START  riley \r\n", Some(DemoCommand::Start("riley"))),
            ("help", Some(DemoCommand::Help)),
            ("quit", Some(DemoCommand::Quit)),
            ("stop", Some(DemoCommand::Unknown)),
            ("stop Riley now", Some(DemoCommand::Unknown)),
            ("WHATSAT kiwi 10 5", Some(DemoCommand::Unknown)),
            (" \t", None),
        ] {
            assert_eq!(read(line), expected, "{line:?}");
        }
    }
}
