//! Tests of the map's page, of the page of shares and their files, and of what the map asks servers.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use proxyherd_web::WebFile;
use serde_json::Value;

use crate::harness::{OPERATOR_TOKEN, PATIENCE, Plan, Reply, Ws, bearer, eventually, fetch, request};

/// Maximum length of everything that the pages load, compressed, bytes.
const TRANSFERRED_LEN_MAX: usize = 1_000_000;
const PACKED: &str = "Accept-Encoding: br, gzip\r\n";

/// The head and the body of an answer whose body may be compressed.
fn fetch_bytes(http: SocketAddr, path: &str, headers: &str) -> (Reply, Vec<u8>) {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {http}\r\n{headers}\r\n").as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (Reply { code, head, body: String::new() }, bytes.split_off(end + 4))
}

/// The paths of all pages and files, with what the program holds of them.
fn all() -> Vec<(String, &'static WebFile)> {
    let page = |path: &str, name| (path.to_owned(), proxyherd_web::page(name).unwrap());
    let files = proxyherd_web::files().iter().map(|file| (format!("/map/{}", file.name), file));
    let pages = [page("/", "index.html"), page("/share", "share.html")];
    assert_eq!(pages.len(), proxyherd_web::pages().len(), "each page has a path");
    pages.into_iter().chain(files).collect()
}

#[test]
fn each_file_is_sent_compressed_and_unpacked_and_not_again_to_who_holds_it() {
    let herd = Plan::single().with_tokens().start();
    let http = herd.at("Riley").http;
    for (path, file) in all() {
        let (packed, body) = fetch_bytes(http, &path, PACKED);
        assert_eq!((packed.code, packed.header("content-encoding")), (200, Some("gzip")), "{path}");
        assert!(body == file.gzip, "{path}");
        assert_eq!(packed.header("vary").map(|vary| vary.contains("Accept-Encoding")), Some(true), "{path}");
        let (plain, body) = fetch_bytes(http, &path, "");
        assert_eq!((plain.code, plain.header("content-encoding")), (200, None), "{path}");
        assert_eq!(body.len(), file.len as usize, "{path}");
        let kept = if path.starts_with("/map/") { "public, max-age=31536000, immutable" } else { "no-cache" };
        for reply in [&packed, &plain] {
            assert_eq!(reply.header("content-type"), Some(file.content_type), "{path}");
            assert_eq!(reply.header("cache-control"), Some(kept), "{path}");
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
            assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{path}");
        }
        let held = format!("If-None-Match: {}\r\n", packed.header("etag").unwrap());
        let (same, body) = fetch_bytes(http, &path, &(PACKED.to_owned() + &held));
        assert_eq!((same.code, body.len()), (304, 0), "{path}");
        assert_eq!(same.header("cache-control"), Some(kept), "{path}");
        let head = request(http, format!("HEAD {path} HTTP/1.0\r\nHost: {http}\r\n{PACKED}\r\n").as_bytes());
        let len = file.gzip.len().to_string();
        assert_eq!((head.code, head.header("content-length"), &*head.body), (200, Some(&*len), ""), "{path}");
    }
}

#[test]
fn what_is_not_there_is_not_found_and_the_door_for_phones_has_no_map() {
    let herd = Plan::single().with_phones().start();
    let at = herd.at("Riley");
    for path in ["/map/index-00000000.js", "/map/index.html", "/map/..%2Findex.html", "/map/", "/map"] {
        assert_eq!(fetch(at.http, path, "").code, 404, "{path}");
    }
    assert_eq!(
        fetch(at.http, "/?utm_source=mail", "").code,
        200,
        "a mail program adds parameters of its own"
    );
    assert_eq!(fetch(at.http, "/?id=kiwi&lat=34&lon=-118", "").code, 200, "this is a report");
    assert_eq!(fetch(at.phones, "/", "").code, 400);
    for path in ["/share", "/v1/map", "/v1/herd"] {
        assert_eq!(fetch(at.phones, path, "").code, 404, "{path}");
    }
}

/// The values of an attribute in a page.
fn values<'p>(page: &'p str, attribute: &str) -> Vec<&'p str> {
    let begin = format!(" {attribute}=\"");
    page.split(&begin).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

