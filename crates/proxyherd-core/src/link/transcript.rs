//! A link's traffic as AT lines, for a log that a person follows.

use crate::{
    codec::{
        line,
        link::{Frame, decode},
        numbering::Named,
    },
    types::{Body, Origin},
};

/// Reads along with one direction of one link. It is told whole frames, all of them since the link agreed.
#[derive(Debug, Default)]
pub struct Transcript {
    origins: Named<Origin>,
    line: Vec<u8>,
}

impl Transcript {
    /// Calls `tell` with a line, its end included, for each record in `frames`.
    pub fn read(&mut self, mut frames: &[u8], mut tell: impl FnMut(&[u8])) {
        while let Ok(Some((frame, len))) = decode(frames) {
            frames = &frames[len..];
            match frame {
                Frame::Origin { index, origin } => _ = self.origins.introduce(index, origin),
                Frame::Record { origin, record, .. } => {
                    let Some(origin) = self.origins.at(origin) else { return };
                    self.line.clear();
                    match record.body {
                        Body::Location { coordinates, .. } => line::write_at(
                            &mut self.line,
                            &origin.server,
                            record.difference,
                            record.key,
                            coordinates,
                            record.timestamp,
                        ),
                        Body::Gone => {
                            self.line.extend_from_slice(b"GONE ");
                            self.line.extend_from_slice(record.key);
                            self.line.push(b'\n');
                        }
                        Body::Data { bytes, .. } => {
                            self.line.extend_from_slice(b"DATA ");
                            self.line.extend_from_slice(record.key);
                            let kind = record.kind.0;
                            self.line.extend_from_slice(
                                format!(" kind {kind}, {} bytes\n", bytes.len()).as_bytes(),
                            );
                        }
                    }
                    tell(&self.line);
                }
                _ => {}
            }
        }
    }
}
