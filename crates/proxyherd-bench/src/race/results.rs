//! The raw results of a race: every sample of every round, the machine, and what could not be measured. A results file
//! is all that a report is made of, so a report can be rendered again from the file.
//!
//! The invariant: medians and spreads are computed here and nowhere else, always over the rounds of one figure, one
//! contestant and one place on the x-axis. A sample is finite.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::machine::Machine;
use crate::stats::Spread;

/// The version of the format of results files.
const FORMAT: u32 = 1;

/// What one or several runs of the race have measured.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Results {
    format: u32,
    /// The date of the last run, year, month and day in UTC.
    pub(crate) date: String,
    /// Whether the last run was a quick one, whose figures are not for comparison.
    pub(crate) is_quick: bool,
    /// How the last run was measured: for example the number of rounds, in plain words.
    pub(crate) setting: String,
    pub(crate) machine: Machine,
    /// Contestants in the order of the report's columns.
    pub(crate) contestants: Vec<Entrant>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) remarks: Vec<Remark>,
}

/// A contestant as the report shows it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Entrant {
    /// The name on the command line and in samples.
    pub(crate) name: String,
    /// The name in tables.
    pub(crate) label: String,
    /// The version of its runtime or program.
    pub(crate) version: String,
    /// Why it did not take part. `None`: it took part.
    pub(crate) missing: Option<String>,
    /// Lines of code and direct dependencies, counted by this program. `None`: there is nothing to count.
    pub(crate) lines: Option<u64>,
    pub(crate) dependencies: Option<u64>,
}

/// One measured value.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Sample {
    pub(crate) figure: String,
    /// The name of the contestant.
    pub(crate) who: String,
    /// The place on the figure's x-axis.
    pub(crate) x: f64,
    pub(crate) round: u32,
    pub(crate) value: f64,
}

/// What the readers of a figure must know, such as a contestant that could not keep up.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Remark {
    pub(crate) figure: String,
    pub(crate) text: String,
}

impl Results {
    pub(crate) fn new(machine: Machine, date: String) -> Results {
        Results {
            format: FORMAT,
            date,
            is_quick: false,
            setting: String::new(),
            machine,
            contestants: Vec::new(),
            samples: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Reads a results file.
    pub(crate) fn read(path: &Path) -> Result<Results> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let results: Results = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not a results file of the race", path.display()))?;
        ensure!(
            results.format == FORMAT,
            "{} has format {}, and this program reads format {FORMAT}: run the race again",
            path.display(),
            results.format
        );
        ensure!(
            results.samples.iter().all(|sample| sample.value.is_finite() && sample.x.is_finite()),
            "{} has a sample that is no number",
            path.display()
        );
        Ok(results)
    }

    /// Writes the results file. A file that is there is replaced when the new one is complete.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let context = || format!("cannot write {}", path.display());
        let text = serde_json::to_string_pretty(self).with_context(context)?;
        let unfinished = path.with_extension("json.new");
        fs::write(&unfinished, text + "\n").with_context(context)?;
        fs::rename(&unfinished, path).with_context(context)
    }

    /// Adds a sample. A value that is no number is an error of the section that measured it.
    pub(crate) fn add(&mut self, figure: &str, who: &str, x: f64, round: u32, value: f64) -> Result<()> {
        ensure!(value.is_finite(), "{figure} of {who} at {x} is {value}, which is no number");
        self.samples.push(Sample { figure: figure.to_owned(), who: who.to_owned(), x, round, value });
        Ok(())
    }

