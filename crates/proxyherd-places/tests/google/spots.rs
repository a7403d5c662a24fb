//! The data of the stand-in: a fixed set of places, and the distances between them.

/// UCLA, in the middle of sixty places.
pub(crate) const CENTER: (f64, f64) = (34.068930, -118.445127);

const PARIS: (f64, f64) = (48.8566, 2.3522);
pub(super) const KINDS: [&str; 5] = ["restaurant", "cafe", "park", "museum", "book_store"];
const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// A place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spot {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    pub(crate) address: String,
    pub(crate) rating: f64,
    pub(crate) ratings: u32,
    /// From 0 to 4.
    pub(crate) price: Option<u8>,
    pub(crate) is_open: bool,
    /// Google's name for the type.
    pub(crate) business_status: &'static str,
}

/// All places: sixty on a spiral of 30 m to 1800 m around [`CENTER`], one place 20 km north of it, and five places in
/// Paris.
pub(crate) fn spots() -> Vec<Spot> {
    let ucla = (0..60).map(|number| spot("Westwood", number, CENTER, 30.0 * f64::from(number + 1)));
    let far = spot("Northridge", 60, CENTER, 0.0);
    let far = Spot { latitude: CENTER.0 + (20_000.0 / EARTH_RADIUS_M).to_degrees(), ..far };
    let paris = (61..66).map(|number| spot("Paris", number, PARIS, 100.0 * f64::from(number - 60)));
    ucla.chain([far]).chain(paris).collect()
}

/// The places within a circle. Either the nearest place or the best place comes first.
pub(super) fn within(center: (f64, f64), radius_m: f64, nearest_first: bool) -> Vec<Spot> {
    let distance = |spot: &Spot| meters_between(center, (spot.latitude, spot.longitude));
    let mut found: Vec<Spot> = spots().into_iter().filter(|spot| distance(spot) <= radius_m).collect();
    if nearest_first {
        found.sort_by(|one, other| distance(one).total_cmp(&distance(other)));
    } else {
        found.sort_by_key(|spot| std::cmp::Reverse(spot.ratings));
    }
    found
}

/// The distance along the ground, by the haversine formula.
pub(crate) fn meters_between(one: (f64, f64), other: (f64, f64)) -> f64 {
    let haversine = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
    let over = one.0.to_radians().cos() * other.0.to_radians().cos() * haversine(one.1 - other.1);
    2.0 * EARTH_RADIUS_M * (haversine(one.0 - other.0) + over).sqrt().asin()
}

/// One place at this distance from a point. Each place has another direction.
fn spot(town: &str, number: u32, around: (f64, f64), meters: f64) -> Spot {
    // With the golden angle, neighbors on the spiral are far apart on the map.
    let bearing = (f64::from(number) * 137.508).to_radians();
    let degrees = (meters / EARTH_RADIUS_M).to_degrees();
    let rounded = |degrees: f64| (degrees * 1e7).round() / 1e7;
    let kind = KINDS[number as usize % KINDS.len()];
    Spot {
        id: format!("ChIJstandin{number:02}"),
        name: format!("{town} {} {number:02}", kind.replace('_', " ")),
        kind,
        latitude: rounded(around.0 + degrees * bearing.cos()),
        longitude: rounded(around.1 + degrees * bearing.sin() / around.0.to_radians().cos()),
        address: format!("{} Main Street, {town}", 100 + number),
        rating: f64::from(30 + number % 20) / 10.0,
        // The order by rating differs from the order by distance, so that the effect of ranking is visible.
        ratings: 100 + number * 37 % 66,
        price: (kind == "restaurant" || kind == "cafe").then_some((number / 5 % 5) as u8),
        is_open: !number.is_multiple_of(3),
        business_status: if number % 20 == 19 { "CLOSED_TEMPORARILY" } else { "OPERATIONAL" },
    }
}
