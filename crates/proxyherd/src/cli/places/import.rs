//! `proxyherd places import`: makes an index of places from an OpenStreetMap extract.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    time::Instant,
};

use anstyle::Style;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use proxyherd_places::provider::osm::{ImportSummary, Progress};

use crate::cli::{heading, outcome::counted};
use proxyherd_server::places;

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd places import monaco-latest.osm.pbf
  proxyherd places import europe-latest.osm.pbf --out /var/lib/europe.idx

",
    heading!("What is imported"),
    "  Amenities, shops, sights and lodgings, leisure, offices, health care, crafts, historic places, airports, stations \
     and stops that have a name or a brand. The extract is read three times. An existing index is replaced when the \
     new one is complete, and is not changed if the import fails. A server reads the index when it starts.

  The data is © OpenStreetMap contributors, under the Open Database License: see openstreetmap.org/copyright.
",
);

const BOLD: Style = Style::new().bold();

/// Make an index of places from an OpenStreetMap extract
///
/// The index has everything that a person would call a place, with its name, kind, address and opening hours.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The extract, in PBF format with zlib compression, as extracts usually are
    #[arg(value_name = "FILE.osm.pbf")]
    file: PathBuf,

    /// The index to write; if FILE is a symbolic link, the target of the link is written
    #[arg(long, short, value_name = "FILE", default_value = "places.idx")]
    out: PathBuf,
}

/// Imports the extract and prints a summary.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let began = Instant::now();
    let summary = if io::stderr().is_terminal() {
        places::import(&args.file, &args.out, &mut Bar(None))?
    } else {
        places::import(&args.file, &args.out, &mut ProgressLines(None))?
    };
    let out = args.out.display();
    let took_s = began.elapsed().as_secs_f64();
    writeln!(
        anstream::stdout(),
        "Wrote {BOLD}{out}{BOLD:#}: {} in {took_s:.1} s",
        counted_places(summary.places())
    )?;
    write!(anstream::stdout(), "{}", details(&summary))?;
    Ok(())
}

fn details(summary: &ImportSummary) -> String {
    let ImportSummary { nodes, ways, relations, with_hours, hours_failed, nowhere, bytes, .. } = *summary;
    let each = bytes.checked_div(summary.places()).unwrap_or(0);
    let mut text = format!("  {nodes} from nodes, {ways} from ways, {relations} from relations\n");
    text += &format!("  {with_hours} with opening hours\n");
    if hours_failed > 0 {
        let places = counted_places(hours_failed);
        text +=
            &format!("  {places} lost the opening hours of the extract, because the parser failed on them\n");
    }
    if nowhere > 0 {
        text += &format!("  {} left out, because the extract has no position\n", counted_places(nowhere));
    }
    text + &format!("  {} kB, {each} bytes a place\n", bytes.div_ceil(1000))
}

fn counted_places(count: u64) -> String {
    counted(count as usize, "place")
}

/// The name of a part of the work, for people.
fn title(what: &str) -> String {
    match what {
        "places" => "Locating places".to_owned(),
        "index" => "Writing the index".to_owned(),
        what => format!("Reading {what}"),
    }
}

/// Shows a progress bar on a terminal, for one part of the work after another.
struct Bar(Option<ProgressBar>);

impl Progress for Bar {
    fn begin(&mut self, what: &'static str, total: u64) {
        let template = "{msg:18} {bar:30} {percent:>3} %  {eta} left";
        let style = ProgressStyle::with_template(template).expect("a test draws it").progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        bar.set_style(style);
        bar.set_message(title(what));
        self.0 = Some(bar);
    }

    fn advance(&mut self, done: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(done);
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        // An error message needs a line of its own.
        self.end();
    }
}

/// Writes a line for each part of the work, if standard error is not a terminal.
struct ProgressLines(Option<(&'static str, Instant)>);

impl Progress for ProgressLines {
    fn begin(&mut self, what: &'static str, _total: u64) {
        self.0 = Some((what, Instant::now()));
    }

    fn advance(&mut self, _done: u64) {}

    fn end(&mut self) {
        if let Some((what, began)) = self.0.take() {
            // A failure is ignored: if standard error is closed, nobody reads the line.
            let _ = writeln!(io::stderr(), "{}: {:.1} s", title(what), began.elapsed().as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_drawn() {
        let mut bar = Bar(None);
        bar.begin("nodes", 100);
        bar.advance(50);
        bar.end();
        assert!(bar.0.is_none());
    }

    #[test]
    fn the_summary_says_what_there_is_and_what_is_missing() {
        let summary = ImportSummary {
            nodes: 7,
            ways: 2,
            relations: 1,
            with_hours: 4,
            hours_failed: 3,
            nowhere: 1,
            bytes: 1234,
            ..ImportSummary::default()
        };
        assert_eq!(
            details(&summary),
            "  7 from nodes, 2 from ways, 1 from relations\n  4 with opening hours\n  \
             3 places lost the opening hours of the extract, because the parser failed on them\n  \
             1 place left out, because the extract has no position\n  2 kB, 123 bytes a place\n"
        );
        assert!(details(&ImportSummary::default()).ends_with("  0 kB, 0 bytes a place\n"));
    }
}