    /// Adds a remark, unless the figure has it already.
    pub(crate) fn remark(&mut self, figure: &str, text: impl Into<String>) {
        let remark = Remark { figure: figure.to_owned(), text: text.into() };
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    /// Removes what is known about a figure, because the figure is measured again.
    pub(crate) fn forget(&mut self, figure: &str) {
        self.samples.retain(|sample| sample.figure != figure);
        self.remarks.retain(|remark| remark.figure != figure);
    }

    /// The contestants that have samples of a figure, in the order of the report's columns.
    pub(crate) fn runners(&self, figure: &str) -> Vec<&Entrant> {
        let has = |entrant: &&Entrant| {
            self.samples.iter().any(|sample| sample.figure == figure && sample.who == entrant.name)
        };
        self.contestants.iter().filter(has).collect()
    }

    /// The places on a figure's x-axis at which something was measured, in order.
    pub(crate) fn places(&self, figure: &str) -> Vec<f64> {
        let mut places: Vec<f64> =
            self.samples.iter().filter(|sample| sample.figure == figure).map(|sample| sample.x).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        places
    }

    /// The median and the range of the rounds. `None`: nothing was measured.
    pub(crate) fn spread(&self, figure: &str, who: &str, x: f64) -> Option<Spread> {
        let rounds = self.rounds(figure, who, x);
        (!rounds.is_empty()).then(|| Spread::of(rounds.into_values()))
    }

    /// The median of the rounds.
    pub(crate) fn median(&self, figure: &str, who: &str, x: f64) -> Option<f64> {
        self.spread(figure, who, x).map(|spread| spread.median)
    }

    /// The ratio of two contestants: the median of the ratios of the rounds that both have run, because two rounds that
    /// ran beside each other are disturbed alike.
    pub(crate) fn ratio(&self, figure: &str, one: &str, other: &str, x: f64) -> Option<f64> {
        let (ones, others) = (self.rounds(figure, one, x), self.rounds(figure, other, x));
        let pairs: Vec<f64> = ones
            .iter()
            .filter_map(|(round, one)| others.get(round).map(|other| one / other))
            .filter(|ratio| ratio.is_finite())
            .collect();
        (!pairs.is_empty()).then(|| Spread::of(pairs).median)
    }

    /// The ratio of one contestant at two places: the ratio of the medians.
    pub(crate) fn ratio_of_places(&self, figure: &str, who: &str, x: f64, other_x: f64) -> Option<f64> {
        let ratio = self.median(figure, who, x)? / self.median(figure, who, other_x)?;
        ratio.is_finite().then_some(ratio)
    }

    /// The values by round. If a round has several samples, the last one counts.
    fn rounds(&self, figure: &str, who: &str, x: f64) -> BTreeMap<u32, f64> {
        let of_place = self
            .samples
            .iter()
            .filter(|sample| sample.figure == figure && sample.who == who && sample.x == x);
        of_place.map(|sample| (sample.round, sample.value)).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn entrant(name: &str) -> Entrant {
        Entrant {
            name: name.to_owned(),
            label: format!("the {name}"),
            version: "1.2".to_owned(),
            missing: None,
            lines: Some(1234),
            dependencies: Some(5),
        }
    }

    /// Results with these values of one figure: contestant, place, round, value.
    pub(crate) fn results(figure: &str, samples: &[(&str, f64, u32, f64)]) -> Results {
        let mut results = Results::new(Machine::unknown(), "2026-01-02".to_owned());
        for &(who, x, round, value) in samples {
            if !results.contestants.iter().any(|entrant| entrant.name == who) {
                results.contestants.push(entrant(who));
            }
            results.add(figure, who, x, round, value).unwrap();
        }
        results
    }

    #[test]
    fn a_spread_is_over_the_rounds_of_one_place_and_one_contestant() {
        let results = results(
            "rate",
            &[
                ("ours", 1.0, 0, 5.0),
                ("ours", 1.0, 1, 7.0),
                ("ours", 1.0, 2, 6.0),
                ("ours", 2.0, 0, 9.0),
                ("echo", 1.0, 0, 1.0),
            ],
        );
        assert_eq!(results.spread("rate", "ours", 1.0), Some(Spread { low: 5.0, median: 6.0, high: 7.0 }));
        assert_eq!(results.median("rate", "ours", 2.0), Some(9.0));
        assert_eq!(results.median("rate", "node", 1.0), None);
        assert_eq!(results.median("other", "ours", 1.0), None);
        assert_eq!(results.places("rate"), [1.0, 2.0]);
    }

    #[test]
    fn a_ratio_is_the_median_of_the_ratios_of_rounds_that_both_ran() {
        // The machine was slow in round 1: the ratio of the medians would be wrong.
        let results = results(
            "rate",
            &[
                ("ours", 1.0, 0, 100.0),
                ("ours", 1.0, 1, 20.0),
                ("ours", 1.0, 2, 90.0),
                ("ours", 1.0, 3, 5000.0),
                ("echo", 1.0, 0, 200.0),
                ("echo", 1.0, 1, 40.0),
                ("echo", 1.0, 2, 180.0),
            ],
        );
        assert_eq!(results.ratio("rate", "ours", "echo", 1.0), Some(0.5));
        assert_eq!(results.ratio("rate", "ours", "java", 1.0), None);
    }

    #[test]
    fn a_figure_that_is_measured_again_forgets_its_old_samples_alone() {
        let mut results = results("rate", &[("ours", 1.0, 0, 5.0)]);
        results.add("memory", "ours", 1.0, 0, 3.0).unwrap();
        results.remark("rate", "slow");
        results.remark("rate", "slow");
        assert_eq!(results.remarks.len(), 1);
        results.forget("rate");
        assert_eq!((results.median("rate", "ours", 1.0), results.remarks.len()), (None, 0));
        assert_eq!(results.median("memory", "ours", 1.0), Some(3.0));
    }

    #[test]
    fn a_results_file_is_read_as_it_was_written() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("results.json");
        let mut written = results("rate", &[("ours", 0.5, 0, 1e-9), ("echo", 1e9, 7, 2.5)]);
        written.remark("rate", "a \"remark\"");
        written.write(&path).unwrap();
        assert_eq!(Results::read(&path).unwrap(), written);
        fs::write(&path, "{}").unwrap();
        assert!(Results::read(&path).unwrap_err().to_string().contains("is not a results file"));
        written.format = 2;
        written.write(&path).unwrap();
        assert!(Results::read(&path).unwrap_err().to_string().contains("has format 2"));
    }

    #[test]
    fn a_sample_that_is_no_number_is_refused() {
        let mut results = results("rate", &[]);
        assert!(results.add("rate", "ours", 1.0, 0, f64::NAN).is_err());
        assert!(results.samples.is_empty());
    }
}
