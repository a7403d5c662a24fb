//! The comparison of the languages: typing, memory management, threading, ease, performance, and reliance on new
//! features of the language or its library. Its numbers are from the results.

use std::fmt::Write as _;

use super::{cell, paragraph};
use crate::format::grouped;
use crate::race::results::Results;

/// A language, and the name of its contestant in the results.
struct Language {
    name: &'static str,
    contestant: &'static str,
    typing: &'static str,
    memory: &'static str,
    threading: &'static str,
    new_features: &'static str,
}

const LANGUAGES: [Language; 4] = [
    Language {
        name: "Rust (proxyherd)",
        contestant: "ours",
        typing: "static; absence and failure are types, and the compiler finds data races",
        memory: "ownership, decided at compile time; no collector, so no pauses of one",
        threading: "threads that share memory; a runtime for tasks where waiting is cheap",
        new_features: concat!(
            "edition 2024, Rust ",
            env!("CARGO_PKG_RUST_VERSION"),
            " or later; no unstable features, no unsafe code of its own"
        ),
    },
    Language {
        name: "Python (asyncio)",
        contestant: "asyncio",
        typing: "dynamic; annotations are checked by tools, and not when the program runs",
        memory: "reference counts, and a collector for cycles",
        threading: "one thread with an event loop; the interpreter's lock lets one thread run at a time",
        new_features: "none: `asyncio` with protocols and callbacks is old; Python 3.9 or later",
    },
    Language {
        name: "JavaScript (Node.js)",
        contestant: "node",
        typing: "dynamic; TypeScript adds a check before the program runs",
        memory: "a tracing collector with generations",
        threading: "one thread with an event loop; workers share no objects",
        new_features: "none: `net` and `Buffer` are old; Node.js 20 or later",
    },
    Language {
        name: "Java (NIO)",
        contestant: "java",
        typing: "static; absence is `null`, and generic types are erased",
        memory: "a tracing collector (here the parallel one, which has the highest throughput)",
        threading: "threads that share memory; selectors wait for many sockets",
        new_features: "none: NIO is from Java 1.4; Java 17 or later",
    },
];

/// The measured rows: the title, the figure, its place, and how a value is shown.
const MEASURED: [(&str, &str, f64, Shown); 9] = [
    ("performance: reports a second, one server, depth 128", "depth-rate", 128.0, Shown::Whole),
    ("performance: the same at depth 1", "depth-rate", 1.0, Shown::Whole),
    ("performance: reports a second, five servers, depth 128", "herd-rate", 5.0, Shown::Whole),
    ("performance: p99 of a wait at half of its own capacity, us", "latency-p99", 50.0, Shown::Whole),
    (
        "performance: processor time of a report, five servers, 20,000 a second, us",
        "paced-cpu",
        20_000.0,
        Shown::Tenths,
    ),
    ("memory: bytes of a client beyond its ID, a million clients", "memory-client", 1e6, Shown::Whole),
    ("memory: peak in a minute of load, MB", "minute-memory", 0.0, Shown::Tenths),
    ("memory: longest wait in a minute of load, ms", "minute-pause", 0.0, Shown::Tenths),
    ("start-up, ms", "startup-time", 0.0, Shown::Whole),
];

#[derive(Clone, Copy)]
enum Shown {
    Whole,
    Tenths,
}

/// Writes the comparison.
pub(super) fn write(text: &mut String, results: &Results) {
    text.push_str("## The languages\n\n");
    paragraph(
        text,
        "Which language fits an application-server herd? The first rows say what the languages are like. The numbers are \
         from these results. Lines are those of the programs that were measured here, without empty lines, comments and \
         tests, and this program has counted them. proxyherd is a product with doors for HTTP and phones, tokens, streams, \
         a journal, repair after faults, a map and commands. The other herds have the line protocol and the flood alone. \
         So its number of lines says what a product takes, and not what the language takes.",
    );
    paragraph(
        text,
        "The comparison is no straw man: each other herd is written as an expert would write it in an afternoon, and fast by \
         the idioms of its language. `bench/peers/README.md` says how, and what the others leave out. They have neither TLS \
         on their links nor a log, so they have less work for a report than proxyherd.",
    );
    let names: Vec<&str> = LANGUAGES.iter().map(|language| language.name).collect();
    let _ = writeln!(text, "| | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
    type Say = fn(&Language) -> &'static str;
    let said: [(&str, Say); 4] = [
        ("typing", |language| language.typing),
        ("memory management", |language| language.memory),
        ("threading", |language| language.threading),
        ("reliance on new features", |language| language.new_features),
    ];
    for (title, say) in said {
        row(text, title, |language| say(language).to_owned());
    }
    row(text, "threading: rate with two cores, divided by the rate with one", |language| {
        dash_or(results.ratio_of_places("cores-rate", language.contestant, 1.0, 0.0), Shown::Tenths)
    });
    let entrant =
        |language: &Language| results.contestants.iter().find(|entrant| entrant.name == language.contestant);
    row(text, "ease: lines of code", |language| {
        dash_or(entrant(language).and_then(|entrant| entrant.lines).map(|lines| lines as f64), Shown::Whole)
    });
    row(text, "ease: direct dependencies", |language| {
        let count = entrant(language).and_then(|entrant| entrant.dependencies);
        dash_or(count.map(|count| count as f64), Shown::Whole)
    });
    for (title, figure, x, shown) in MEASURED {
        row(text, title, |language| dash_or(results.median(figure, language.contestant, x), shown));
    }
    text.push('\n');
    let missing: Vec<&str> = LANGUAGES
        .iter()
        .filter(|language| entrant(language).is_none_or(|entrant| entrant.missing.is_some()))
        .map(|language| language.name)
        .collect();
    if !missing.is_empty() {
        paragraph(text, &format!("Not measured, so without numbers: {}.", missing.join(", ")));
    }
}

fn row(text: &mut String, title: &str, of: impl Fn(&Language) -> String) {
    let cells: Vec<String> = LANGUAGES.iter().map(|language| cell(&of(language))).collect();
    let _ = writeln!(text, "| {title} | {} |", cells.join(" | "));
}

/// A number, or a dash if there is none.
fn dash_or(number: Option<f64>, shown: Shown) -> String {
    match (number, shown) {
        (None, _) => "–".to_owned(),
        (Some(number), Shown::Whole) => grouped(number),
        (Some(number), Shown::Tenths) => format!("{number:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::figures::of;
    use crate::race::results::tests::results;

    #[test]
    fn every_measured_row_is_of_a_figure_that_there_is() {
        for (title, figure, ..) in MEASURED {
            assert!(of(figure).is_some(), "{title}: {figure}");
        }
    }

    #[test]
    fn languages_have_their_numbers_or_dashes() {
        let mut all =
            results("depth-rate", &[("ours", 128.0, 1, 2_500_000.0), ("java", 128.0, 1, 300_000.4)]);
        all.add("cores-rate", "java", 0.0, 1, 100.0).unwrap();
        all.add("cores-rate", "java", 1.0, 1, 150.0).unwrap();
        let mut text = String::new();
        write(&mut text, &all);
        assert!(text.contains("one server, depth 128 | 2,500,000 | – | – | 300,000 |"), "{text}");
        assert!(text.contains("divided by the rate with one | – | – | – | 1.5 |"), "{text}");
        assert!(text.contains("ease: lines of code | 1,234 | – | – | 1,234 |"), "{text}");
        assert!(text.contains("without numbers: Python (asyncio), JavaScript (Node.js)."), "{text}");
    }
}
