//! The report: `REPORT.md`, with a table and a plot of each figure, made of the results alone.
//!
//! The report says what is missing: a contestant that did not take part, a figure that was not measured, a target that
//! could not be judged. Tables have the median of the rounds and, in parentheses, the lowest and the highest round.

mod chart;
mod comparison;
mod scale;
mod table;
mod targets;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;

use self::chart::{Chart, ChartAxis, Series};
use super::figures::{Axis, FIGURES, Figure, Section, Unit};
use super::results::Results;

/// The name of the report, and the folder of its plots beside it.
pub(crate) const REPORT_FILE: &str = "REPORT.md";
const PLOTS: &str = "report";
/// Width of the prose, characters.
const WIDTH: usize = 120;

/// Writes the report and its plots into a folder. Plots of figures that have no samples are removed.
pub(crate) fn write(results: &Results, out: &Path) -> Result<()> {
    let plots = out.join(PLOTS);
    fs::create_dir_all(&plots).with_context(|| format!("cannot make the folder {}", plots.display()))?;
    for figure in FIGURES {
        let path = plots.join(format!("{}.svg", figure.id));
        if results.runners(figure.id).is_empty() {
            // It is not there if the figure was never measured.
            let _ = fs::remove_file(&path);
        } else {
            let svg = chart::render(&chart_of(figure, results));
            fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    let path = out.join(REPORT_FILE);
    fs::write(&path, text(results)).with_context(|| format!("cannot write {}", path.display()))
}

/// The report as Markdown.
fn text(results: &Results) -> String {
    let mut text = "# The race\n\n".to_owned();
    introduction(&mut text, results);
    contestants(&mut text, results);
    targets::write(&mut text, results);
    comparison::write(&mut text, results);
    for section in Section::value_variants() {
        of_section(&mut text, *section, results);
    }
    text
}

fn introduction(text: &mut String, results: &Results) {
    let machine = &results.machine;
    paragraph(
        text,
        "`cargo run --release -p proxyherd-bench -- race` has made this report. It measures proxyherd beside herds in \
         other languages, beside an echo server, which shows what the machine can do at most, and beside databases. All \
         contestants ran on this machine, in turn, with the same load generator. Other work of the machine disturbs \
         times, so trust ratios within this report more than single numbers, and compare no number with a number from \
         another machine.",
    );
    if results.is_quick {
        paragraph(
            text,
            "**This was a quick run (`--quick`), with short rounds and small numbers. It shows that everything works. Its \
             figures are not for comparison.**",
        );
    }
    let memory = machine.memory_bytes as f64 / f64::from(1 << 30);
    let _ = writeln!(
        text,
        "| | |\n|---|---|\n| date | {} |\n| processor | {} |\n| cores | {} |\n| memory | {memory:.1} GiB |\n\
         | kernel | {} |\n| virtualization | {} |\n| lengths | {} |\n",
        results.date,
        machine.processor,
        machine.cores,
        machine.kernel,
        machine.virtualization,
        results.setting
    );
    paragraph(
        text,
        "Each table shows the median of the rounds and, in parentheses, the lowest and the highest round. In the plots, a \
         vertical line through a point shows the same range. On axes whose steps are powers of ten, equal distances are \
         equal factors. A wait counts from the intended time of a report wherever the text says so. The raw values of all \
         rounds are in `results.json`, and `race --render results.json` makes this report of them again.",
    );
}

fn contestants(text: &mut String, results: &Results) {
    text.push_str("## The contestants\n\n| name | in results | version | took part |\n|---|---|---|---|\n");
    for entrant in &results.contestants {
        let took_part = match &entrant.missing {
            None => "yes".to_owned(),
            Some(reason) => format!("**no**: {}", cell(reason)),
        };
        let _ = writeln!(
            text,
            "| {} | `{}` | {} | {took_part} |",
            entrant.label,
            entrant.name,
            cell(&entrant.version)
        );
    }
    text.push('\n');
}

fn of_section(text: &mut String, section: Section, results: &Results) {
    let _ = writeln!(text, "## {}\n", section.heading());
    for figure in FIGURES.iter().filter(|figure| figure.section == section) {
        let _ = writeln!(text, "### {}\n", title_of(figure));
        let runners = results.runners(figure.id);
        if runners.is_empty() {
            text.push_str("Not measured in these results.\n\n");
        } else {
            paragraph(text, figure.method);
            let direction = match figure.better {
                super::figures::Better::Higher => "Higher is better.",
                super::figures::Better::Lower => "Lower is better.",
            };
            paragraph(text, direction);
            let _ = writeln!(text, "![{}]({PLOTS}/{}.svg)\n", title_of(figure), figure.id);
            table::write(text, figure, results);
        }
        let remarks: Vec<_> = results.remarks.iter().filter(|remark| remark.figure == figure.id).collect();
        for remark in &remarks {
            paragraph(text, &format!("Note: {}", remark.text));
        }
    }
}

/// A figure's title with its unit.
fn title_of(figure: &Figure) -> String {
    match figure.unit {
        Unit::Number => figure.title.to_owned(),
        unit => format!("{} ({})", figure.title, unit.name()),
    }
}

/// The chart of a figure. A contestant has the same color in all charts.
fn chart_of(figure: &Figure, results: &Results) -> Chart {
    let x = match figure.axis {
        Axis::None => ChartAxis::Names(vec![String::new()]),
        Axis::Names(names) => ChartAxis::Names(names.iter().map(|name| (*name).to_owned()).collect()),
        Axis::Numbers { label, is_log } => ChartAxis::Numbers { label: label.to_owned(), is_log },
    };
    let places = results.places(figure.id);
    let runners = results.runners(figure.id);
    let series = runners.into_iter().map(|entrant| Series {
        label: entrant.label.clone(),
        color: results.contestants.iter().position(|other| other.name == entrant.name).unwrap_or(0),
        points: places
            .iter()
            .filter_map(|&x| Some((x, results.spread(figure.id, &entrant.name, x)?)))
            .collect(),
    });
    let y_label = match figure.better {
        super::figures::Better::Higher => format!("{} (higher is better)", figure.unit.name()),
        super::figures::Better::Lower => format!("{} (lower is better)", figure.unit.name()),
    };
    Chart { title: figure.title.to_owned(), y_label, is_log: figure.is_log, x, series: series.collect() }
}

/// Writes a paragraph, in lines that are not too long.
fn paragraph(text: &mut String, paragraph: &str) {
    let mut len = 0;
    for word in paragraph.split_whitespace() {
        if len > 0 && len + 1 + word.chars().count() > WIDTH {
            text.push('\n');
            len = 0;
        } else if len > 0 {
            text.push(' ');
            len += 1;
        }
        text.push_str(word);
        len += word.chars().count();
    }
    text.push_str("\n\n");
}

/// A text as a cell of a table: no line ends, and no bars.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::results::tests::results;

    fn some() -> Results {
        let mut some = results(
            "depth-rate",
            &[
                ("ours", 1.0, 1, 100_000.0),
                ("ours", 1.0, 2, 120_000.0),
                ("ours", 128.0, 1, 2_000_000.0),
                ("echo", 1.0, 1, 90_000.0),
                ("echo", 128.0, 1, 4_000_000.0),
            ],
        );
        some.contestants.push(crate::race::results::Entrant {
            missing: Some("there is no program `uv|loop`".to_owned()),
            ..crate::race::results::tests::entrant("uvloop")
        });
        some.remark("depth-rate", "It was windy.");
        some
    }

    #[test]
    fn the_report_has_each_figure_and_says_what_is_missing() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(PLOTS)).unwrap();
        fs::write(home.path().join(PLOTS).join("near-rate.svg"), "an old plot").unwrap();
        write(&some(), home.path()).unwrap();
        let report = fs::read_to_string(home.path().join(REPORT_FILE)).unwrap();
        for figure in FIGURES {
            assert!(report.contains(&format!("### {}\n", title_of(figure))), "{}", figure.id);
        }
        for text in [
            "![Reports by pipeline depth (per second)](report/depth-rate.svg)",
            "Not measured in these results.",
            "**no**: there is no program `uv\\|loop`",
            "Note: It was windy.",
            "110,000 (100,000 to 120,000)",
        ] {
            assert!(report.contains(text), "{text}\n{report}");
        }
        let plots: Vec<_> =
            fs::read_dir(home.path().join(PLOTS)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(plots, ["depth-rate.svg"], "a plot of what was measured, and no other");
    }

    #[test]
    fn lines_of_prose_are_not_too_long() {
        let is_table = |line: &str| line.starts_with(['|', '!', '#']);
        for line in text(&some()).lines().filter(|line| !is_table(line)) {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }

    #[test]
    fn a_contestant_has_the_same_color_in_all_charts() {
        let mut some = some();
        some.add("depth-p99", "echo", 1.0, 1, 5.0).unwrap();
        let color = |figure: &str| {
            let figure = crate::race::figures::of(figure).unwrap();
            chart_of(figure, &some).series.iter().find(|series| series.label == "the echo").unwrap().color
        };
        assert_eq!((color("depth-rate"), color("depth-p99")), (1, 1));
    }

    #[test]
    fn every_figure_has_a_chart() {
        for figure in FIGURES {
            let results =
                results(figure.id, &[("ours", 1.0, 1, 3.0), ("ours", 2.0, 1, 4.0), ("echo", 1.0, 1, 5.0)]);
            assert!(chart::render(&chart_of(figure, &results)).ends_with("</svg>\n"), "{}", figure.id);
        }
    }
}
