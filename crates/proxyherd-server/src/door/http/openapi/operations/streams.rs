//! The operations whose responses never end.

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};

use super::{
    super::schemas::{parameters, text},
    CLIENTS, COMMON, Required, filters, operation, operation_for, problems, query, response,
};

pub(super) fn get_stream() -> Operation {
    let last = ParameterBuilder::new()
        .name("Last-Event-ID")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The last event that was received. The stream goes on from there if this server has kept it, for up to five \
             minutes. Otherwise it begins anew with `reset`. Browsers send this by themselves.",
        ))
        .schema(Some(text()))
        .build();
    let events = text().description(Some(
        "`reset` {}, the state as `location` events, `synced` {}, then changes. `location`: a client as JSON. `left` (no \
         longer matches) and `gone` (forgotten or expired): {\"id\"}. `presence`: {\"event_id\",\"kind\",\"id\"}, with the \
         kind came, silent (no report for a time that the operator sets, usually five minutes), back or gone. The \
         schemas StreamEventLocation, StreamEventLeft, StreamEventGone and StreamEventPresence have the data.",
    ));
    let operation = operation_for(
        "`read` of at least one client",
        "getStream",
        "Live",
        "The clients that match, and each change, as server-sent events.",
        "All filters that are given must hold. The stream holds only clients that the token may read; an ID or a prefix \
         outside of it is refused with 403. A reader that is slow is told fewer positions, which are the newest. Watch \
         it with `curl -N http://127.0.0.1:8000/v1/stream`.",
    )
    .parameters(Some(filters::all("LAT,LON: `location` events have the distance from this point.")))
    .parameter(query(
        "polygon",
        "A GeoJSON Polygon. An edge of more than 180 degrees of longitude goes the short way around the Earth.",
        parameters::polygon(),
    ))
    .parameter(query(
        "kinds",
        "The wanted kinds of events, with commas between them: `location`, `left`, `gone`, `presence`. The default is \
         `location,left,gone`. `fence` is accepted and tells nothing in this version. `reset` and `synced` always come.",
        parameters::kinds(),
    ))
    .parameter(last)
    .response("200", response("The events.", &[("text/event-stream", events.into())]));
    problems(operation, &[COMMON, CLIENTS, &["406", "409"]]).build()
}

pub(super) fn get_ws() -> Operation {
    let operation = operation(
        "getWebSocket",
        "Live",
        "Reports and a stream over one WebSocket.",
        "Messages are JSON texts of at most 64 KiB. In: {\"token\":TEXT}; {\"subscribe\":{…}} with the parameters of \
         /v1/stream, where lists are arrays and the polygon is an object; {\"report\":{…}} with the body of putLocation \
         and `id`. Each may have a `ref`, which its answer repeats. Out: {\"event\",\"id\",\"data\"} for an event of the \
         stream; {\"ref\",\"result\":\"accepted\"|\"stale\"} or {\"ref\",\"error\"} as an answer. A new `subscribe` takes \
         the place of the present one. Where tokens are on and the handshake has none, the first message within 10 seconds is the \
         token. Pages of other origins need the setting `origins`.",
    )
    .parameters(Some(handshake()))
    .response("101", response("The connection speaks WebSocket from here on.", &[]));
    problems(operation, &[COMMON, CLIENTS, &["426"]]).build()
}

/// The headers of the handshake (RFC 6455, section 4.1).
fn handshake() -> [Parameter; 4] {
    [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", ""),
    ]
    .map(|(name, value)| {
        let schema = if value.is_empty() { text() } else { text().enum_values(Some([value])) };
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .schema(Some(schema))
            .build()
    })
}
