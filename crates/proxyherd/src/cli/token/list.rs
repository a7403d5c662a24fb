//! `proxyherd token list`: shows the tokens of a herd.

use std::io::{self, Write as _};

use anstyle::{AnsiColor, Style};
use proxyherd_commands::{
    status::table::{Alignment, Cell, Table},
    token::KnownToken,
    window::Window,
};
use proxyherd_log::escape;

use super::servers::{ServerArgs, wait_for};
use crate::cli::heading;

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd token list
  proxyherd token list --json | jq -r '.[] | select(.revoked | not) | .id'

",
    heading!("JSON"),
    "  An array with an object for each token: id, scopes, name, made_at, expires_at, latest_only, clients_max, rate and \
     revoked. Times are in UTC (RFC 3339). expires_at, clients_max and rate are null if there is no end or no limit.

",
    heading!("Environment"),
    "  PROXYHERD_TOKEN  the token to show to the server, with the scope operate

",
    heading!("Exit codes"),
    "  0   the tokens are shown
  1   no server answers, or the server has refused
  2   the command line is wrong
  78  the configuration is wrong
",
);

const FAINT: Style = Style::new().dimmed();
const BAD: Style = AnsiColor::BrightRed.on_default();

const HEAD: [(&str, Alignment); 6] = [
    ("ID", Alignment::Left),
    ("MADE", Alignment::Left),
    ("ENDS", Alignment::Left),
    ("LIMITS", Alignment::Left),
    ("NAME", Alignment::Left),
    ("SCOPES", Alignment::Left),
];
/// The columns that a narrow window leaves out, the first to go first.
const SPARE: [&str; 2] = ["MADE", "LIMITS"];

/// Show the tokens of the herd, without their secrets: all that have not ended, also revoked ones
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    servers: ServerArgs,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Asks a server and shows its answer.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let asked = args.servers.asked()?;
    let mut tokens = wait_for(asked.servers.list())?;
    tokens.sort_by(|one, other| (&one.made_at, &one.id).cmp(&(&other.made_at, &other.id)));
    if args.json {
        let text = serde_json::to_string_pretty(&tokens)?;
        writeln!(io::stdout(), "{}", escape::json(&text))?;
        return Ok(());
    }
    if tokens.is_empty() {
        writeln!(
            anstream::stderr(),
            "{FAINT}There are no tokens; `proxyherd token create` makes one.{FAINT:#}"
        )?;
        return Ok(());
    }
    let columns = Window::of_stdout().map(|window| window.columns);
    write!(anstream::stdout(), "{}", table(&tokens, columns))?;
    Ok(())
}

/// The table. Without a width, no column is left out.
fn table(tokens: &[KnownToken], columns: Option<usize>) -> String {
    let mut table = Table::new(&HEAD, FAINT);
    for token in tokens {
        let style = if token.revoked { FAINT } else { Style::new() };
        let cell = |text: &str| Cell::new(escape::shown(text.as_bytes()), style);
        let ends = match (&token.expires_at, token.revoked) {
            (_, true) => Cell::new("revoked", BAD),
            (Some(end), false) => cell(&short(end, "2026-12-30T19:16".len())),
            (None, false) => cell("never"),
        };
        let made = token.made_at.as_deref().map_or("-".to_owned(), |made| short(made, "2026-12-30".len()));
        let (limits, scopes) = (limits(token), token.scopes.join(" "));
        table.push(vec![cell(&token.id), cell(&made), ends, cell(&limits), cell(&token.name), cell(&scopes)]);
    }
    if let Some(columns) = columns {
        table.fit(columns, &SPARE);
    }
    let mut text = String::new();
    table.write(&mut text);
    text
}

/// The first `len` characters of a time of RFC 3339, for people.
fn short(time: &str, len: usize) -> String {
    time.chars().take(len).map(|character| if character == 'T' { ' ' } else { character }).collect()
}

fn limits(token: &KnownToken) -> String {
    let latest = token.latest_only.then(|| "latest only".to_owned());
    let clients = token.clients_max.map(|count| format!("{count} clients"));
    let rate = token.rate.map(|rate| format!("{rate}/s"));
    let limits: Vec<String> = latest.into_iter().chain(clients).chain(rate).collect();
    if limits.is_empty() { "-".to_owned() } else { limits.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: &str) -> KnownToken {
        KnownToken {
            id: id.to_owned(),
            scopes: vec!["report:courier-*".to_owned(), "read:*".to_owned()],
            name: "couriers".to_owned(),
            made_at: Some("2026-11-30T19:16:03Z".to_owned()),
            expires_at: Some("2026-12-30T19:16:03Z".to_owned()),
            latest_only: false,
            clients_max: None,
            rate: None,
            revoked: false,
        }
    }

    fn shown(tokens: &[KnownToken], columns: Option<usize>) -> String {
        anstream::adapter::strip_str(&table(tokens, columns)).to_string()
    }

    #[test]
    fn a_token_is_a_row() {
        let limited = KnownToken {
            latest_only: true,
            clients_max: Some(5),
            rate: Some(2),
            name: "\x1b[2J".to_owned(),
            expires_at: None,
            ..token("abcdefghijkm")
        };
        let revoked = KnownToken { revoked: true, ..token("nopqrstuvwxy") };
        let expected = "\
ID            MADE        ENDS              LIMITS                       NAME      SCOPES
234567892345  2026-11-30  2026-12-30 19:16  -                            couriers  report:courier-* read:*
abcdefghijkm  2026-11-30  never             latest only, 5 clients, 2/s  \\x1b[2J   report:courier-* read:*
nopqrstuvwxy  2026-11-30  revoked           -                            couriers  report:courier-* read:*
";
        assert_eq!(shown(&[token("234567892345"), limited, revoked], None), expected);
    }

    #[test]
    fn a_narrow_window_shows_what_matters() {
        let shown = shown(&[token("234567892345")], Some(80));
        assert!(shown.lines().all(|line| line.len() <= 80), "{shown}");
        assert!(shown.contains("2026-12-30 19:16") && shown.contains("read:*"), "{shown}");
    }
}
