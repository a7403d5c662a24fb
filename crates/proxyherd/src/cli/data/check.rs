//! `proxyherd data check`: says what a store holds and what is damaged.

use std::io::{self, Write as _};

use anstyle::{AnsiColor, Style};
use proxyherd_config::clock;
use proxyherd_data::check::{Checked, Run, check};
use proxyherd_log::escape;

use super::{many, progress::Bar, size, store::StoreArgs};
use crate::cli::{heading, outcome::counted};

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd data check --name Riley
  proxyherd data check --dir /backup/Riley/journal
  proxyherd data check --name Riley --json | jq .records

",
    heading!("JSON"),
    "  dir, herd, server, version (of the format), sound, files, bytes, alive_until, age_s, versions, and records with the numbers of clients, \
     tombstones, tokens, quota and others. torn and damage are arrays of objects with file, offset and length.

",
    heading!("Exit codes"),
    "  0   the store is sound
  1   the store is damaged, or cannot be read
  2   the command line is wrong
  78  the configuration is wrong
",
);

const FINE: Style = AnsiColor::BrightGreen.on_default().bold();
const BAD: Style = AnsiColor::BrightRed.on_default().bold();

/// Read a whole store, and say what it holds and what is damaged
///
/// The command also works while the server of the store runs. It checks the store as it was when the command began. An
/// unfinished end of a segment is no damage: a crash leaves one, or the server is writing it. Nothing in such an end
/// was acknowledged.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Checks the store. A damaged store is an error.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let (store, identity) = args.store.open()?;
    let bar = Bar::new("Reading");
    let checked = check(&store, &identity, clock::now_ns(), &mut |share| bar.set(share))?;
    drop(bar);
    if args.json {
        let text = serde_json::to_string_pretty(&checked)?;
        writeln!(io::stdout(), "{}", escape::json(&text))?;
    } else {
        write!(anstream::stdout(), "{}", summary(&checked))?;
    }
    anyhow::ensure!(
        checked.sound,
        "{} has {}. The server reads the rest, and its neighbors send what is missing",
        checked.dir,
        counted(checked.damage.len(), "damaged place")
    );
    Ok(())
}

fn summary(checked: &Checked) -> String {
    let verdict = if checked.sound { format!("{FINE}sound{FINE:#}") } else { format!("{BAD}damaged{BAD:#}") };
    let mut text = format!("{}: {verdict}\n", checked.dir);
    let herd = escape::shown(checked.herd.as_bytes());
    let (files, bytes) = (counted(checked.files, "file"), size(checked.bytes));
    text += &format!(
        "  server {} of the herd {herd}; format {}; {files}, {bytes}\n",
        checked.server, checked.version
    );
    let records = &checked.records;
    text += &format!(
        "  {}, {}, {}, {}, {}\n",
        many(records.clients, "client"),
        many(records.tombstones, "tombstone"),
        many(records.tokens, "token"),
        many(records.quota, "account") + " of places budgets",
        many(records.others, "other record")
    );
    if let (Some(alive_until), Some(age_s)) = (&checked.alive_until, checked.age_s) {
        text += &format!("  the server ran at {alive_until}, {} ago\n", clock::age_text(age_s));
    }
    let run = |run: &Run| format!("{} at byte {}, {} bytes", run.file, run.offset, run.length);
    // A file that is missing, or whose end is missing, has no wrong bytes.
    let told = |damage: &Run| match (damage.length, damage.offset) {
        (0, 0) => format!("{} is missing or empty", damage.file),
        (0, offset) => format!("{} ends at byte {offset}, and more was written", damage.file),
        _ => run(damage),
    };
    for torn in &checked.torn {
        text += &format!("  unfinished end, which is no damage: {}\n", run(torn));
    }
    for damage in &checked.damage {
        text += &format!("  {BAD}damaged{BAD:#}: {}\n", told(damage));
    }
    text
}

#[cfg(test)]
mod tests {
    use proxyherd_data::check::RecordCounts;

    use super::*;

    #[test]
    fn the_summary_says_what_there_is_and_where_the_damage_is() {
        let run = |offset| Run { file: "journal-3".to_owned(), offset, length: 7 };
        let checked = Checked {
            dir: "data/Riley/journal".to_owned(),
            herd: "herd".to_owned(),
            server: "Riley".to_owned(),
            version: 1,
            sound: false,
            files: 2,
            bytes: 12_345,
            alive_until: Some("2026-11-30T19:16:03.000000000Z".to_owned()),
            age_s: Some(300),
            records: RecordCounts { clients: 1_000, tombstones: 1, ..RecordCounts::default() },
            versions: 2_000,
            torn: vec![run(900)],
            damage: vec![run(512), Run { length: 0, ..run(0) }, Run { length: 0, ..run(700) }],
        };
        let expected = "\
data/Riley/journal: damaged
  server Riley of the herd herd; format 1; 2 files, 12 kB
  1,000 clients, 1 tombstone, 0 tokens, 0 accounts of places budgets, 0 other records
  the server ran at 2026-11-30T19:16:03.000000000Z, 5 min ago
  unfinished end, which is no damage: journal-3 at byte 900, 7 bytes
  damaged: journal-3 at byte 512, 7 bytes
  damaged: journal-3 is missing or empty
  damaged: journal-3 ends at byte 700, and more was written
";
        assert_eq!(anstream::adapter::strip_str(&summary(&checked)).to_string(), expected);
        let sound = Checked { sound: true, damage: Vec::new(), torn: Vec::new(), ..checked };
        assert!(summary(&sound).contains("sound"));
    }
}
