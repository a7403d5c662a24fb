//! Seeds of values: attributes, the books of places budgets, certificates and numbers. This module also has values that
//! other seeds use.

use proxyherd_core::{
    access::{Maker, SECRET_LEN, Scopes, Share, TokenId, TokenRecord, TokenState, TokenText},
    places::quota::{QuotaAccount, QuotaBook, ReserveNews, Span, Terms},
    types::{AttributeValue, AttributesBuf, ClientId, Coordinates, Origin, ServerName, Timestamp},
};

use super::{NOW_NS, Seed, text};

/// Certificates, each with a name and its bytes in hexadecimal. There are certificates of an authority, of a server, of
/// a host and of two servers, with the earliest and the latest two-digit years, without names, and one half
/// certificate. Their keys do not exist any more.
const CERTIFICATES: &str = include_str!("certificates.hex");

pub(super) fn name(text: &str) -> ServerName {
    ServerName::new(text).expect("this is a name")
}

pub(super) fn origin(server: &str) -> Origin {
    Origin { server: name(server), incarnation: 7 }
}

pub(super) fn some_attributes() -> AttributesBuf {
    let mut attributes = AttributesBuf::default();
    for (name, value) in [
        ("accuracy", AttributeValue::Text("5.0")),
        ("battery", AttributeValue::Text("80")),
        ("heading", AttributeValue::Text("")),
        ("note", AttributeValue::Text("grüß Gott, on my way")),
    ] {
        attributes.set(name, value).expect("these are attributes");
    }
    attributes
}

pub(super) fn attributes() -> Vec<Seed> {
    let mut longest = AttributesBuf::default();
    longest.set("note", AttributeValue::Text(&"x".repeat(505))).expect("this is as long as it may be");
    vec![
        ("none", Vec::new()),
        ("some", some_attributes().borrow().as_bytes().to_vec()),
        ("longest", longest.borrow().as_bytes().to_vec()),
        ("out-of-order", b"\x01b\x01\0x\x01a\x01\0x".to_vec()),
        ("value-too-long", b"\x01a\xff\xffx".to_vec()),
        ("not-utf8", b"\x01a\x02\0\xff\xfe".to_vec()),
    ]
}

pub(super) fn tokens() -> Vec<Seed> {
    let id = TokenId::parse("k1w1").expect("this is an ID");
    let text = TokenText::new(id, &[0xa5; SECRET_LEN]).reveal().to_owned();
    let scopes = ["report:courier-*", "read:*", "places", "fences"].map(str::as_bytes);
    let record = TokenRecord {
        state: TokenState::Live,
        hash: [7; 32],
        scopes: Scopes::parse(scopes).expect("these are scopes"),
        name: "the couriers".to_owned(),
        made_at_ns: NOW_NS,
        expires_at_ns: Some(NOW_NS + 1),
        is_latest_only: true,
        clients_max: Some(100),
        rate: Some(5),
        share: None,
    };
    let makers = [
        Maker::Token(TokenId::parse("k1w1").expect("this is an ID")),
        Maker::Operator([9; 32]),
        Maker::Anybody,
    ];
    let shared = ClientId::new(b"courier-*").expect("this is an ID");
    let shares =
        makers.map(|maker| TokenRecord::of_share(Share::new(shared, maker), [7; 32], NOW_NS, NOW_NS + 1));
    let [of_token, of_operator, of_anybody] = shares.map(|share| share.encode());
    let revoked = TokenRecord { state: TokenState::Revoked, ..record.clone() };
    vec![
        ("text", text.clone().into_bytes()),
        ("scope", b"report:courier-*".to_vec()),
        ("operate", b"operate".to_vec()),
        ("record", record.encode()),
        ("revoked", revoked.encode()),
        ("share-of-token", of_token),
        ("share-of-operator", of_operator),
        ("share-of-anybody", of_anybody),
        ("lines", format!("IAMAT kiwi +1+1 1\nAUTH {text}\n? auth {text}\r\n").into_bytes()),
    ]
}

pub(super) fn quota() -> Vec<Seed> {
    let mut book = QuotaBook::new(name("Riley"));
    for span in Span::ALL {
        book.set_terms(span, Terms::new(1000, ["Riley", "Jaquez", "Juzang"].map(name)));
    }
    book.note_heard();
    let turn = book.turn(NOW_NS, &[].into(), &ReserveNews { asked: 5, ..ReserveNews::default() });
    let without_sum = |bytes: Vec<u8>| bytes[..bytes.len() - 8].to_vec();
    let granted =
        [("Jaquez", 3), ("Riley", u64::MAX)].map(|(server, granted)| (name(server), granted)).into();
    let generous = QuotaAccount { share: 333, wants: 7, granted, ..QuotaAccount::default() };
    let closed = QuotaAccount { is_closed: true, reserved: 90, taken: 90, ..generous.clone() };
    vec![
        ("new", without_sum(QuotaBook::new(name("Riley")).to_bytes())),
        ("book", without_sum(book.to_bytes())),
        ("book-with-its-sum", book.to_bytes()),
        ("another-servers", without_sum(QuotaBook::new(name("Juzang")).to_bytes())),
        ("account", turn.told.first().expect("a server tells its account").1.to_bytes()),
        ("generous", generous.to_bytes()),
        ("closed", closed.to_bytes()),
    ]
}

pub(super) fn certificates() -> Vec<Seed> {
    let byte = |pair: &[u8]| {
        let pair = str::from_utf8(pair).expect("digits are ASCII");
        u8::from_str_radix(pair, 16).expect("two digits are a byte")
    };
    let lines = CERTIFICATES.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(name, digits)| (name, digits.as_bytes().chunks(2).map(byte).collect())).collect()
}

pub(super) fn numbers() -> Vec<Seed> {
    let mut seeds = text::seeds(&[
        ("coordinates", "+34.068930-118.445127"),
        ("poles", "-090.000000000000+180.000000000000"),
        ("zeros", "-0+00.0"),
        ("timestamp", "1621464827.959498503"),
        ("latest", "9999999999.999999999"),
        ("kilometers", "10"),
        ("micrometer", "00.000000001"),
        ("too-much", "+180.000000000001-1"),
    ]);
    let coordinates = Coordinates::parse(b"+34.068930-118.445127").expect("this is a place");
    let timestamp = Timestamp::parse(b"1621464827.959498503").expect("this is a time");
    let bits =
        |one: u64, other: u64, shape| [&one.to_le_bytes()[..], &other.to_le_bytes(), &[shape]].concat();
    let (latitude, longitude) = (coordinates.latitude().to_bits(), coordinates.longitude().to_bits());
    seeds.push(("bits", bits(latitude, longitude, 0)));
    seeds.push(("parts", bits(timestamp.nanos(), NOW_NS, timestamp.shape())));
    seeds.push(("far-apart", bits(timestamp.nanos(), u64::MAX, timestamp.shape())));
    seeds
}
