//! `proxyherd places near`: shows the places of an index around a point.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anstyle::{AnsiColor, Style};
use anyhow::bail;
use proxyherd_commands::{
    status::table::{Alignment, Cell, Table},
    window::Window,
};
use proxyherd_config::config::{Config, Overrides};
use proxyherd_core::{
    limits::PLACES_MAX,
    places::{Place, Point, Query, Wish},
    types::Radius,
};
use proxyherd_log::escape;
use proxyherd_places::provider::osm::NearPlace;
use serde::Serialize;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::cli::heading;
use proxyherd_server::places;

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd places near 43.7396,7.4277
  proxyherd places near 48.137,11.575 --radius-km 0.5 --type cafe --open-now
  proxyherd places near 48.137,11.575 --json | jq -r '.[].name'

",
    heading!("JSON"),
    "  An array of places, the nearest first, each with distance_m, lat, lng, name, place_id and types, and with \
     vicinity and open_now where they are known.
",
);

const FAINT: Style = Style::new().dimmed();
const STRONG: Style = Style::new().bold();
const OPEN: Style = AnsiColor::Green.on_default();
const CLOSED: Style = AnsiColor::Yellow.on_default();

/// The widest name or address in the table, characters.
const CELL_WIDTH_MAX: usize = 40;

/// Show which places of an index are near a point, the nearest first
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The point: degrees north and degrees east, negative in the south and in the west
    #[arg(value_name = "LAT,LON", value_parser = parse_point, allow_hyphen_values = true)]
    point: Point,

    /// Maximum distance of places, kilometers: over 0 and at most 50
    #[arg(long, short, value_name = "KM", default_value = "2", value_parser = parse_radius)]
    radius_km: Radius,

    /// Maximum number of places to show
    #[arg(long, short, value_name = "COUNT", default_value_t = PLACES_MAX,
        value_parser = clap::value_parser!(u8).range(1..=i64::from(PLACES_MAX)))]
    limit: u8,

    /// Only places of one of Google's types, such as restaurant
    #[arg(long = "type", short = 't', value_name = "TYPE")]
    kind: Option<String>,

    /// Only places with these words in their name, brand, cuisine, type or address
    #[arg(long, short, value_name = "WORDS")]
    keyword: Option<String>,

    /// Only places that are known to be open now
    #[arg(long)]
    open_now: bool,

    /// The index; by default the index that --config names, or else places.idx
    #[arg(long, short, value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,

    /// The configuration that names the index
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Queries the index and shows the places.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let file = match (&args.file, &args.config) {
        (Some(file), _) => file.clone(),
        (None, Some(config)) => Config::load(config, &Overrides::from_process([]))?.places.osm_file,
        (None, None) => PathBuf::from("places.idx"),
    };
    let osm = places::open_osm(&file)?;
    let found = match osm.near(&args.query(), args.limit.into()) {
        Ok(found) => found,
        Err(failure) => bail!("{failure}"),
    };
    if args.json {
        let told: Vec<PlaceJson<'_>> = found.iter().map(told).collect();
        writeln!(io::stdout(), "{}", escape::json(&serde_json::to_string_pretty(&told)?))?;
    } else {
        let columns = Window::of_stdout().map(|window| window.columns);
        write!(anstream::stdout(), "{}", text(&found, &file, columns))?;
    }
    Ok(())
}

impl Args {
    fn query(&self) -> Query {
        let query = Query::within(self.point, self.radius_km.meters()).expect("a Radius is in range");
        query.wishing(Wish {
            kind: self.kind.clone(),
            keyword: self.keyword.clone(),
            is_open: self.open_now,
            ..Wish::default()
        })
    }
}

/// One place in JSON.
#[derive(Debug, Serialize)]
struct PlaceJson<'a> {
    distance_m: f64,
    lat: f64,
    lng: f64,
    name: &'a str,
    place_id: &'a str,
    types: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vicinity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_now: Option<bool>,
}

