//! Writes the inputs with which fuzzing begins: `cargo run -p proxyherd-fuzz --example seeds`.
//!
//! If an encoder is public, it writes the seeds. Other seeds are made by hand, and use everything that the format
//! allows. The seeds go into `corpora`. Inputs in this folder that fuzzing has found stay unchanged.

mod extract;
mod json;
mod link;
mod phones;
mod places_index;
#[path = "../../../proxyherd-core/tests/phones/requests.rs"]
#[expect(dead_code, reason = "seeds need only a part of each request")]
mod requests;
mod store;
mod text;
mod values;

use std::{fs, io, path::Path};

/// The name of an input and its bytes.
type Seed = (&'static str, Vec<u8>);

/// The present time, POSIX time in nanoseconds.
const NOW_NS: u64 = 1_621_464_828_223_371_889;

fn main() -> io::Result<()> {
    let seeds = [
        ("attributes", values::attributes()),
        ("batch", json::batch()),
        ("certificate", values::certificates()),
        ("config", text::config()),
        ("extract", extract::extract()),
        ("google", text::seeds(&text::GOOGLE)),
        ("google_legacy", text::seeds(&text::GOOGLE_LEGACY)),
        ("hours", text::seeds(&text::HOURS)),
        ("incoming", link::incoming()),
        ("line", text::line()),
        ("link", link::link()),
        ("message", text::seeds(&json::MESSAGES)),
        ("numbers", values::numbers()),
        ("osmand", phones::osmand()),
        ("overland", phones::overland()),
        ("owntracks", phones::owntracks()),
        ("places_index", places_index::places_index()),
        ("polygon", text::seeds(&json::POLYGONS)),
        ("query", text::seeds(&text::QUERY)),
        ("quota", values::quota()),
        ("replies", text::replies()),
        ("report", text::seeds(&json::REPORTS)),
        ("rfc3339", text::seeds(&json::TIMES)),
        ("store", store::store()),
        ("tokens", values::tokens()),
        ("traccar", phones::traccar()),
        ("url_id", text::seeds(&json::URL_IDS)),
        ("where_clause", json::where_clauses()),
    ];
    for (codec, seeds) in seeds {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora").join(codec);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in seeds {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}