#[test]
fn pages_have_no_inline_script_or_style_and_load_only_files_that_are_there() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let mut texts = Vec::new();
    for (path, _) in all() {
        let (reply, body) = fetch_bytes(http, &path, "");
        texts.push((
            path,
            reply.header("content-type").unwrap().to_owned(),
            String::from_utf8(body).unwrap(),
        ));
    }
    for (path, _, page) in texts.iter().filter(|(_, kind, _)| kind.starts_with("text/html")) {
        let scripts: Vec<&str> = page.split("<script").skip(1).collect();
        assert!(!scripts.is_empty(), "{path}");
        for script in scripts {
            let (tag, content) = script.split_once('>').unwrap();
            assert!(
                tag.contains(" src=\"./map/") && content.trim_start().starts_with("</script>"),
                "{script}"
            );
        }
        assert!(
            !page.contains("<style") && !page.contains(" style=") && !page.contains("javascript:"),
            "{path}"
        );
        // Every attribute that begins with "on" is a handler of an event.
        assert!(
            !page.split([' ', '\n']).any(|word| word.starts_with("on") && word.contains("=\"")),
            "{path}"
        );
        for named in [values(page, "src"), values(page, "href")].concat() {
            let Some(file) = named.strip_prefix("./map/") else {
                assert!(
                    named.starts_with('#') || named.starts_with("./") || named == "/docs",
                    "{path}: {named}"
                );
                continue;
            };
            assert!(proxyherd_web::file(file).is_some(), "{path}: {named}");
        }
    }
    for file in proxyherd_web::files() {
        let (stem, _) = file.name.rsplit_once('.').unwrap();
        let is_named = stem.len() > 9 && stem.as_bytes()[stem.len() - 9] == b'-';
        assert!(is_named, "{} has no hash in its name, and browsers keep it for ever", file.name);
        let elsewhere = texts.iter().filter(|(path, ..)| !path.ends_with(file.name));
        assert!(
            elsewhere.into_iter().any(|(_, _, text)| text.contains(file.name)),
            "nothing loads {}",
            file.name
        );
    }
}

#[test]
fn the_pages_and_all_their_files_are_less_than_a_megabyte() {
    let len: usize = all().iter().map(|(_, file)| file.gzip.len()).sum();
    assert!((10_000..TRANSFERRED_LEN_MAX).contains(&len), "{len}");
}

#[test]
fn a_page_may_talk_to_the_herd_and_its_tiles_and_to_nobody_else() {
    let herd = Plan::pair().start();
    let (riley, jaquez) = (herd.at("Riley").http, herd.at("Jaquez").http);
    let policy = |path: &str| fetch(riley, path, "").header("content-security-policy").unwrap().to_owned();
    let servers = format!("http://{riley} ws://{riley} http://{jaquez} ws://{jaquez}");
    for path in ["/", "/share"] {
        assert_eq!(
            policy(path),
            format!(
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; worker-src \
                 'self'; connect-src 'self' {servers}; font-src 'self'; base-uri 'none'; form-action 'none'; \
                 frame-ancestors 'none'"
            ),
            "{path}"
        );
    }
    assert!(policy(&format!("/map/{}", proxyherd_web::files()[0].name)).starts_with("default-src 'none'; "));
    assert_eq!(fetch(riley, "/v1/map", "").json()["tiles"], Value::Null);
    let tiles = "https://tiles.example.org/{z}/{x}/{y}.png";
    let mut herd = Plan::single().prepare();
    let text = format!("[map]\ntiles = \"{tiles}\"\nattribution = \"© us\"\n{}", herd.text());
    herd.write_file("herd.toml", &text);
    herd.start("Riley");
    let http = herd.at("Riley").http;
    let shown = fetch(http, "/v1/map", "").json();
    assert_eq!(shown["tiles"], serde_json::json!({ "url": tiles, "attribution": "© us" }));
    let page = fetch(http, "/", "");
    let policy = page.header("content-security-policy").unwrap();
    assert_eq!(policy.matches(" https://tiles.example.org;").count(), 2, "{policy}");
}

#[test]
fn the_map_is_told_what_it_needs_before_it_has_a_token() {
    for (plan, tokens) in [(Plan::single(), false), (Plan::single().with_tokens(), true)] {
        let herd = plan.start();
        let shown = fetch(herd.at("Riley").http, "/v1/map", "");
        assert_eq!(shown.header("cache-control"), Some("no-store"));
        let expected = serde_json::json!({
            "server": "Riley", "tokens": tokens, "tiles": null, "demo": false, "version": env!("CARGO_PKG_VERSION"),
        });
        assert_eq!(shown.json(), expected);
    }
}

