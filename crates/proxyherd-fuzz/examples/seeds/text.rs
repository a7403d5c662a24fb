//! Seeds that are text: configurations, lines, replies, JSON, opening hours and query strings.

use super::Seed;

pub(super) fn seeds(seeds: &[(&'static str, &str)]) -> Vec<Seed> {
    seeds.iter().map(|&(name, text)| (name, text.as_bytes().to_vec())).collect()
}

pub(super) fn config() -> Vec<Seed> {
    let classic = proxyherd_config::config::Config::classic_text("herd");
    let small = "[[server]]\nname = \"Riley\"\nlisten = \"127.0.0.1:12000\"\npeer = \"127.0.0.1:13000\"\n";
    let mut seeds = seeds(&[
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

pub(super) fn line() -> Vec<Seed> {
    let mut seeds = seeds(&[
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

pub(super) fn replies() -> Vec<Seed> {
    let mut seeds = seeds(&[
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

pub(super) const GOOGLE: [(&str, &str); 7] = [
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

pub(super) const GOOGLE_LEGACY: [(&str, &str); 8] = [
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

pub(super) const HOURS: [(&str, &str); 13] = [
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

pub(super) const QUERY: [(&str, &str); 13] = [
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
