//! Interprets the lines that a person has typed. Most lines go to the herd unchanged, and some are completed first.

use proxyherd_core::{
    access::TOKEN_PREFIX,
    codec::line::{self, Line},
    command::Command,
    types::{Coordinates, Timestamp},
};

/// The commands of the prompt, with their arguments.
pub(super) const COMMANDS: [(&str, &[&str]); 6] = [
    ("IAMAT", &["<client>", "<latitude><longitude>", "[<time>]"]),
    ("WHATSAT", &["<client>", "<kilometers>", "<most places>"]),
    ("here", &["<client>", "<latitude>", "<longitude>"]),
    (AUTH, &["<token>"]),
    ("help", &[]),
    ("quit", &[]),
];

/// The beginning of a line that shows a token.
pub(super) const AUTH: &str = "AUTH";

/// The text that `help` shows.
pub(super) const HELP: &str = "\
IAMAT <client> <latitude><longitude> [<time>]
    reports where a client is; without a time: now
    IAMAT me +34.068930-118.445127
here <client> <latitude> <longitude>
    the same, with coordinates as maps write them
    here me 34.06893, -118.445127
WHATSAT <client> <kilometers> <most places>
    asks where a client is, and which places are near it
    WHATSAT me 10 5      (at most 50 km, at most 20 places)
AUTH <token>
    shows a token; such a line is not remembered
help, quit
    Ctrl-D quits too

Anything else goes to the server as it is. Tab completes commands and clients,
arrow up brings back earlier lines, Ctrl-R searches them.
";

/// What the prompt does with a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TypedLine {
    /// Ignores the line, because it is blank.
    Nothing,
    /// Sends the line as it is.
    AsIs,
    /// Sends this line instead, and shows it.
    Instead(String),
    /// Shows this text, because the line is wrong.
    Wrong(&'static str),
    /// Shows the help.
    Help,
    /// Ends the prompt.
    Quit,
}

/// Whether a typed text may show a token. The prompt does not keep such a text.
pub(super) fn has_token(typed: &str) -> bool {
    typed.lines().any(begins_with_auth) || typed.contains(TOKEN_PREFIX)
}

/// Whether a line may show a token.
pub(super) fn begins_with_auth(line: &str) -> bool {
    line.trim_start().get(..AUTH.len()).is_some_and(|start| start.eq_ignore_ascii_case(AUTH))
}

/// Interprets a line that was typed at `now`.
pub(super) fn read(typed: &str, now: Timestamp) -> TypedLine {
    let words: Vec<&str> = typed.split_ascii_whitespace().collect();
    match words.as_slice() {
        [] => TypedLine::Nothing,
        ["help" | "?"] => TypedLine::Help,
        ["quit" | "exit"] => TypedLine::Quit,
        ["IAMAT", client, coordinates] if Coordinates::parse(coordinates.as_bytes()).is_some() => {
            TypedLine::Instead(format!("IAMAT {client} {coordinates} {now}"))
        }
        ["here", client, place @ ..] => match coordinates(place) {
            Ok(coordinates) => TypedLine::Instead(format!("IAMAT {client} {coordinates} {now}")),
            Err(wrong) => TypedLine::Wrong(wrong),
        },
        ["here"] => TypedLine::Wrong(HERE),
        _ => TypedLine::AsIs,
    }
}

const HERE: &str =
    "here <client> <latitude> <longitude>, in decimal degrees: here kiwi 34.06893, -118.445127";

const RANGE: &str = "the latitude comes first, within ±90 degrees, then the longitude, within ±180";

/// Converts coordinates as maps write them, `34.06893, -118.445127`, to those of the line protocol. The error is a text
/// for the person.
fn coordinates(words: &[&str]) -> Result<String, &'static str> {
    let joined = words.join(" ");
    let mut numbers = joined.split([' ', ',']).filter(|number| !number.is_empty());
    let (Some(latitude), Some(longitude), None) = (numbers.next(), numbers.next(), numbers.next()) else {
        return Err(HERE);
    };
    let coordinates = format!("{}{}", signed(latitude), signed(longitude));
    if Coordinates::parse(coordinates.as_bytes()).is_some() {
        return Ok(coordinates);
    }
    let is_beyond = |number: &str, most: f64| number.parse().is_ok_and(|degrees: f64| degrees.abs() > most);
    Err(if is_beyond(latitude, 90.0) || is_beyond(longitude, 180.0) { RANGE } else { HERE })
}

fn signed(number: &str) -> String {
    if number.starts_with(['+', '-']) { number.to_owned() } else { format!("+{number}") }
}

