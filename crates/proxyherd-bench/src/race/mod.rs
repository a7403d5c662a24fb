//! The race: proxyherd, herds in other languages and an echo server, measured in turn on the same machine, and a report
//! with tables and plots.
//!
//! [`run`] runs the sections that the arguments name. Each section ([`sections`]) measures the samples of its figures
//! ([`figures`]) at the contestants ([`field`]). The samples are kept in a results file ([`results`]), of which
//! [`report`] makes `REPORT.md` and its plots. So a report can be rendered again without a race (`--render`), and the
//! sections that `--only` names replace their part of earlier results.
//!
//! The contestants take turns in rounds, so that other work of the machine affects all of them alike, and the one that
//! begins changes from round to round. What could not be measured is said in the report, and never left out silently.

mod ease;
mod field;
mod figures;
mod machine;
mod report;
mod results;
mod sections;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use self::field::Field;
use self::figures::{FIGURES, Section};
use self::machine::Machine;
use self::results::Results;
use self::sections::{Course, Lengths};

/// The name of the results file in the folder of the report.
const RESULTS_FILE: &str = "results.json";

/// What to run.
#[derive(Args)]
pub(crate) struct RacePlan {
    /// Sections to run, separated by commas. Default: all. Other sections keep their earlier results.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SECTION")]
    only: Vec<Section>,
    /// Contestants, separated by commas. Default: all that this machine can run.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    peers: Vec<String>,
    /// Number of rounds that count. A round that does not count comes before them.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Short rounds and few of them: shows that everything works. Its figures mean little.
    #[arg(long)]
    quick: bool,
    /// Also measure the memory of ten million clients.
    #[arg(long)]
    ten_million: bool,
    /// Folder for REPORT.md, the plots and the raw results.
    #[arg(long, value_name = "DIR", default_value = "bench")]
    out: PathBuf,
    /// Render the report of this results file again, and run nothing.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["only", "peers", "rounds", "quick", "ten_million"])]
    render: Option<PathBuf>,
    /// Stop at the first contestant or section that fails. Default: the report says what failed, and the race goes on.
    #[arg(long)]
    strict: bool,
}

/// Runs the race, or renders a report again. Returns whether every section could be measured. Progress goes to standard
/// error.
pub(crate) fn run(plan: &RacePlan, server_bin: Option<&Path>) -> Result<bool> {
    fs::create_dir_all(&plan.out)
        .with_context(|| format!("cannot make the folder {}", plan.out.display()))?;
    if let Some(path) = &plan.render {
        report::write(&Results::read(path)?, &plan.out)?;
        println!("{} is rendered again", plan.out.join(report::REPORT_FILE).display());
        return Ok(true);
    }
    let sections = if plan.only.is_empty() { Section::value_variants() } else { &plan.only[..] };
    let field = Field::enter(server_bin, &plan.peers)?;
    let path = plan.out.join(RESULTS_FILE);
    let mut results = earlier(&path, sections)?;
    field.introduce(&mut results);
    let lengths = if plan.quick { Lengths::quick() } else { Lengths::full(plan.rounds) };
    results.is_quick |= plan.quick;
    results.setting = lengths.text();
    let began = Instant::now();
    let mut failed = Vec::new();
    for (number, section) in sections.iter().enumerate() {
        eprintln!("section {} of {}: {}", number + 1, sections.len(), section.heading());
        forget(&mut results, *section);
        let mut course =
            Course::new(&field, &lengths, &mut results, (*section, plan.ten_million, plan.strict));
        if let Err(error) = sections::measure(*section, &mut course) {
            let error = error.context(format!("the section {} failed", section.name()));
            if plan.strict {
                return Err(error);
            }
            eprintln!("{error:#}");
            note_failure(&mut results, *section, &error);
            failed.push(section.name());
        }
        // After each section, so that a race that is stopped has a report.
        results.write(&path)?;
        report::write(&results, &plan.out)?;
    }
    println!(
        "{} has the results of {} in {:.0} s",
        plan.out.join(report::REPORT_FILE).display(),
        if sections.len() == 1 { "one section".to_owned() } else { format!("{} sections", sections.len()) },
        began.elapsed().as_secs_f64()
    );
    if !failed.is_empty() {
        println!("could not be measured: {}", failed.join(", "));
    }
    Ok(failed.is_empty())
}

/// The results that a race adds to. If it runs all sections, earlier results are of no use.
fn earlier(path: &Path, sections: &[Section]) -> Result<Results> {
    let new = || Results::new(Machine::this(), machine::today());
    if sections.len() == Section::value_variants().len() || !path.exists() {
        return Ok(new());
    }
    let mut results = Results::read(path)?;
    let this = Machine::this();
    ensure!(
        results.machine == this,
        "{} is from another machine ({}, {}): name another folder with --out, or run all sections",
        path.display(),
        results.machine.processor,
        results.machine.kernel
    );
    results.date = machine::today();
    Ok(results)
}

fn forget(results: &mut Results, section: Section) {
    for figure in FIGURES.iter().filter(|figure| figure.section == section) {
        results.forget(figure.id);
    }
}

/// Says in the report that a section was not measured to its end.
fn note_failure(results: &mut Results, section: Section, error: &anyhow::Error) {
    if let Some(figure) = FIGURES.iter().find(|figure| figure.section == section) {
        results.remark(figure.id, format!("This section was not measured to its end: {error:#}."));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_another_machine_are_not_mixed_with_new_ones() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(RESULTS_FILE);
        Results::new(Machine::unknown(), machine::today()).write(&path).unwrap();
        let error = earlier(&path, &[Section::Cores]).unwrap_err();
        assert!(error.to_string().contains("is from another machine"), "{error}");
        assert!(earlier(&path, Section::value_variants()).is_ok(), "a whole race replaces them");
        assert!(earlier(&home.path().join("none.json"), &[Section::Cores]).is_ok());
    }

    #[test]
    fn a_section_that_fails_is_told_by_its_first_figure() {
        let mut results = Results::new(Machine::unknown(), machine::today());
        note_failure(&mut results, Section::Near, &anyhow::anyhow!("no server"));
        assert_eq!(results.remarks[0].figure, "near-rate");
        assert!(results.remarks[0].text.contains("no server"));
        forget(&mut results, Section::Near);
        assert!(results.remarks.is_empty());
    }
}
