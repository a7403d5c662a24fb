//! Dumps that are written and read again, and dumps that a reader refuses.

use proptest::prelude::*;
use proxyherd_core::{
    flood::Update,
    limits::DATA_LEN_MAX,
    types::{
        AttributeValue, Attributes, Body, ClientId, Coordinates, Decimal, Difference, Kind, Origin, Record,
        ServerName, Timestamp,
    },
};

use super::{DumpError, DumpReader, DumpWriter, Entry, FORMAT, Header, LINE_LEN_MAX};

fn header() -> Header {
    Header {
        program: "0.1.0".to_owned(),
        herd: "herd-7f3a9c".to_owned(),
        server: ServerName::new("Riley").unwrap(),
        made_at_ns: 1_621_464_828_223_371_889,
        alive_until_ns: 1_621_464_827_000_000_001,
    }
}

fn origin() -> Origin {
    Origin { server: ServerName::new("Jaquez").unwrap(), incarnation: u64::MAX }
}

fn client<'a>(key: &'a [u8], attributes: Attributes<'a>) -> Record<'a> {
    let timestamp = Timestamp::parse(b"1621464827.50").unwrap();
    Record {
        kind: Kind::CLIENT,
        key,
        body: Body::Location { coordinates: Coordinates::parse(b"+34.068930-118.4450").unwrap(), attributes },
        timestamp,
        difference: Difference::from_nanos(-263_873_386, timestamp).unwrap(),
    }
}

fn dump_of(records: &[Record<'_>]) -> Vec<u8> {
    let mut dump = Vec::new();
    let mut writer = DumpWriter::begin(&mut dump, &header()).unwrap();
    for (at, record) in records.iter().enumerate() {
        writer.record(&Update { record: *record, origin: &origin(), seq: at as u64 + 1 }).unwrap();
    }
    let (count, bytes) = writer.finish().unwrap();
    assert_eq!((count, bytes), (records.len() as u64, dump.len() as u64));
    dump
}

fn read(dump: &[u8]) -> Result<Vec<Entry>, DumpError> {
    let mut reader = DumpReader::open(dump)?;
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        entries.push(entry);
    }
    Ok(entries)
}

fn refusal(dump: &[u8]) -> String {
    read(dump).expect_err("the dump is wrong").to_string()
}

/// The dump with these lines and a right last line.
fn dump_with(lines: &[&str]) -> Vec<u8> {
    let mut dump = header().to_line().into_bytes();
    dump.push(b'\n');
    for line in lines {
        dump.extend_from_slice(line.as_bytes());
        dump.push(b'\n');
    }
    let checksum = xxhash_rust::xxh3::xxh3_64(&dump);
    dump.extend_from_slice(super::writer::end_line(lines.len() as u64, checksum).as_bytes());
    dump.push(b'\n');
    dump
}

