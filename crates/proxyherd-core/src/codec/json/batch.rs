//! Many reports in one body: lines of JSON, a JSON array, or a GeoJSON FeatureCollection.
//!
//! A batch is an iterator that reads one item at a time, each into a buffer of the caller. An item that is no report
//! spoils no other. What can be known before the first item is known then: whether the body is JSON at all (lines are
//! JSON one by one), and whether it has too many items.

use std::vec;

use serde_json::value::RawValue;

use super::{
    members::{self, ElementsError, MembersError, Scalar},
    report::{ReportBody, ReportError, parse_feature, parse_report},
};
use crate::types::AttributesBuf;

/// How the items of a body are separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchForm {
    /// One report a line (NDJSON). Blank lines are skipped.
    Lines,
    /// A JSON array of reports, or a GeoJSON FeatureCollection.
    Json,
}

/// Why a body is no batch. No item was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The text is not JSON.
    #[error("this is not JSON: {0}")]
    Syntax(String),
    /// The text is JSON of another type.
    #[error(
        "reports are a JSON array, a GeoJSON FeatureCollection, or one JSON object a line (application/x-ndjson)"
    )]
    NotBatch,
    /// There are too many items.
    #[error("a request has at most {0} reports")]
    TooMany(usize),
}

/// The items of a batch that have not been read yet.
#[derive(Debug)]
pub struct Batch<'j> {
    rest: Rest<'j>,
    len: usize,
    next_index: usize,
}

#[derive(Debug)]
enum Rest<'j> {
    Lines(&'j [u8]),
    Reports(vec::IntoIter<&'j RawValue>),
    Features(vec::IntoIter<&'j RawValue>),
}

/// One item of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item<'j> {
    /// The item's place in the batch, from 0. Blank lines do not count.
    pub index: usize,
    /// The report, which has an ID.
    pub body: Result<ReportBody<'j>, ReportError>,
}

impl<'j> Batch<'j> {
    /// Takes a body with at most `items_max` items.
    pub fn read(json: &'j [u8], form: BatchForm, items_max: usize) -> Result<Batch<'j>, BatchError> {
        let (rest, len) = match form {
            BatchForm::Lines => {
                let lines = json.split(|byte| *byte == b'\n').filter(|line| !is_blank(line));
                let len = lines.take(items_max.saturating_add(1)).count();
                if len > items_max {
                    return Err(BatchError::TooMany(items_max));
                }
                (Rest::Lines(json), len)
            }
            BatchForm::Json if json.trim_ascii_start().first() == Some(&b'{') => {
                let features = elements(features(json)?.as_bytes(), items_max)?;
                let len = features.len();
                (Rest::Features(features.into_iter()), len)
            }
            BatchForm::Json => {
                let reports = elements(json, items_max)?;
                let len = reports.len();
                (Rest::Reports(reports.into_iter()), len)
            }
        };
        Ok(Batch { rest, len, next_index: 0 })
    }

    /// The number of all items.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the batch has no item.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads the next item. Its attributes are in `attributes` afterwards.
    pub fn next(&mut self, attributes: &mut AttributesBuf) -> Option<Item<'j>> {
        let body = match &mut self.rest {
            Rest::Lines(rest) => parse_report(next_line(rest)?, attributes),
            Rest::Reports(rest) => parse_report(rest.next()?.get().as_bytes(), attributes),
            Rest::Features(rest) => parse_feature(rest.next()?.get().as_bytes(), attributes),
        };
        let index = self.next_index;
        self.next_index += 1;
        let body = match body {
            Ok(ReportBody { id: None, .. }) => Err(ReportError::Missing("id")),
            body => body,
        };
        Some(Item { index, body })
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

/// Splits the next line that is not blank off.
fn next_line<'j>(rest: &mut &'j [u8]) -> Option<&'j [u8]> {
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        *rest = rest.get(end + 1..).unwrap_or_default();
        if !is_blank(line) {
            return Some(line);
        }
    }
    None
}

fn elements(json: &[u8], items_max: usize) -> Result<Vec<&RawValue>, BatchError> {
    members::elements(json, items_max).map_err(|error| match error {
        ElementsError::Syntax(error) => BatchError::Syntax(error.to_string()),
        ElementsError::NotArray => BatchError::NotBatch,
        ElementsError::TooMany => BatchError::TooMany(items_max),
    })
}

/// The member `features` of a FeatureCollection.
fn features(json: &[u8]) -> Result<&str, BatchError> {
    let (mut is_collection, mut features) = (false, None);
    let read = members::read(json, |name, json| {
        match &*name {
            "type" => is_collection = members::scalar(json) == Some(Scalar::Text("FeatureCollection".into())),
            "features" => features = Some(json),
            _ => {}
        }
        Ok::<(), BatchError>(())
    });
    match read {
        Ok(()) if is_collection => features.ok_or(BatchError::NotBatch),
        Err(MembersError::Syntax(error)) => Err(BatchError::Syntax(error.to_string())),
        Ok(()) | Err(MembersError::NotObject | MembersError::Refused(_)) => Err(BatchError::NotBatch),
    }
}
