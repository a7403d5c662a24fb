//! Many reports in one body: lines of JSON, a JSON array, or a GeoJSON FeatureCollection.
//!
//! A batch is an iterator that reads one item at a time, each into a buffer of the caller. An item that is no report
//! spoils no other. [`Batch::read`] refuses a body that has too many items or is not JSON, before any item is read.
//! Lines are an exception: each line is checked as JSON when it is read.

use std::vec;

use serde::de::IgnoredAny;
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
    /// The text is several JSON values, one after the other.
    #[error(
        "the body has further JSON after its first value: send one JSON object a line with \
         `Content-Type: application/x-ndjson`, or a JSON array"
    )]
    Several,
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

/// Takes the next line that is not blank from the front of `rest`.
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

/// Whether the text begins with two JSON values.
fn has_several_values(json: &[u8]) -> bool {
    let mut values = serde_json::Deserializer::from_slice(json).into_iter::<IgnoredAny>();
    (0..2).all(|_| values.next().is_some_and(|value| value.is_ok()))
}

/// The member `features` of a FeatureCollection.
fn features(json: &[u8]) -> Result<&str, BatchError> {
    let (mut is_collection, mut features) = (false, None);
    let read = members::read(json, |name, json| {
        match name {
            "type" => is_collection = members::scalar(json) == Some(Scalar::Text("FeatureCollection".into())),
            "features" => features = Some(json),
            _ => {}
        }
        Ok::<(), BatchError>(())
    });
    match read {
        Ok(()) if is_collection => features.ok_or(BatchError::NotBatch),
        Err(MembersError::Syntax(_)) if has_several_values(json) => Err(BatchError::Several),
        Err(MembersError::Syntax(error)) => Err(BatchError::Syntax(error.to_string())),
        Ok(()) | Err(MembersError::NotObject | MembersError::Refused(_)) => Err(BatchError::NotBatch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The items as IDs or errors, or the error of the whole.
    fn read(json: &str, form: BatchForm) -> Result<Vec<String>, String> {
        let mut batch = Batch::read(json.as_bytes(), form, 3).map_err(|error| error.to_string())?;
        let (len, mut attributes, mut items) = (batch.len(), AttributesBuf::default(), Vec::new());
        while let Some(Item { index, body }) = batch.next(&mut attributes) {
            assert_eq!(index, items.len());
            items.push(match body {
                Ok(body) => format!("{:?}", body.client().unwrap()),
                Err(error) => error.to_string(),
            });
        }
        assert_eq!(items.len(), len);
        Ok(items)
    }

    fn check(json: &str, form: BatchForm, expected: &[&str]) {
        assert_eq!(read(json, form).unwrap(), expected, "{json}");
    }

    const A: &str = r#"{"id":"a","lat":1,"lon":2}"#;

    #[test]
    fn a_bad_item_spoils_no_other() {
        check("", BatchForm::Lines, &[]);
        check("[]", BatchForm::Json, &[]);
        let bad = r#"{"id":"b","lat":1}"#;
        let expected = ["a", "`lon` is missing", "a"];
        check(&format!("\n{A}\r\n  \n{bad}\n{A}"), BatchForm::Lines, &expected);
        check(&format!(" [{A},\n{bad} , {A}]\n"), BatchForm::Json, &expected);
        check(r#"[7,{"lat":1,"lon":2}]"#, BatchForm::Json, &["a report is a JSON object", "`id` is missing"]);
        let not_json = "this is not JSON: EOF while parsing an object at line 1 column 1";
        check(&format!("{{\n{A}"), BatchForm::Lines, &[not_json, "a"]);
        let feature = r#"{"type":"Feature","id":"a","geometry":{"type":"Point","coordinates":[2,1]}}"#;
        check(
            &format!(r#"{{"features":[{feature},{A},{feature}],"type":"FeatureCollection","next":"x"}}"#),
            BatchForm::Json,
            &["a", "an item of a FeatureCollection has the type \"Feature\"", "a"],
        );
    }

    #[test]
    fn a_body_that_is_no_batch_is_refused_before_its_first_item() {
        let not_batch = BatchError::NotBatch.to_string();
        for json in [A, "7", r#"{"type":"FeatureCollection"}"#, r#"{"type":"Feature","features":[]}"#] {
            assert_eq!(read(json, BatchForm::Json), Err(not_batch.clone()), "{json}");
        }
        for json in ["", "[", &format!("[{A},]"), &format!("[{A}]x"), r#"{"type":"#] {
            let error = read(json, BatchForm::Json).unwrap_err();
            assert!(error.starts_with("this is not JSON: "), "{json} {error}");
        }
        for json in [format!("{A}\n{A}\n"), format!("{A}{A}")] {
            assert_eq!(read(&json, BatchForm::Json), Err(BatchError::Several.to_string()), "{json}");
        }
        let too_many = Err("a request has at most 3 reports".to_owned());
        assert_eq!(read("[1,2,3,4]", BatchForm::Json), too_many);
        assert_eq!(read("1\n2\n\n3\n4", BatchForm::Lines), too_many);
        assert_eq!(read(r#"{"type":"FeatureCollection","features":[1,2,3,4]}"#, BatchForm::Json), too_many);
    }
}
