//! Writes the inputs that fuzzing begins with: `cargo run -p proxyherd-fuzz --example seeds`.
//!
//! Where an encoder is public they are what it writes; else they are made by hand, of everything that the form knows.
//! What fuzzing has found beside them is left alone.

use std::{fs, io, path::Path};

use proxyherd_core::{
    codec::link::{
        Encoder, GraftMode, Hello,
        check::{Check, Level},
        numbering::ANEW_VERSION,
    },
    places::quota::{PurseNews, QuotaAccount, QuotaBook, Span, Terms},
    types::{
        Advertisement, Attributes, AttributesBuf, Body, Coordinates, Difference, Kind, Origin, Record,
        ServerName, Timestamp,
    },
};

/// Certificates whose keys nobody has, each a name and its bytes in hexadecimal: of an authority, of a server, of a
/// host, for two servers at once, with the earliest and the latest two-digit years, without names, and half of one.
const CERTIFICATES: &str = include_str!("certificates.hex");

/// A name and the input's bytes.
type Seed = (&'static str, Vec<u8>);

const NOW_NS: u64 = 1_621_464_828_223_371_889;

fn main() -> io::Result<()> {
    let seeds = [
        ("attributes", attributes()),
        ("budget", budget()),
        ("certificate", certificates()),
        ("config", config()),
        ("extract", extract()),
        ("google", texts(&GOOGLE)),
        ("google_legacy", texts(&GOOGLE_LEGACY)),
        ("hours", texts(&HOURS)),
        ("incoming", incoming()),
        ("line", line()),
        ("link", link()),
        ("numbers", numbers()),
        ("places_index", places_index()),
        ("query", texts(&QUERY)),
        ("replies", replies()),
    ];
    for (codec, seeds) in seeds {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora").join(codec);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in seeds {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}

fn texts(seeds: &[(&'static str, &str)]) -> Vec<Seed> {
    seeds.iter().map(|&(name, text)| (name, text.as_bytes().to_vec())).collect()
}

fn certificates() -> Vec<Seed> {
    let byte = |pair: &[u8]| {
        let pair = str::from_utf8(pair).expect("digits are ASCII");
        u8::from_str_radix(pair, 16).expect("two digits are a byte")
    };
    let lines = CERTIFICATES.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(name, digits)| (name, digits.as_bytes().chunks(2).map(byte).collect())).collect()
}

fn name(text: &str) -> ServerName {
    ServerName::new(text).expect("this is a name")
}

fn origin(server: &str) -> Origin {
    Origin { server: name(server), incarnation: 7 }
}

fn noted() -> AttributesBuf {
    let mut attributes = AttributesBuf::default();
    for (name, value) in
        [("accuracy", "5.0"), ("battery", "80"), ("heading", ""), ("note", "grüß Gott, on my way")]
    {
        attributes.set(name, value).expect("these are attributes");
    }
    attributes
}

fn attributes() -> Vec<Seed> {
    let mut longest = AttributesBuf::default();
    longest.set("note", &"x".repeat(505)).expect("this is as long as it may be");
    vec![
        ("none", Vec::new()),
        ("some", noted().borrow().as_bytes().to_vec()),
        ("longest", longest.borrow().as_bytes().to_vec()),
        ("out-of-order", b"\x01b\x01\0x\x01a\x01\0x".to_vec()),
        ("value-too-long", b"\x01a\xff\xffx".to_vec()),
        ("not-utf8", b"\x01a\x02\0\xff\xfe".to_vec()),
    ]
}

fn budget() -> Vec<Seed> {
    let mut book = QuotaBook::new(name("Riley"));
    for span in Span::ALL {
        book.set_terms(span, Terms::new(1000, ["Riley", "Jaquez", "Juzang"].map(name)));
    }
    let turn = book.turn(NOW_NS, &[].into(), &PurseNews { asked: 5, ..PurseNews::default() });
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
        ("account", turn.told.first().map(|(_, account)| account.to_bytes()).unwrap_or_default()),
        ("generous", generous.to_bytes()),
        ("closed", closed.to_bytes()),
    ]
}

fn config() -> Vec<Seed> {
    let classic = proxyherd::config::Config::classic_text("herd");
    let small = "[[server]]\nname = \"Riley\"\nlisten = \"127.0.0.1:12000\"\npeer = \"127.0.0.1:13000\"\n";
    let mut seeds = texts(&[
        ("empty", ""),
        ("small", small),
        ("address", "[::1]:8000"),
        ("host", "riley.example.:12000"),
        ("unknown-key", "[herd]\ntsl = \"off\"\n[places]\nprovidr = 1\n[[server]]\nnmae = \"Riley\"\n"),
        ("twice", "[herd]\nid = \"a\"\nid = \"b\"\nid = \"c\"\n"),
        (
            "out-of-range",
            "[limits]\nline_rate = -1\n[places]\ndeadline_ms = 99999999999999999999\nfallback = [1, []]\n",
        ),
        ("nested", "a = [[[[[[[[[[[[[[[[[[[[{b = [[[[[[[[[[[[1]]]]]]]]]]]]}]]]]]]]]]]]]]]]]]]]]\n"),
        ("unclosed", "[herd\nid = \"a\n[[server]\nname = '''x\n"),
    ]);
    seeds.push(("classic", classic.into_bytes()));
    seeds
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
    out
}

/// A field of a message in Protocol Buffers' wire format: a number, or bytes.
fn number_field(field: u8, number: u64) -> Vec<u8> {
    [vec![field << 3], varint(number)].concat()
}

fn bytes_field(field: u8, bytes: &[u8]) -> Vec<u8> {
    [vec![field << 3 | 2], varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn frame(kind: &str, blob: &[u8]) -> Vec<u8> {
    let header = [bytes_field(1, kind.as_bytes()), number_field(3, blob.len() as u64)].concat();
    [&(header.len() as u32).to_be_bytes()[..], &header, blob].concat()
}

/// A block whose strings are the tags of a café, and the roles of members.
fn extract_block(group: &[u8]) -> Vec<u8> {
    let strings = ["", "amenity", "cafe", "name", "Zoom", "outer", "inner"];
    let table: Vec<u8> = strings.iter().flat_map(|text| bytes_field(1, text.as_bytes())).collect();
    [bytes_field(1, &table), bytes_field(2, group), vec![0x88, 1, 100]].concat()
}

/// Two nodes in the dense form, of which the first is a café.
fn dense_nodes() -> Vec<u8> {
    let lists = [(1, &[2, 2][..]), (8, &[40, 1]), (9, &[60, 3]), (10, &[1, 2, 3, 4, 0, 0])];
    let lists: Vec<u8> = lists.iter().flat_map(|(field, list)| bytes_field(*field, list)).collect();
    bytes_field(2, &[bytes_field(5, &bytes_field(1, &[1, 1])), lists].concat())
}

fn extract() -> Vec<Seed> {
    let tags = || [bytes_field(2, &[1, 3]), bytes_field(3, &[2, 4])].concat();
    let info = || bytes_field(4, &number_field(1, 3));
    let node = [number_field(1, 7), tags(), info(), number_field(8, 40), number_field(9, 60)].concat();
    let located = [bytes_field(9, &[40, 2, 2, 3]), bytes_field(10, &[60, 2, 3, 1])].concat();
    let way = [number_field(1, 8), tags(), info(), bytes_field(8, &[2, 2, 2, 3]), located].concat();
    let members =
        [bytes_field(8, &[5, 6, 0]), bytes_field(9, &[16, 1, 2]), bytes_field(10, &[1, 0, 3])].concat();
    let relation = [number_field(1, 9), tags(), info(), members].concat();
    let features = [bytes_field(4, b"OsmSchema-V0.6"), bytes_field(4, b"DenseNodes")].concat();
    let header = || frame("OSMHeader", &bytes_field(1, &features));
    let data = |group: &[u8]| frame("OSMData", &bytes_field(1, &extract_block(group)));
    let stored = |content: &[u8]| {
        // A block of zlib that is stored as it is, and its sum.
        let (mut low, mut high) = (1_u32, 0_u32);
        for &byte in content {
            low = (low + u32::from(byte)) % 65_521;
            high = (high + low) % 65_521;
        }
        let len = content.len() as u16;
        let head = [&[0x78, 1, 1][..], &len.to_le_bytes(), &(!len).to_le_bytes()].concat();
        let zlib = [&head[..], content, &(high << 16 | low).to_be_bytes()].concat();
        [number_field(2, content.len() as u64), bytes_field(3, &zlib)].concat()
    };
    let all = [data(&[bytes_field(1, &node), dense_nodes()].concat()), data(&bytes_field(3, &way))];
    vec![
        ("empty", header()),
        ("all", [header(), all.concat(), data(&bytes_field(4, &relation))].concat()),
        ("packed", [header(), frame("OSMData", &stored(&extract_block(&dense_nodes())))].concat()),
        (
            "lz4",
            [header(), frame("OSMData", &[number_field(2, 3), bytes_field(6, b"abc")].concat())].concat(),
        ),
        ("block", extract_block(&[dense_nodes(), bytes_field(3, &way), bytes_field(4, &relation)].concat())),
        ("cut", header()[..20].to_vec()),
        ("endless", b"\0\0\0\x14\x0a\x07OSMData\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec()),
    ]
}

const GOOGLE: [(&str, &str); 7] = [
    ("nothing", "{}"),
    ("no-list", r#"{"places":{}}"#),
    ("no-object", "[[[[[1]]]]]"),
    (
        "error",
        r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#,
    ),
    ("least", r#"{"places":[{"id":"1","displayName":{"text":"x"},"location":{"longitude":2}}]}"#),
    (
        "broken-strings",
        r#"{"places":[{"id":"1","displayName":{"text":"\ud800"}},{"id":"2","displayName":{"text":"y"},"location":{"latitude":1},"formattedAddress":"\x","rating":1e999,"types":["\u12",""]}]}"#,
    ),
    (
        "most",
        r##"{"places":[{"id":"ChIJ1","types":["cafe","food"],"formattedAddress":"1 Long Street","shortFormattedAddress":"1 Long St","plusCode":{"globalCode":"85633HG4+HX","compoundCode":"3HG4+HX Westwood"},"location":{"latitude":34.06893,"longitude":-118.445127},"viewport":{"low":{"latitude":34.067,"longitude":-118.446},"high":{"latitude":34.07,"longitude":-118.444}},"rating":4.3,"userRatingCount":12,"businessStatus":"CLOSED_PERMANENTLY","priceLevel":"PRICE_LEVEL_MODERATE","iconMaskBaseUri":"https://a.example/i","iconBackgroundColor":"#FF9E67","displayName":{"text":"Caf\u00e9 \"K\"\n"},"currentOpeningHours":{"openNow":false},"regularOpeningHours":{"openNow":true},"attributions":[{"provider":"A & B","providerUri":"https://a.example/?x=1&y=2"}],"photos":[{"name":"places/ChIJ1/photos/AUc7","widthPx":4032,"heightPx":3024,"authorAttributions":[{"displayName":"<i>Ann</i>","uri":"//a.example/1"},{"displayName":"Bo","uri":"javascript:alert(1)"}]}]}]}"##,
    ),
];

const GOOGLE_LEGACY: [(&str, &str); 8] = [
    ("nothing", r#"{"results":[],"status":"ZERO_RESULTS"}"#),
    ("no-status", r#"{"results":[]}"#),
    ("no-list", r#"{"results":1,"status":"OK"}"#),
    (
        "denied",
        r#"{"error_message":"The provided API key is invalid.","results":[],"status":"REQUEST_DENIED"}"#,
    ),
    (
        "least",
        r#"{"results":[{"place_id":"1","name":"x","geometry":{"location":{"lat":-0.0,"lng":180}}}],"status":"OK"}"#,
    ),
    (
        "unknown-members",
        r#"{"status":"OK","results":[ {"z":{"new":[1.0,-0,[],{},1e2]} ,"name":"\u0041","name":"x\"]","a":null},{"name":"B"}]}"#,
    ),
    (
        "broken-strings",
        r#"{"status":"OK","results":[{"name":"\udc00"},{"name":"x","vicinity":"\x","\ud800":[]},7,{"name":1e999}],"info_messages":["\u1"]}"#,
    ),
    (
        "most",
        r##"{"html_attributions":["<a href='x'>y</a>"],"info_messages":["so it is"],"next_page_token":"Aap_uEC","results":[{"business_status":"OPERATIONAL","geometry":{"location":{"lat":-33.8587323,"lng":151.2100055},"viewport":{"northeast":{"lat":-33.85739817010727,"lng":151.2112278798927},"southwest":{"lat":-33.86009782989272,"lng":151.2085282201073}}},"icon":"https://a.example/bar-71.png","icon_background_color":"#FF9E67","icon_mask_base_uri":"https://a.example/bar","name":"Cruise Bar","opening_hours":{"open_now":false},"photos":[{"height":608,"html_attributions":["<a href=\"https://a.example/1\">A</a>"],"photo_reference":"Aap_u","width":1080}],"place_id":"ChIJi6C1","plus_code":{"compound_code":"46R6+G2 The Rocks","global_code":"4RRH46R6+G2"},"price_level":2,"rating":4,"reference":"ChIJi6C1","scope":"GOOGLE","types":["bar","establishment"],"user_ratings_total":1269,"vicinity":"Level 1"}],"status":"OK"}"##,
    ),
];

const HOURS: [(&str, &str); 13] = [
    ("always", "24/7"),
    ("week", "Mo-Fr 08:00-18:00; Sa 09:00-13:00; Su,PH off"),
    ("night", "Mo-Su 18:00-26:00"),
    ("sun", "sunrise-sunset; (sunset+01:00)-(sunrise-00:30) unknown \"perhaps\""),
    ("seasons", "Apr 01-Oct 31: 10:00-19:00 || Nov-Mar 10:00-16:00, PH -1 day off"),
    ("easter", "easter -2 days-easter +1 day closed; 2020-2030/2 Dec 24 10:00-14:00"),
    ("weeks", "week 01-53/2 Mo[1],We[-1] 10:00-12:00+"),
    ("days", "2024 Feb 29-2028 Feb 29 Mo-Fr 00:00-24:00 open, SH off"),
    ("every", "08:00-20:00/01:30"),
    ("nonsense", "call us"),
    ("overflow", "(dusk+05:00)-25:00"),
    ("no-such-day", "Mo-Su 00:00-24:00; Sep 31 off; Feb 30-Mar 01 off || 2023 Feb 29"),
    ("comments", "Tu,Th 09:00-11:00 \"ring\"; Mo \"by appointment\" || \"ask\""),
];

const QUERY: [(&str, &str); 13] = [
    ("near", "location=34.068930,-118.445127&radius=10000&key=x"),
    ("client", "client=kiwi%2ecs.ucla.edu&radius=5e2"),
    ("distance", "location=0,0&rankby=distance&keyword=caf%C3%A9+noir"),
    (
        "all",
        "location=1.5,-2&radius=50000&type=bar|cafe&keyword=a%26b&name=c&language=en&minprice=0&maxprice=4&opennow",
    ),
    ("page", "pagetoken=Aap_uEC"),
    ("python", "location=1,2&radius=3&minprice=None&opennow=true"),
    ("twice", "radius=1&radius=2"),
    ("bad-percent", "location=%zz&radius=%2"),
    ("not-utf8", "keyword=%ff%fe&location=1,2&radius=3"),
    ("huge", "location=1e400,2&radius=inf"),
    ("liberal", "location=1.5,+-2%20&radius=9e9&opennow=1&type=nobody_knows"),
    ("distance-alone", "location=1,2&rankby=distance&opennow="),
    ("client-and-location", "client=kiwi&location=1,2&radius=3"),
];

fn line() -> Vec<Seed> {
    let mut seeds = texts(&[
        ("report", "IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1621464827.959498503\n"),
        ("question", "WHATSAT kiwi.cs.ucla.edu 10 5\nWHATSAT kiwi.cs.ucla.edu 0.000000001 20\r\n"),
        ("white-space", " \t\r\n\x0b\x0c\n\tIAMAT  kiwi\t+1-1 \x0c 1.5  \r\n"),
        ("no-end", "IAMAT kiwi -90-180 9999999999.999999999"),
        ("odd-numbers", "IAMAT x +090.000000000000-000.0 0\nIAMAT x +05.5-0 0000000000.000000000\n"),
        (
            "wrong-numbers",
            "IAMAT x +90.1-1 1\nIAMAT x +.5-1 1\nIAMAT x +1-1 1e5\nWHATSAT x 51 1\nWHATSAT x 1 21\n",
        ),
        ("others", "AT Riley +0.2 kiwi +1-1 1\niamat x +1-1 1\nIAMAT\nWHATSAT a b c d\n?\n"),
        ("stranger", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ]);
    seeds.push(("not-text", b"IAMAT \xff\x80\x00\xc3 +1-1 1\n\xff\xfe\n\0\n".to_vec()));
    seeds.push(("longest", [&b"x".repeat(8192)[..], b"\nIAMAT kiwi +1-1 1\n"].concat()));
    seeds.push(("too-long", [&b"IAMAT "[..], &b"y".repeat(8187)].concat()));
    seeds
}

fn replies() -> Vec<Seed> {
    let mut seeds = texts(&[
        ("report", "AT Riley +0.263873386 kiwi +34.068930-118.445127 1621464827.959498503\n"),
        ("places", "AT Riley +0.2 kiwi +1-1 1\n{\n   \"results\" : []\n}\n\nAT Riley +0.2 kiwi +1-1 1\n"),
        ("invalid", "? IAMAT x\n? \nAT Riley +0.2 kiwi +1-1 1\n"),
        ("stranger", "HTTP/1.1 400 Bad Request\r\n\r\n"),
        ("begun", "AT Ri"),
        ("asked", "WHATSAT kiwi 10 5"),
    ]);
    seeds.push(("empty", Vec::new()));
    seeds
}

fn numbers() -> Vec<Seed> {
    let mut seeds = texts(&[
        ("coordinates", "+34.068930-118.445127"),
        ("poles", "-090.000000000000+180.000000000000"),
        ("zeros", "-0+00.0"),
        ("timestamp", "1621464827.959498503"),
        ("latest", "9999999999.999999999"),
        ("kilometres", "10"),
        ("micrometre", "00.000000001"),
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

fn hello(encoder: &mut Encoder) {
    encoder.hello(&Hello {
        lowest: 1,
        highest: 2,
        features: 1,
        herd: "herd".to_owned(),
        origin: origin("Jaquez"),
        shards: 16,
        clock_ns: Some(NOW_NS),
    });
}

fn record<'a>(key: &'a [u8], body: Body<'a>, kind: Kind) -> Record<'a> {
    let timestamp = Timestamp::parse(b"1621464827.959498503").expect("this is a time");
    let difference = Difference::at_receipt(NOW_NS, timestamp);
    Record { kind, key, body, timestamp, difference }
}

fn place(attributes: Attributes<'_>) -> Body<'_> {
    let coordinates = Coordinates::parse(b"+34.068930-118.445127").expect("this is a place");
    Body::Location { coordinates, attributes }
}

/// Records of every kind, told by Jaquez.
fn records(encoder: &mut Encoder) {
    let jaquez = encoder.index_of(&origin("Jaquez")).expect("it is the first");
    let attributes = noted();
    encoder.record(jaquez, 1, &record(b"kiwi", place(Attributes::NONE), Kind::CLIENT));
    encoder.record(jaquez, 2, &record(b"plum", place(attributes.borrow()), Kind::CLIENT));
    encoder.record(jaquez, 3, &record(b"kiwi", Body::Gone, Kind::CLIENT));
    encoder.record(jaquez, 4, &record(&[0xff; 256], place(Attributes::NONE), Kind::CLIENT));
    let data = Body::Data { keep_s: 3600, bytes: b"of a later version" };
    encoder.record(jaquez, 5, &record(b"day/2021-05-19/Jaquez", data, Kind(200)));
}

fn told(tell: impl FnOnce(&mut Encoder)) -> Vec<u8> {
    let mut encoder = Encoder::default();
    tell(&mut encoder);
    encoder.bytes().to_vec()
}

/// Records of more origins than have an index at a time, and an index that means nothing any more.
fn numbered_anew() -> Vec<u8> {
    let mut encoder = Encoder::default().with_origins_max(2);
    encoder.agree(ANEW_VERSION);
    for server in ["Jaquez", "Juzang", "Bernard", "Campbell", "Jaquez"] {
        encoder.make_room(1);
        let index = encoder.index_of(&origin(server)).expect("there is room");
        encoder.record(index, 1, &record(server.as_bytes(), place(Attributes::NONE), Kind::CLIENT));
        (0..16).for_each(|shard| encoder.marker(shard, &[(index, 1)]));
    }
    encoder.marker(0, &[(1, 1)]);
    encoder.bytes().to_vec()
}

fn checks(encoder: &mut Encoder) {
    let level = Level { shard: 3, depth: 1, from_ns: NOW_NS };
    encoder.check(&Check {
        shard: 3,
        received: 0,
        from_ns: NOW_NS,
        client_ttl_ns: 3_600_000_000_000,
        root: 1,
    });
    encoder.branches(Level { depth: 0, ..level }, &[(0, [7; 16])]);
    encoder.branches(level, &[(0x1000_0000_0000_0000, [7; 16])]);
    encoder.leaves(Level { depth: 15, ..level }, &[0, u64::MAX]);
}

fn tree(encoder: &mut Encoder) {
    let up = ["Riley", "Juzang"].map(name).into();
    encoder.state(&Advertisement { origin: origin("Jaquez"), stamp: 9, up });
    let up = ["Jaquez", "Riley"].map(name).into();
    encoder.state(&Advertisement { origin: origin("Juzang"), stamp: 3, up });
    let jaquez = encoder.index_of(&origin("Jaquez")).expect("it is the first");
    for shard in 0..16 {
        encoder.ihave(shard, &[(jaquez, 5)]);
        let mode = if shard % 2 == 0 { GraftMode::Once } else { GraftMode::Onward };
        encoder.graft(shard, &[], mode);
    }
    encoder.prune();
}

fn link() -> Vec<Seed> {
    vec![
        ("hello", told(hello)),
        ("refusal", told(|encoder| encoder.refusal("it belongs to the herd \"a\""))),
        ("records", told(records)),
        ("checks", told(checks)),
        ("tree", told(tree)),
        (
            "clocks",
            told(|encoder| {
                encoder.heartbeat(NOW_NS);
                encoder.offset(-5);
            }),
        ),
        (
            "covered",
            told(|encoder| {
                let jaquez = encoder.index_of(&origin("Jaquez")).expect("it is the first");
                encoder.vector(3, &[(jaquez, 9), (jaquez, u64::MAX)]);
                encoder.marker(15, &[(jaquez, 13)]);
                encoder.vector(0, &[]);
            }),
        ),
        ("numbered-anew", numbered_anew()),
        ("skipped", vec![1, 0, 99, 0x80, 42, 0, 0, 99, 0]),
        ("long-refusal", [&[255, 0, 2, 0, 254][..], "é".repeat(127).as_bytes()].concat()),
        ("no-entries", vec![3, 0, 6, 0, 1, 0, 0, 3, 0, 13, 0, 2, 0, 0]),
        ("too-many-entries", vec![3, 0, 6, 0, 1, 0xff, 0xff]),
        ("stranger", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
    ]
}

fn incoming() -> Vec<Seed> {
    let vectors = |encoder: &mut Encoder| (0..16).for_each(|shard| encoder.vector(shard, &[]));
    let markers = |encoder: &mut Encoder| {
        let jaquez = encoder.index_of(&origin("Jaquez")).expect("it is the first");
        (0..16).for_each(|shard| encoder.marker(shard, &[(jaquez, 5)]));
    };
    vec![
        ("hello", told(hello)),
        (
            "vectors-and-records",
            told(|encoder| {
                vectors(encoder);
                records(encoder);
                markers(encoder);
            }),
        ),
        ("records", told(records)),
        (
            "tree-and-records",
            told(|encoder| {
                tree(encoder);
                records(encoder);
                markers(encoder);
            }),
        ),
        (
            "checks",
            told(|encoder| {
                vectors(encoder);
                records(encoder);
                checks(encoder);
            }),
        ),
        (
            "clocks",
            told(|encoder| {
                encoder.heartbeat(NOW_NS + 2_000_000_000);
                encoder.offset(2_000_000_000);
            }),
        ),
        ("clock-far-off", told(|encoder| encoder.heartbeat(u64::MAX))),
        (
            "own-origin",
            told(|encoder| {
                let origin = Origin { server: name("Riley"), incarnation: 1 };
                let me = encoder.index_of(&origin).expect("it is the first");
                encoder.record(me, 1, &record(b"kiwi", place(Attributes::NONE), Kind::CLIENT));
            }),
        ),
        ("numbered-anew", numbered_anew()),
        ("unknown-shard", told(|encoder| encoder.vector(16, &[]))),
    ]
}

/// Places of one block, each by longitude, latitude and record.
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

fn place_record(number: u8, locale: u8, kinds: &[u8], texts: [&str; 4]) -> Vec<u8> {
    let mut out = vec![number << 2, locale, kinds.len() as u8];
    out.extend(kinds);
    for text in texts {
        out.push(text.len() as u8);
        out.extend(text.as_bytes());
    }
    out
}

/// A file of these blocks, without the sums, which are put right where it is used.
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

fn places_index() -> Vec<Seed> {
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
