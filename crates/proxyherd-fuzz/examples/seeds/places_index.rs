//! Seeds of the index of OpenStreetMap's places.

use super::Seed;

/// A block of places, each with its longitude, latitude and record.
fn block(places: &[(i32, i32, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    places.iter().for_each(|place| out.extend(place.0.to_le_bytes()));
    places.iter().for_each(|place| out.extend(place.1.to_le_bytes()));
    let mut end = 0;
    for (_, _, record) in places {
        end += record.len() as u32;
        out.extend(end.to_le_bytes());
    }
    places.iter().for_each(|(_, _, record)| out.extend(record));
    out
}

/// The record of one place.
fn place_record(number: u8, locale: u8, kinds: &[u8], texts: [&str; 4]) -> Vec<u8> {
    let mut out = vec![number << 2, locale, kinds.len() as u8];
    out.extend(kinds);
    for text in texts {
        out.push(text.len() as u8);
        out.extend(text.as_bytes());
    }
    out
}

/// A file of these blocks, without checksums. The fuzz target adds the checksums.
fn index(blocks: &[&[(i32, i32, Vec<u8>)]], locales: &[[&str; 2]]) -> Vec<u8> {
    let (mut body, mut directory) = (Vec::new(), Vec::new());
    for places in blocks {
        let block = block(places);
        let (west, east) = (places[0].0, places[places.len() - 1].0);
        let band = ((places[0].1 + 900_000_000) / 200_000) as u32;
        for number in [block.len() as u32, places.len() as u32, band] {
            directory.extend(number.to_le_bytes());
        }
        directory.extend([west, east].map(i32::to_le_bytes).concat());
        directory.extend([0; 8]);
        body.extend(block);
    }
    directory.push(locales.len() as u8);
    for text in locales.concat() {
        directory.push(text.len() as u8);
        directory.extend(text.as_bytes());
    }
    let mut out = b"HERDOSM\n\x01\0\0\0".to_vec();
    out.extend((blocks.len() as u32).to_le_bytes());
    let places = blocks.iter().map(|places| places.len() as u64).sum::<u64>();
    for number in [places, 72 + body.len() as u64, directory.len() as u64, 0, 0, 0, 0] {
        out.extend(number.to_le_bytes());
    }
    [out, body, directory].concat()
}

pub(super) fn places_index() -> Vec<Seed> {
    let cafe = || place_record(7, 1, &[0, 1, 2], ["Café K", "Hauptstraße 1", "Mo-Fr 08:00-18:00", "coffee"]);
    let plain = || place_record(9, 0, &[], ["x", "", "", ""]);
    let berlin = [(134_000_000, 525_000_000, cafe()), (134_100_000, 525_000_001, plain())];
    let westwood = [(-1_184_451_270, 340_689_300, cafe())];
    vec![
        ("empty", index(&[], &[])),
        ("one-place", index(&[&westwood], &[["America/Los_Angeles", "US"]])),
        ("two-blocks", index(&[&westwood, &berlin], &[["Europe/Berlin", "DE"], ["Etc/UTC", ""]])),
        ("record", cafe()),
        (
            "directory",
            index(&[&berlin], &[["Europe/Berlin", "DE"]])[72 + 24 + cafe().len() + plain().len()..].to_vec(),
        ),
        ("locales", b"\0\x01\x0dEurope/Berlin\x02DE".to_vec()),
        ("stranger", b"\x7fELF".repeat(20)),
    ]
}
