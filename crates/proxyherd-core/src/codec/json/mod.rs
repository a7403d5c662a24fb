//! JSON of clients and reports, which every door over HTTP shares.
//!
//! `write` writes clients, as JSON or as GeoJSON. `report` reads one report. `batch` reads many reports: lines of JSON,
//! an array, or a GeoJSON FeatureCollection. `polygon` reads a GeoJSON Polygon. `message` reads and writes the messages
//! of a WebSocket. `members` reads the members of an object.
//!
//! Invariants: a number keeps its digits, on the way in and on the way out. A report that is read allocates nothing
//! except for escapes in its strings. A client that was written can be read as a report of the same contents: the
//! members that only an answer has ([`ANSWER_MEMBERS`]) are skipped.
//!
//! Nothing here knows HTTP, rights, or which reports are taken.

mod batch;
pub(super) mod members;
mod message;
mod polygon;
mod report;
mod write;

pub use self::{
    batch::{Batch, BatchError, BatchForm, Item},
    message::{
        Incoming, Message, MessageError, Parameter, REF_LEN_MAX, parse_message, write_answer, write_event,
    },
    polygon::{PolygonTextError, Ring, parse_polygon},
    report::{ANSWER_MEMBERS, ReportBody, ReportError, parse_report},
    write::{
        FeatureCollection, write_client, write_feature, write_id, write_lossy, write_presence, write_string,
    },
};
