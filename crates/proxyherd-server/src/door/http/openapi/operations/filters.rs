//! The parameters by which searches and streams say which clients they are about.

use utoipa::openapi::path::Parameter;

use super::{super::schemas::parameters, query};

/// The parameters. `near` says what the point does.
pub(super) fn all(near: &str) -> [Parameter; 5] {
    [
        query("near", near, parameters::near()),
        query(
            "radius_m",
            "Only with near: the greatest distance, meters. Without it: anywhere.",
            parameters::search_radius_m(),
        ),
        query(
            "box",
            "S,W,N,E in degrees. A box with W greater than E crosses the antimeridian. S and N may change places.",
            parameters::bounds(),
        ),
        query(
            "ids",
            "A client ID, or the beginning of IDs and `*`. Repeat the parameter for more (`ids=van-1&ids=van-2`), up to \
             1000 times, up to 32 of them with `*`; one match is enough. A comma belongs to the ID, and so does a star \
             that is not at the end.",
            parameters::ids(),
        ),
        query(
            "where",
            "A filter by attributes: comparisons with `and` between them. A comparison is an attribute's name, one of = \
             != < <= > >=, and a number or a string as in JSON. It is false for an absent attribute or another type.",
            parameters::filter(),
        ),
    ]
}
