//! Which stream a client wants: the parameters of `/v1/stream`, which a message of a WebSocket has, too.

use proxyherd_core::{
    codec::json,
    places::{Center, Point},
};
use proxyherd_streams::{Polygon, StreamFilter, StreamKind, StreamKinds, limits::POLYGON_POINTS_MAX};

use crate::door::http::{
    api::filters::{self, Vicinity},
    problem::Problem,
    query::Query,
};

/// The names of the parameters.
pub(super) const PARAMETERS: [&str; 7] = ["ids", "near", "radius_m", "box", "polygon", "where", "kinds"];
/// The parameters that may be given several times.
pub(super) const REPEATED: [&str; 1] = ["ids"];

/// The names of the kinds of events.
pub(in crate::door::http) const KINDS: [&str; 5] = {
    let mut names = [""; 5];
    let mut place = 0;
    while place < names.len() {
        names[place] = StreamKind::ALL[place].label();
        place += 1;
    }
    names
};

/// The stream that a client wants.
#[derive(Debug)]
pub(super) struct WantedStream {
    pub(super) filter: StreamFilter,
    pub(super) kinds: StreamKinds,
    /// The point from which distances are told.
    pub(super) center: Option<Center>,
}

impl WantedStream {
    /// Reads the parameters.
    pub(super) fn parse(query: &Query) -> Result<WantedStream, Problem> {
        let vicinity = filters::vicinity(query)?;
        let polygon = query.bytes("polygon").map(polygon).transpose()?;
        let center = |at: Point| Center::new(at.latitude(), at.longitude());
        Ok(WantedStream {
            filter: StreamFilter {
                ids: filters::ids(query)?,
                readable: Vec::new(),
                circle: vicinity.and_then(|Vicinity { center, radius_m }| Some((center, radius_m?))),
                bounds: filters::bounds(query)?,
                polygon,
                clause: filters::clause(query)?,
            },
            kinds: query.text("kinds")?.map_or(Ok(StreamKinds::default()), kinds)?,
            center: vicinity.map(|vicinity| center(vicinity.center)),
        })
    }
}

fn polygon(text: &[u8]) -> Result<Polygon, Problem> {
    let rings = json::parse_polygon(text, POLYGON_POINTS_MAX);
    let rings = rings.map_err(|error| Problem::invalid(format!("`polygon`: {error}")))?;
    Polygon::new(rings).map_err(|error| Problem::invalid(format!("`polygon`: {error}")))
}

fn kinds(text: &str) -> Result<StreamKinds, Problem> {
    text.split(',').try_fold(StreamKinds::NONE, |kinds, name| {
        let known = StreamKind::ALL.into_iter().find(|kind| kind.label() == name.trim());
        known.map(|kind| kinds.with(kind)).ok_or_else(|| {
            Problem::invalid(format!("`kinds` takes some of {}, with commas between them", KINDS.join(", ")))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<WantedStream, Problem> {
        let uri = format!("/v1/stream?{query}").parse().unwrap();
        WantedStream::parse(&Query::of(&uri, &PARAMETERS, &REPEATED).unwrap())
    }

    #[test]
    fn every_parameter_narrows_the_filter() {
        let all = parse("").unwrap();
        assert_eq!((all.filter, all.kinds), (StreamFilter::default(), StreamKinds::default()));
        let square = "%7B%22type%22:%22Polygon%22,%22coordinates%22:[[[0,0],[1,0],[1,1],[0,0]]]%7D";
        let narrow = format!(
            "ids=a&ids=b*&near=1,2&radius_m=5&box=0,0,1,1&polygon={square}&where=n%3D1&kinds=left,%20presence"
        );
        let WantedStream { filter, kinds, center } = parse(&narrow).unwrap();
        assert_eq!(filter.ids.len(), 2);
        assert!(filter.circle.is_some() && filter.bounds.is_some() && filter.clause.is_some());
        assert_eq!(
            filter.polygon,
            Some(Polygon::new(vec![vec![(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.0, 0.0)]]).unwrap())
        );
        assert_eq!(kinds, StreamKinds::NONE.with(StreamKind::Left).with(StreamKind::Presence));
        assert!(center.is_some());
        let nearest = parse("near=1,2").unwrap();
        assert!(nearest.filter.circle.is_none() && nearest.center.is_some(), "only distances are told");
    }

    #[test]
    fn a_mistake_is_told_by_the_name_of_its_parameter() {
        for (query, status, named) in [
            ("kinds=", 422, "`kinds`"),
            ("kinds=location,moved", 422, "`kinds`"),
            ("polygon=x", 422, "`polygon`: this is not JSON"),
            ("polygon=%7B%22type%22:%22Polygon%22,%22coordinates%22:[]%7D", 422, "`polygon`: "),
            ("radius_m=5", 409, "`radius_m` needs `near`"),
            ("near=1", 422, "`near`"),
            ("ids=two+words", 422, "`ids`"),
        ] {
            let problem = parse(query).unwrap_err();
            assert_eq!(problem.status.as_u16(), status, "{query}");
            assert!(problem.detail().contains(named), "{query}: {}", problem.detail());
        }
    }
}
