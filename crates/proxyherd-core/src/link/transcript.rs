//! Prints a link's traffic as AT lines, for a person who reads the log.

use crate::{
    codec::{
        line,
        link::{Frame, decode, numbering::Named},
    },
    types::{Body, Origin},
};

/// Reads the frames of one direction of one link. The caller must pass all frames, each one complete, from the
/// handshake on.
#[derive(Debug, Default)]
pub struct Transcript {
    origins: Named<Origin>,
    line: Vec<u8>,
}

impl Transcript {
    /// Calls `tell` with a line, including the line's end, for each record in `frames`.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::link::{Encoder, numbering::ANEW_VERSION},
        types::{Attributes, Coordinates, Difference, Kind, Record, ServerName, Timestamp},
    };

    #[test]
    fn a_line_names_the_server_that_an_index_means_now() {
        let mut encoder = Encoder::default().with_origins_max(1);
        encoder.agree(ANEW_VERSION);
        let timestamp = Timestamp::parse(b"1000").unwrap();
        let difference = Difference::at_receipt(timestamp.nanos(), timestamp);
        let (mut transcript, mut told) = (Transcript::default(), Vec::new());
        let coordinates = Coordinates::parse(b"+1+1").unwrap();
        let body = Body::Location { coordinates, attributes: Attributes::NONE };
        for server in ["Riley", "Jaquez", "Riley"] {
            encoder.make_room(1);
            let origin = Origin { server: ServerName::new(server).unwrap(), incarnation: 1 };
            assert_eq!(encoder.index_of(&origin), Some(0));
            encoder.record(0, 1, &Record { kind: Kind::CLIENT, key: b"kiwi", body, timestamp, difference });
            transcript.read(encoder.bytes(), |line| told.push(String::from_utf8(line.to_vec()).unwrap()));
            encoder.clear();
        }
        let servers: Vec<_> = told.iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
        assert_eq!(servers, ["Riley", "Jaquez", "Riley"]);
    }
}