fn told((separation, place): &NearPlace) -> PlaceJson<'_> {
    PlaceJson {
        distance_m: (separation.meters() * 10.0).round() / 10.0,
        lat: place.geometry.location.latitude(),
        lng: place.geometry.location.longitude(),
        name: &place.name,
        place_id: &place.place_id,
        types: place.types.iter().map(|kind| &**kind).collect(),
        vicinity: place.vicinity.as_deref(),
        open_now: place.open_now,
    }
}

/// The table. `columns` is the width of the window, if there is a window.
fn text(places: &[NearPlace], file: &Path, columns: Option<usize>) -> String {
    if places.is_empty() {
        return format!("{} has no such place within that distance\n", file.display());
    }
    let head = [
        ("DISTANCE", Alignment::Right),
        ("NAME", Alignment::Left),
        ("TYPE", Alignment::Left),
        ("VICINITY", Alignment::Left),
        ("NOW", Alignment::Left),
    ];
    let mut table = Table::new(&head, FAINT);
    for (separation, place) in places {
        table.push(vec![
            Cell::plain(distance(separation.meters())),
            Cell::new(shown(&place.name), STRONG),
            Cell::plain(kind(place)),
            Cell::plain(shown(place.vicinity.as_deref().unwrap_or(""))),
            match place.open_now {
                Some(true) => Cell::new("open", OPEN),
                Some(false) => Cell::new("closed", CLOSED),
                None => Cell::plain(""),
            },
        ]);
    }
    if let Some(columns) = columns {
        table.fit(columns, &["VICINITY", "TYPE"]);
    }
    let mut text = String::new();
    table.write(&mut text);
    text + &format!("\n{FAINT}© OpenStreetMap contributors{FAINT:#}\n")
}

/// The most specific type of a place. Empty if only the general type is known.
fn kind(place: &Place) -> &str {
    place.types.first().map_or("", |kind| &**kind).trim_start_matches("point_of_interest")
}

fn distance(meters: f64) -> String {
    if meters < 1000.0 { format!("{meters:.0} m") } else { format!("{:.1} km", meters / 1000.0) }
}

/// Text that fits its column. Anyone can write a name, so a name must not control the terminal.
fn shown(text: &str) -> String {
    let text = escape::shown(text.as_bytes());
    if text.width() <= CELL_WIDTH_MAX {
        return text;
    }
    let mut width = 0;
    let fits = |character: &char| {
        width += character.width().unwrap_or(0);
        width < CELL_WIDTH_MAX
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

fn parse_point(text: &str) -> Result<Point, String> {
    let example = "for example 48.137,11.575: degrees north within ±90, degrees east within ±180";
    let degrees = |text: &str| text.trim().parse::<f64>().ok();
    let point = text
        .split_once(',')
        .and_then(|(latitude, longitude)| Point::new(degrees(latitude)?, degrees(longitude)?));
    point.ok_or_else(|| example.to_owned())
}

fn parse_radius(text: &str) -> Result<Radius, String> {
    Radius::parse_km(text.as_bytes()).ok_or_else(|| "over 0 and at most 50, for example 0.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_two_numbers_on_earth() {
        for (text, point) in [
            ("48.137,11.575", Point::new(48.137, 11.575)),
            ("-33.86, 151.2", Point::new(-33.86, 151.2)),
            ("48.137", None),
            ("91,0", None),
            ("0,NaN", None),
            ("a,b", None),
        ] {
            assert_eq!(parse_point(text).ok(), point, "{text}");
        }
    }

    #[test]
    fn distances_and_long_names_are_short() {
        assert_eq!(
            (distance(12.4), distance(999.4), distance(1234.0)),
            ("12 m".into(), "999 m".into(), "1.2 km".into())
        );
        assert_eq!(shown("Tal\u{1b}[2J \u{202e}lat"), r"Tal\x1b[2J \xe2\x80\xaelat");
        assert_eq!(shown("पार्क न्द"), "पार्क न्द");
        assert_eq!(shown(&"ü".repeat(41)), format!("{}…", "ü".repeat(39)));
        assert_eq!(shown(&"東".repeat(21)), format!("{}…", "東".repeat(19)));
    }
}
