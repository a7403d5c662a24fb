//! Replays the corpora: runs each codec's check on each of its inputs.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use proxyherd_fuzz::CODECS;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora")
}

/// The names of a folder's files, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry.expect("the folder can be listed").file_name().into_string().expect("names are ASCII")
        })
        .collect();
    names.sort();
    names
}

fn replay(codec: &str) {
    let (_, check) = CODECS.iter().find(|(name, _)| *name == codec).expect("the codec is listed");
    let folder = corpora().join(codec);
    let names = names(&folder);
    assert!(names.len() >= 5, "{} holds few inputs", folder.display());
    for name in names {
        let input = fs::read(folder.join(&name)).expect("it was listed");
        let held = catch_unwind(AssertUnwindSafe(|| check(&input)));
        assert!(held.is_ok(), "corpora/{codec}/{name}: the panic above says what does not hold");
    }
}

/// Makes one test for each codec, so that they run in parallel and a failure names its codec.
macro_rules! replayed {
    ($($codec:ident),+ $(,)?) => {
        mod every_input_of_the_corpus_is_handled_by {
            $(#[test]
            fn $codec() {
                super::replay(stringify!($codec));
            })+
        }

        const REPLAYED: &[&str] = &[$(stringify!($codec)),+];
    };
}

replayed! {
    attributes, batch, certificate, config, dump, extract, google, google_legacy, hours, incoming, line, link, message,
    numbers, osmand, overland, owntracks, places_index, polygon, query, quota, replies, report, rfc3339, store, tokens,
    traccar, url_id, where_clause,
}

#[test]
fn every_codec_has_a_target_a_corpus_and_a_replay() {
    let codecs: Vec<&str> = CODECS.iter().map(|(name, _)| *name).collect();
    let targets = names(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/targets"));
    let targets: Vec<&str> = targets.iter().map(|name| name.trim_end_matches(".rs")).collect();
    assert_eq!(codecs, targets);
    assert_eq!(codecs, names(&corpora()));
    assert_eq!(codecs, REPLAYED);
}
