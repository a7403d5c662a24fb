//! `proxyherd data`: checks, dumps and restores the store of a server.

mod check;
mod dump;
mod progress;
mod restore;
mod store;

use clap::Subcommand;

/// Check, dump and restore what a server keeps on its disk
///
/// A server with `journal = true` keeps its records in a store: DATA/SERVER/journal, where `data` in [herd] sets DATA.
/// `check` and `dump` only read, and work while the server runs. `restore` makes a new store of a dump.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    Dump(dump::Args),
    Restore(restore::Args),
}

/// Runs the chosen command.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Check(args) => check::run(args),
        Command::Dump(args) => dump::run(args),
        Command::Restore(args) => restore::run(args),
    }
}

/// A number of bytes, for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// A number with its thousands set apart, and a word: `1,234 records`.
fn many(count: u64, what: &str) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_numbers_are_for_people() {
        assert_eq!([size(9_999), size(10_000), size(123_456_789)], ["9999 bytes", "10 kB", "123 MB"]);
        assert_eq!([many(1, "token"), many(999, "token")], ["1 token", "999 tokens"]);
        assert_eq!([many(1_000, "token"), many(1_234_567, "token")], ["1,000 tokens", "1,234,567 tokens"]);
    }
}
