//! `proxyherd token create`: makes a token and prints it.

use std::{io, io::Write as _, time::Duration};

use anstyle::Style;
use proxyherd_commands::token::{KnownToken, WantedToken};
use proxyherd_config::config::nearest_word;
use proxyherd_core::{
    access::{BadScopes, Scope, Scopes},
    limits::{TOKEN_CLIENTS_MAX, TOKEN_EXPIRES_S_MAX, TOKEN_NAME_LEN_MAX},
};

use super::servers::{Asked, ServerArgs, usage, wait_for};
use crate::cli::heading;

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd token create --scope 'report:courier-*' --expires 30d
  proxyherd token create --scope 'read:*' --scope places --name dispatcher
  proxyherd token create --scope report:kiwi --rate 2 --clients-max 1
  TOKEN=$(proxyherd token create --scope 'read:*' --latest-only)

",
    heading!("Scopes"),
    "  report:<ids>  report clients, and forget them
  read:<ids>    learn where clients are, and search for them
  places        ask for the places near a point or a client
  fences        not used in this version
  operate       everything, and the herd itself: status, metrics, tokens

  <ids> is one client, such as report:kiwi, or all clients whose IDs have a
  beginning, such as report:courier-*. The star is special at the end only,
  and a comma belongs to the ID: give --scope again for more IDs.
  Quote it, so that the shell leaves it alone.

",
    heading!("Environment"),
    "  PROXYHERD_TOKEN  the token to show to the server, with the scope operate

",
    heading!("Exit codes"),
    "  0   the token is made, and printed to standard output
  1   no server answers, or the server has refused
  2   the command line is wrong
  78  the configuration is wrong
",
);

const FAINT: Style = Style::new().dimmed();

/// Make a token, and print it: one line, which nothing shows again
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// What the token allows; repeatable
    #[arg(long, value_name = "SCOPE", required = true)]
    scope: Vec<String>,

    /// Time until the token ends, such as 30d, 12h or 90m; by default the token has no end
    #[arg(long, value_name = "TIME", value_parser = parse_expires)]
    expires: Option<Duration>,

    /// Show the holder only the newest position of a client, and no earlier one. Not used in this version, which keeps
    /// no earlier ones
    #[arg(long)]
    latest_only: bool,

    /// A name for people: who has the token, or what it is for
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    name: String,

    /// Maximum number of clients that the token may add at each server; by default a tenth of `max_clients`. A
    /// forgotten client counts for a day
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=TOKEN_CLIENTS_MAX))]
    clients_max: Option<u64>,

    /// Maximum number of reports, deletions and questions about places in a second, all together, at each server; by
    /// default there is no limit. After a pause, N may come at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,

    #[command(flatten)]
    servers: ServerArgs,
}

/// Makes the token. Standard output has the token alone.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    check_scopes(&args.scope).map_err(usage)?;
    if args.name.len() > TOKEN_NAME_LEN_MAX {
        return Err(usage(format!("--name: a name has at most {TOKEN_NAME_LEN_MAX} bytes")));
    }
    let Asked { servers, are_tokens_off } = args.servers.asked()?;
    let wanted = WantedToken {
        scopes: args.scope.clone(),
        name: args.name.clone(),
        expires_s: args.expires.map(|expires| expires.as_secs()),
        latest_only: args.latest_only,
        clients_max: args.clients_max,
        rate: args.rate,
    };
    let made = wait_for(servers.make(&wanted))?;
    writeln!(io::stdout(), "{}", made.token)?;
    // A failure is ignored: if standard error is closed, nobody reads the hints.
    let _ = write!(anstream::stderr(), "{FAINT}{}{FAINT:#}", hints(&made.known, are_tokens_off));
    Ok(())
}

fn hints(made: &KnownToken, are_tokens_off: bool) -> String {
    let until = made.expires_at.as_deref().map_or("has no end".to_owned(), |end| format!("ends at {end}"));
    let id = &made.id;
    let mut hints = format!(
        "Keep the token: nothing shows it again. It {until}.\n`proxyherd token revoke {id}` ends it sooner.\n"
    );
    if are_tokens_off {
        hints += "Tokens are off in this herd, so everybody may do everything but make tokens, with\nthis token or \
                  without. tokens = \"on\" in [access] of herd.toml changes that.\n";
    }
    hints
}