#[test]
fn a_line_shows_what_a_record_has() {
    let run = [&b"\x04note\x02\x00hi"[..], b"\x05speed\x05\x00\x011.50", b"\x05ttl_s\x03\x00\x0160"].concat();
    let token = Record {
        kind: Kind::TOKEN,
        key: b"k1w1",
        body: Body::Data { keep_s: 60, bytes: &[1, 2, 3] },
        ..client(b"", Attributes::NONE)
    };
    let dump = dump_of(&[
        client(b"kiwi", Attributes::from_bytes(&run).unwrap()),
        client(b"\xff", Attributes::from_bytes(b"\x05ttl_s\x02\x0060").unwrap()),
        Record { body: Body::Gone, ..client("käse".as_bytes(), Attributes::NONE) },
        token,
        Record { kind: Kind(200), ..token },
    ]);
    let when = r#""time":"1621464827.50","difference":"-0.263873386""#;
    let who = |seq: u32| format!(r#""server":"Jaquez","incarnation":"18446744073709551615","seq":{seq}}}"#);
    let at = r#""coordinates":"+34.068930-118.4450""#;
    let expected = [
        r#"{"format":"proxyherd-dump","version":1,"program":"0.1.0","herd":"herd-7f3a9c","server":"Riley","made_at":"2021-05-19T22:53:48.223371889Z","alive_until":"2021-05-19T22:53:47.000000001Z"}"#.to_owned(),
        format!(
            r#"{{"kind":"client","key":"kiwi",{when},{at},"ttl_s":60,"attributes":{{"note":"hi","speed":1.50}},{}"#,
            who(1)
        ),
        format!(
            r#"{{"kind":"client","key_base64":"/w==",{when},{at},"attributes_base64":"BXR0bF9zAgA2MA==",{}"#,
            who(2)
        ),
        format!(r#"{{"kind":"client","key":"käse",{when},"gone":true,{}"#, who(3)),
        format!(r#"{{"kind":"token","key":"k1w1",{when},"keep_s":60,"data_base64":"AQID",{}"#, who(4)),
        format!(r#"{{"kind":"kind-200","key":"k1w1",{when},"keep_s":60,"data_base64":"AQID",{}"#, who(5)),
    ];
    let text = String::from_utf8(dump).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..6], expected);
    assert!(lines[6].starts_with(r#"{"end":true,"records":5,"xxh3":""#), "{}", lines[6]);
    assert_eq!(lines.len(), 7);
}

/// A dump that version 1 of the format has written. Later versions of the program read it, too.
const VERSION_1: &[u8] = include_bytes!("tests/version-1.dump");

#[test]
fn a_dump_of_version_1_is_read() {
    let entries = read(VERSION_1).unwrap();
    let keys: Vec<_> = entries.iter().map(|entry| entry.update().record.key.to_vec()).collect();
    let expected: [&[u8]; 7] = [b"kiwi", b"\xff", b"bare", b"kiwi", b"k1w1", b"day/1/Riley", b"later"];
    assert_eq!(keys, expected);
    let Body::Location { attributes, .. } = entries[0].update().record.body else {
        panic!("kiwi has a place")
    };
    assert_eq!(attributes.value("speed"), Some(AttributeValue::Number("1.50E+3")));
    assert_eq!(attributes.ttl_s().map(u32::from), Some(1));
    assert_eq!(entries[3].update().record.body, Body::Gone);
    assert_eq!(entries[6].update().record.body, Body::Data { keep_s: 60, bytes: b"\x00\xff" });
}

#[test]
fn the_header_is_read_as_it_was_written() {
    let dump = dump_of(&[]);
    assert_eq!(*DumpReader::open(&dump[..]).unwrap().header(), header());
}

#[test]
fn a_cut_dump_is_noticed_wherever_it_was_cut() {
    let dump = dump_of(&[client(b"kiwi", Attributes::NONE), client(b"lime", Attributes::NONE)]);
    assert_eq!(read(&dump).unwrap().len(), 2);
    for len in 1..dump.len() {
        assert!(read(&dump[..len]).is_err(), "cut after {len} bytes");
    }
    let lines = dump.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    let third = lines.clone().nth(2).unwrap();
    let told = "the dump is cut: it ends after line 3, without the last line that has the number of records";
    assert_eq!(refusal(&dump[..=third]), told);
    assert_eq!(refusal(&dump[..third + 5]), told);
    assert_eq!(refusal(&dump[..dump.len() - 1]), told);
}

#[test]
fn a_changed_byte_is_noticed_wherever_it_is() {
    let dump = dump_of(&[client(b"kiwi", Attributes::NONE)]);
    for at in 0..dump.len() {
        let mut changed = dump.clone();
        changed[at] ^= 1;
        assert!(read(&changed).is_err(), "byte {at}");
    }
    let text = String::from_utf8(dump).unwrap();
    let twice = text.lines().nth(1).unwrap();
    let doubled = text.replacen(twice, &format!("{twice}\n{twice}"), 1);
    assert!(matches!(read(doubled.as_bytes()), Err(DumpError::Changed)));
    assert_eq!(refusal(format!("{text}x").as_bytes()), "line 4: the dump goes on after its last line");
}

#[test]
fn another_file_and_a_newer_dump_are_told_apart() {
    for other in ["", "\n", "{}\n", "[herd]\n", "{\"format\":\"csv\",\"version\":1}\n", "\u{1}\u{2}"] {
        assert!(matches!(read(other.as_bytes()), Err(DumpError::NotADump)), "{other:?}");
    }
    let newer = format!("{{\"format\":\"{FORMAT}\",\"version\":2,\"new\":[]}}\n");
    let told = refusal(newer.as_bytes());
    assert!(told.starts_with("the dump has version 2 of the format"), "{told}");
    let right = String::from_utf8(dump_of(&[])).unwrap();
    for (from, to, reason) in [
        ("\"version\":1", "\"version\":0", "versions begin with 1"),
        ("Riley", "../Riley", "a server's name is"),
        ("2021-05-19T22:53:48", "yesterday", "made_at: "),
        ("\"program\"", "\"programme\"", "unknown field `programme`"),
        ("herd-7f3a9c", "", "a herd's ID has"),
    ] {
        let told = refusal(right.replacen(from, to, 1).as_bytes());
        assert!(told.starts_with("line 1: ") && told.contains(reason), "{told}");
    }
}

#[test]
fn a_wrong_line_is_refused_with_its_number_and_the_reason() {
    let right = String::from_utf8(dump_of(&[client(b"kiwi", Attributes::NONE)])).unwrap();
    let right = right.lines().nth(1).unwrap();
    assert_eq!(read(&dump_with(&[right])).unwrap().len(), 1);
    let coordinates = "\"coordinates\":\"+34.068930-118.4450\"";
    for (from, to, reason) in [
        ("{", "", "a record is a JSON object"),
        ("}", "", "EOF while parsing an object, at column "),
        ("\"client\"", "\"clients\"", "there is no kind \"clients\""),
        ("\"client\"", "\"kind-0\"", "there is no kind \"kind-0\""),
        ("\"client\"", "\"kind-300\"", "there is no kind \"kind-300\""),
        ("\"client\"", "\"token\"", "only a client has coordinates"),
        ("\"kiwi\"", "\"ki wi\"", "a key has 1 to 256 bytes and no white space"),
        ("\"key\"", "\"key_base64\":\"a2l3aQ==\",\"key\"", "a record has either key or key_base64"),
        ("1621464827.50", "1e9", "time: \"1e9\" is no time"),
        ("-0.263873386", "-0.26387338", "difference: \"-0.26387338\" is no difference"),
        ("-0.263873386", "-9999999999.000000000", "is no difference"),
        ("+34.068930", "+94.068930", "are no coordinates"),
        (coordinates, "\"gone\":false", "a record has coordinates, or data_base64, or gone"),
        (coordinates, "\"gone\":true,\"ttl_s\":1", "attributes and ttl_s belong to coordinates"),
        (coordinates, "\"keep_s\":1", "keep_s and data_base64 belong together"),
        (coordinates, "\"keep_s\":1,\"data_base64\":\"!\"", "data_base64: "),
        (coordinates, "\"keep_s\":1,\"data_base64\":\"\"", "a client has no data"),
        ("\"server\"", "\"attributes\":{\"a\":1,\"a\":1},\"server\"", "the attribute \"a\" is there twice"),
        ("\"server\"", "\"attributes\":{\"A\":1},\"server\"", "the attribute \"A\": an attribute's name"),
        ("\"server\"", "\"attributes\":{\"a\":[1]},\"server\"", "the attribute \"a\": a number is written"),
        ("\"server\"", "\"ttl_s\":0,\"server\"", "nonzero"),
        ("\"server\"", "\"surplus\":0,\"server\"", "unknown field `surplus`"),
        ("Jaquez", "-", "server: a server's name is"),
        ("18446744073709551615", "18446744073709551616", "is no incarnation"),
        ("\"seq\":1", "\"seq\":-1", "expected u64"),
    ] {
        assert!(right.contains(from), "{from}");
        let told = refusal(&dump_with(&[right, &right.replacen(from, to, 1)]));
        assert!(told.starts_with("line 3: ") && told.contains(reason), "{to}: {told}");
    }
    let long = "x".repeat(LINE_LEN_MAX);
    assert_eq!(refusal(&dump_with(&[&long])), format!("line 2: a line has at most {LINE_LEN_MAX} bytes"));
}

#[test]
fn the_longest_record_fits_into_a_line() {
    let note = [&b"\x04note\xf9\x01"[..], &[1; 505]].concat();
    let longest = client(&[b'\x01'; 256], Attributes::from_bytes(&note).unwrap());
    let data = Record {
        kind: Kind(200),
        body: Body::Data { keep_s: u32::MAX, bytes: &[255; DATA_LEN_MAX] },
        ..longest
    };
    assert_eq!(read(&dump_of(&[longest, data])).unwrap().len(), 2);
}

fn attribute_run() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        any::<String>().prop_map(String::into_bytes),
        "\u{1}-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?".prop_map(String::into_bytes),
        "[\u{0}\u{1}]{0,3}[0-9]{0,3}".prop_map(String::into_bytes),
    ];
    let name = prop_oneof![Just("ttl_s".to_owned()), "[a-z0-9_]{1,8}"];
    proptest::collection::btree_map(name, value, 0..6).prop_map(|members| {
        let mut run = Vec::new();
        for (name, value) in members {
            if run.len() + 3 + name.len() + value.len() <= 512 {
                run.push(name.len() as u8);
                run.extend_from_slice(name.as_bytes());
                run.extend_from_slice(&(value.len() as u16).to_le_bytes());
                run.extend_from_slice(&value);
            }
        }
        run
    })
}

fn decimal(degrees: u32) -> impl Strategy<Value = String> {
    (any::<bool>(), 0..degrees, proptest::option::of("[0-9]{1,12}"), 1..=3_usize).prop_map(
        |(is_negative, integer, decimals, width)| {
            let sign = if is_negative { '-' } else { '+' };
            let decimals = decimals.map_or(String::new(), |decimals| format!(".{decimals}"));
            format!("{sign}{integer:0width$}{decimals}")
        },
    )
}

fn content() -> impl Strategy<Value = (u8, u8, Vec<u8>, String)> {
    let place = (decimal(90), decimal(180)).prop_map(|(latitude, longitude)| latitude + &longitude);
    let bytes = proptest::collection::vec(any::<u8>(), 0..80);
    prop_oneof![
        (attribute_run(), place).prop_map(|(run, place)| (0, 0, run, place)),
        any::<u8>().prop_map(|kind| (1, kind, Vec::new(), String::new())),
        (1..=u8::MAX, bytes).prop_map(|(kind, bytes)| (2, kind, bytes, String::new())),
    ]
}

proptest! {
    #[test]
    fn any_record_is_read_as_it_was_written(
        key in prop_oneof![proptest::collection::vec(any::<u8>(), 1..257), "\\PC{1,40}".prop_map(String::into_bytes)],
        (form, kind, bytes, place) in content(),
        time in "[0-9]{1,10}(\\.[0-9]{1,9})?",
        now_ns: u64,
        keep_s: u32,
        incarnation: u64,
        seq: u64,
    ) {
        prop_assume!(ClientId::new(&key).is_some());
        let timestamp = Timestamp::parse(time.as_bytes()).unwrap();
        let body = match form {
            0 => Body::Location {
                coordinates: Coordinates::parse(place.as_bytes()).unwrap(),
                attributes: Attributes::from_bytes(&bytes).unwrap(),
            },
            1 => Body::Gone,
            _ => Body::Data { keep_s, bytes: &bytes },
        };
        let difference = Difference::at_receipt(now_ns, timestamp);
        let record = Record { kind: Kind(kind), key: &key, body, timestamp, difference };
        let origin = Origin { server: ServerName::new("a.b-c_7").unwrap(), incarnation };
        let mut dump = Vec::new();
        let mut writer = DumpWriter::begin(&mut dump, &header()).unwrap();
        writer.record(&Update { record, origin: &origin, seq }).unwrap();
        writer.finish().unwrap();
        let entries = read(&dump).unwrap();
        prop_assert_eq!(entries.len(), 1);
        let again = entries[0].update();
        prop_assert_eq!(again.record, record);
        prop_assert_eq!((again.origin, again.seq), (&origin, seq));
        if let (Body::Location { attributes: one, coordinates: place }, Body::Location { attributes: other, .. }) =
            (again.record.body, record.body)
        {
            prop_assert_eq!(one.as_bytes(), other.as_bytes());
            prop_assert!(Decimal::from_bits(place.latitude().to_bits()).is_some());
        }
    }
}