/// The reason why a server has refused the line `said`, as far as the client can know.
pub(super) fn why_refused(said: &[u8]) -> &'static str {
    match line::parse(said) {
        Line::Command(Command::Report { .. }, _) => {
            "this server has no room for one more client (`max_clients`), the client's last report was too recent \
             (`client_interval_ms`), or your token does not allow this report"
        }
        Line::Command(..) => {
            "this server has not heard of that client, or your token does not allow this question"
        }
        Line::HttpRequest => {
            "this port does not speak HTTP and closes the connection; the server's `http` port does"
        }
        Line::Auth(_) => "this server does not accept that token: it is unknown, revoked, or past its end",
        Line::InvalidAuth => "AUTH <token>",
        Line::Blank | Line::Invalid | Line::InvalidReport => {
            let word = said.split(u8::is_ascii_whitespace).find(|word| !word.is_empty());
            let is = |command: &str| word.is_some_and(|word| word.eq_ignore_ascii_case(command.as_bytes()));
            match word {
                Some(b"IAMAT") => {
                    "IAMAT <client> <latitude><longitude> [<time>], as in IAMAT kiwi +34.068930-118.445127; \
                     a latitude is within -90 and +90, a longitude within -180 and +180"
                }
                Some(b"WHATSAT") => "WHATSAT <client> <kilometers, up to 50> <most places, up to 20>",
                _ if is("IAMAT") => "capitals matter: IAMAT",
                _ if is("WHATSAT") => "capitals matter: WHATSAT",
                _ => "a herd knows IAMAT and WHATSAT; `help` shows more",
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(typed: &str, expected: &TypedLine) {
        let now = Timestamp::parse(b"1621464827.959498503").unwrap();
        assert_eq!(&read(typed, now), expected, "{typed:?}");
    }

    #[test]
    fn a_report_without_a_time_is_of_now() {
        let told = "IAMAT kiwi +34.068930-118.445127 1621464827.959498503".to_owned();
        check("IAMAT kiwi +34.068930-118.445127", &TypedLine::Instead(told.clone()));
        check("  IAMAT  kiwi  +34.068930-118.445127 ", &TypedLine::Instead(told));
        check("IAMAT kiwi +34.068930-118.445127 1", &TypedLine::AsIs);
        check("IAMAT kiwi 34.068930-118.445127", &TypedLine::AsIs);
        check("IAMAT kiwi", &TypedLine::AsIs);
    }

    #[test]
    fn coordinates_are_taken_as_maps_write_them() {
        let told = TypedLine::Instead("IAMAT kiwi +34.06893-118.445127 1621464827.959498503".to_owned());
        for typed in [
            "here kiwi 34.06893 -118.445127",
            "here kiwi 34.06893, -118.445127",
            "here kiwi 34.06893,-118.445127",
            "here kiwi +34.06893 , -118.445127",
        ] {
            check(typed, &told);
        }
        for typed in ["here", "here kiwi", "here kiwi 34", "here kiwi 34 N", "here kiwi 1 2 3"] {
            check(typed, &TypedLine::Wrong(HERE));
        }
        for typed in ["here x 95, 200", "here kiwi 91 0", "here kiwi -118.4 34", "here kiwi 34 1180"] {
            check(typed, &TypedLine::Wrong(RANGE));
        }
    }

    #[test]
    fn a_text_with_a_token_is_found() {
        for (typed, expected) in [
            ("AUTH s3cret", true),
            (" auth s3cret", true),
            ("AUTHs3cret", true),
            ("WHATSAT kiwi 10 5\nAUTH s3cret", true),
            ("WHATSAT phd_k_00 10 5", true),
            ("WHATSAT author 10 5", false),
            ("WHATSAT kiwi 10 5", false),
            ("räum auf", false),
            ("", false),
        ] {
            assert_eq!(has_token(typed), expected, "{typed:?}");
        }
    }

    #[test]
    fn everything_else_is_said_as_it_is() {
        check("WHATSAT kiwi 10 5", &TypedLine::AsIs);
        check("help me", &TypedLine::AsIs);
        check("HELLO", &TypedLine::AsIs);
        check(" \t", &TypedLine::Nothing);
        check("help", &TypedLine::Help);
        check(" quit ", &TypedLine::Quit);
    }

    #[test]
    fn every_command_is_read_or_said_and_helped() {
        for (name, arguments) in COMMANDS {
            assert!(HELP.contains(name), "{name}");
            let usage = [&[name], arguments].concat().join(" ");
            assert!(arguments.is_empty() || HELP.contains(&usage), "{usage}");
        }
        assert!(HELP.lines().all(|line| line.len() <= 80), "a terminal need not be wider");
    }

    #[test]
    fn a_refusal_is_explained_as_far_as_it_can_be() {
        for (said, word) in [
            ("WHATSAT nobody 10 5", "not heard"),
            ("WHATSAT kiwi 51 5", "up to 50"),
            ("IAMAT kiwi +34-118 1", "no room for one more client"),
            (" IAMAT kiwi 34-118", "<latitude><longitude>"),
            ("IAMAT kiwi +95+200 1", "within -90 and +90"),
            ("iamat kiwi +34-118 1", "capitals matter: IAMAT"),
            ("Whatsat kiwi 10 5", "capitals matter: WHATSAT"),
            ("HELLO", "`help`"),
        ] {
            assert!(why_refused(said.as_bytes()).contains(word), "{said}");
        }
    }
}