/// Checks the scopes as a server does, but names a scope that was probably meant.
fn check_scopes(scopes: &[String]) -> Result<(), String> {
    match Scopes::parse(scopes.iter().map(String::as_bytes)) {
        Ok(_) => Ok(()),
        Err(BadScopes::Unknown(wrong)) => Err(match meant(&wrong) {
            Some(meant) => format!("{wrong:?} is no scope; did you mean {meant:?}?"),
            None => BadScopes::Unknown(wrong).to_string(),
        }),
        Err(error) => Err(error.to_string()),
    }
}

/// The scope that was probably meant.
fn meant(wrong: &str) -> Option<String> {
    let (word, ids) = wrong.split_once(':').map_or((wrong, None), |(word, ids)| (word, Some(ids)));
    let near = nearest_word(word, ["report", "read", "places", "fences", "operate"].into_iter())?;
    let takes_ids = matches!(near, "report" | "read");
    let meant = match ids {
        Some(ids) if takes_ids && !ids.is_empty() => format!("{near}:{ids}"),
        _ if takes_ids => format!("{near}:*"),
        _ => near.to_owned(),
    };
    // IDs that no scope can have remain wrong.
    Scope::parse(meant.as_bytes()).map(|_| meant)
}

/// Reads a time, such as `30d`.
fn parse_expires(text: &str) -> Result<Duration, String> {
    let example = || "a number with s, m, h, d or w after it, such as 30d, 12h or 90m".to_owned();
    let digits = text.len() - text.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit_s = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(example()),
    };
    let number: u64 = number.parse().map_err(|_| example())?;
    let seconds = number.saturating_mul(unit_s);
    match seconds {
        0 => Err("a token that ends at once is of no use".to_owned()),
        1..=TOKEN_EXPIRES_S_MAX => Ok(Duration::from_secs(seconds)),
        _ => Err("at most 100 years; leave --expires out for a token without an end".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_with_a_unit() {
        for (text, expected) in [
            ("30d", Some(2_592_000)),
            ("12h", Some(43_200)),
            ("90m", Some(5400)),
            ("45s", Some(45)),
            ("2w", Some(1_209_600)),
            ("36500d", Some(TOKEN_EXPIRES_S_MAX)),
            ("36501d", None),
            ("99999999999999999999d", None),
            ("18446744073709551615w", None),
            ("0d", None),
            ("30", None),
            ("d", None),
            ("", None),
            ("1.5h", None),
            ("-1d", None),
            ("30 d", None),
            ("30days", None),
        ] {
            assert_eq!(parse_expires(text).ok().map(|time| time.as_secs()), expected, "{text:?}");
        }
    }

    #[test]
    fn a_misspelled_scope_is_told_with_the_scope_that_was_meant() {
        for (wrong, expected) in [
            ("reports:courier-*", Some("report:courier-*")),
            ("Read:*", Some("read:*")),
            ("read", Some("read:*")),
            ("report:", Some("report:*")),
            ("place", Some("places")),
            ("fence", Some("fences")),
            ("operator", Some("operate")),
            ("places:*", Some("places")),
            ("report:two words", None),
            ("everything", None),
            ("", None),
        ] {
            let said = check_scopes(&[wrong.to_owned()]).unwrap_err();
            match expected {
                Some(expected) => assert!(said.ends_with(&format!("did you mean {expected:?}?")), "{said}"),
                None => assert!(said.contains("scopes are report:IDS"), "{said}"),
            }
        }
        assert_eq!(check_scopes(&["report:kiwi".to_owned(), "operate".to_owned()]), Ok(()));
        let many: Vec<String> = (0..100).map(|index| format!("read:{index}")).collect();
        assert!(check_scopes(&many).unwrap_err().contains("at most"));
    }
}
