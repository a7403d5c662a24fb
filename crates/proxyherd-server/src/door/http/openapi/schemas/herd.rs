//! The schemas of what the live map asks about a server, the herd, and its own rights.

use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, SchemaType, Type};

use super::{exactly, flag, text};

pub(super) fn map() -> ObjectBuilder {
    let tiles = exactly([
        ("url", text().description(Some("The URL of a tile, with {z}, {x} and {y}.")).into()),
        ("attribution", text().description(Some("What the map says about the source.")).into()),
    ]);
    let null = ObjectBuilder::new().schema_type(Type::Null);
    let tiles = AnyOfBuilder::new()
        .item(tiles)
        .item(null)
        .description(Some("The tiles of the setting `map.tiles`. Null if there are none."));
    exactly([
        ("server", text().description(Some("The server's name.")).into()),
        ("tokens", flag().description(Some("Whether requests need tokens.")).into()),
        ("tiles", utoipa::openapi::RefOr::T(tiles.build().into())),
        ("demo", flag().description(Some("Whether the server is in `proxyherd demo`.")).into()),
        ("version", text().into()),
    ])
}

pub(super) fn rights() -> ObjectBuilder {
    exactly([
        ("report", flag().description(Some("Whether at least one client may be reported.")).into()),
        ("read", flag().description(Some("Whether at least one client may be read.")).into()),
        ("places", flag().description(Some("Whether places may be asked for.")).into()),
        ("operate", flag().description(Some("Whether the herd may be seen and tokens made.")).into()),
    ])
}

pub(super) fn herd() -> ObjectBuilder {
    let up = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Boolean, Type::Null]))
        .description(Some("Null if this server reaches neither end, or does not share link states."));
    let link = exactly([
        ("neighbor", text().into()),
        ("up", up.into()),
        ("eager", flag().description(Some("Whether the link carries changes.")).into()),
    ]);
    let urls = ArrayBuilder::new().items(text()).description(Some(
        "The URLs of the server's HTTP doors. An address that means all interfaces is left out.",
    ));
    let server = exactly([
        ("name", text().into()),
        ("http", urls.into()),
        ("links", ArrayBuilder::new().items(link).into()),
    ]);
    exactly([
        ("server", text().description(Some("The name of the server that answers.")).into()),
        ("servers", ArrayBuilder::new().items(server).into()),
    ])
}
