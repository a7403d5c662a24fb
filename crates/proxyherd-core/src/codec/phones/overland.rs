//! Overland: a batch of GeoJSON Features, `{"locations":[…]}`, oldest first.

use std::vec;

use serde_json::value::RawValue;

use super::PhoneError;
use crate::{codec::json::ReportBody, types::AttributesBuf};

/// The reports of a batch that have not been read yet.
#[derive(Debug)]
pub struct Batch<'j> {
    features: vec::IntoIter<&'j RawValue>,
    next_index: usize,
}

/// One item of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item<'j> {
    /// The item's place in the batch, from 0.
    pub index: usize,
    /// The report. It has an ID if the Feature names the device.
    pub body: Result<ReportBody<'j>, PhoneError>,
}

impl<'j> Batch<'j> {
    /// Takes a body with at most `items_max` Features.
    pub fn read(json: &'j [u8], items_max: usize) -> Result<Batch<'j>, PhoneError> {
        let _ = (json, items_max);
        Err(PhoneError::Missing("locations"))
    }

    /// The number of Features that have not been read yet.
    pub fn len(&self) -> usize {
        self.features.len()
    }

    /// Whether all Features have been read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the next item. Its attributes are in `attributes` afterwards.
    pub fn next(&mut self, attributes: &mut AttributesBuf) -> Option<Item<'j>> {
        attributes.clear();
        self.features.next()?;
        let index = self.next_index;
        self.next_index += 1;
        Some(Item { index, body: Err(PhoneError::Missing("geometry")) })
    }
}