/// The links of `/v1/herd`, both ends of each in order, with one member of the link.
fn links(herd: &Value, member: &str) -> BTreeSet<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut found = BTreeSet::new();
    for server in herd["servers"].as_array().unwrap() {
        for link in server["links"].as_array().unwrap() {
            let mut ends = [text(&server["name"]), text(&link["neighbor"])];
            ends.sort();
            let [one, other] = ends;
            found.insert((one, other, link[member].to_string()));
        }
    }
    found
}

fn count(links: &BTreeSet<(String, String, String)>, value: &str) -> usize {
    links.iter().filter(|(.., found)| found == value).count()
}

#[test]
fn every_server_shows_all_links_and_the_same_tree_and_a_dead_servers_links_as_down() {
    let mut herd = Plan::classic().with_tokens().start();
    let shown = |herd: &crate::harness::Herd, name: &str| {
        let reply = fetch(herd.at(name).http, "/v1/herd", &bearer(OPERATOR_TOKEN));
        assert_eq!(reply.code, 200, "{reply:?}");
        reply.json()
    };
    assert_eq!(fetch(herd.at("Riley").http, "/v1/herd", "").code, 401);
    eventually("all servers know all links", || {
        let riley = shown(&herd, "Riley");
        let (up, eager) = (links(&riley, "up"), links(&riley, "eager"));
        let is_whole = up.len() == 6 && count(&up, "true") == 6 && count(&eager, "true") == 4;
        let is_same = shown(&herd, "Campbell")["servers"] == riley["servers"];
        if is_whole && is_same { Ok(()) } else { Err(riley.to_string()) }
    });
    let riley = shown(&herd, "Riley");
    assert_eq!(riley["server"], "Riley");
    let first = &riley["servers"][0];
    assert_eq!(first["http"], serde_json::json!([format!("http://{}", herd.at("Riley").http)]));
    herd.kill_all(&["Campbell"]);
    eventually("Riley hears that two links have ended, which are not its own", || {
        let riley = shown(&herd, "Riley");
        let (up, eager) = (links(&riley, "up"), links(&riley, "eager"));
        let down: Vec<_> = up.iter().filter(|(.., up)| up == "false").collect();
        let is_right =
            down.len() == 2 && down.iter().all(|(one, other, _)| one == "Campbell" || other == "Campbell");
        if is_right && count(&eager, "true") == 3 { Ok(()) } else { Err(riley.to_string()) }
    });
}

/// The headers of a page of this origin.
fn from(origin: &str) -> String {
    format!("Origin: {origin}\r\nSec-Fetch-Site: cross-site\r\n")
}

#[test]
fn pages_of_the_herds_other_doors_may_call_the_api_and_pages_from_elsewhere_may_not() {
    let mut herd = Plan::pair().start();
    let (riley, jaquez) = (herd.at("Riley").http, herd.at("Jaquez").http);
    let own = format!("http://{jaquez}");
    let local = format!("http://localhost:{}", jaquez.port());
    for origin in [&own, &local] {
        for path in ["/v1/clients", "/v1/status", "/v1/herd", "/v1/map"] {
            let reply = fetch(riley, path, &from(origin));
            assert_eq!(reply.code, 200, "{path} {reply:?}");
            assert_eq!(reply.header("access-control-allow-origin"), Some(&**origin), "{path}");
            assert_eq!(reply.header("access-control-allow-credentials"), None, "there are no cookies");
        }
        let asked = "Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: authorization\r\n";
        let head = format!("OPTIONS /v1/status HTTP/1.0\r\nHost: {riley}\r\n{}{asked}\r\n", from(origin));
        let told = request(riley, head.as_bytes());
        assert!(told.code == 204 && told.head.contains("access-control-allow-headers: "), "{told:?}");
        assert!(Ws::open(riley, &from(origin)).is_ok());
    }
    let line = format!("http://{}", herd.line("Jaquez"));
    for origin in ["http://evil.example", &format!("https://{jaquez}"), &line, "null"] {
        assert_eq!(fetch(riley, "/v1/clients", &from(origin)).code, 403, "{origin}");
        let open = fetch(riley, "/v1/map", &from(origin));
        assert_eq!((open.code, open.header("access-control-allow-origin")), (200, None), "{origin}");
        assert!(Ws::open(riley, &from(origin)).unwrap_err().starts_with("HTTP/1.1 403 "), "{origin}");
    }
    herd.change(Plan::single());
    eventually("Riley follows herd.toml", || match fetch(riley, "/v1/clients", &from(&own)).code {
        403 => Ok(()),
        code => Err(code.to_string()),
    });
}
