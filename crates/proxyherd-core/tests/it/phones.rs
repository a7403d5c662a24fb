//! Requests of phone apps, as the apps' sources make them, become the reports that are written beside them.

use proxyherd_core::{
    codec::{
        json::{ReportBody, write_string},
        phones::{Format, PhoneError, osmand, overland, owntracks, traccar},
    },
    types::{AttributeValue, Attributes, AttributesBuf},
};

use crate::requests::{REQUESTS, Request};

/// A report in the form of `requests::Report`.
type Read = (String, String, String, String);

/// Reads a request as a door does.
fn read(request: &Request) -> Result<Vec<Read>, PhoneError> {
    let (path, query) = request.target.split_once('?').unwrap_or((request.target, ""));
    assert!(path.starts_with('/'));
    assert!(request.method == "POST" || request.body.is_empty(), "{} has a body", request.method);
    let mut attributes = AttributesBuf::default();
    if osmand::is_report(query.as_bytes()) {
        let body = osmand::parse(query.as_bytes(), &mut attributes)?;
        return Ok(body.iter().map(|body| report(body, &attributes)).collect());
    }
    let json = request.body.as_bytes();
    match Format::of(json) {
        Some(Format::OwnTracks) => read_owntracks(request, query, &mut attributes),
        Some(Format::Overland) => {
            let (mut batch, mut reports) = (overland::Batch::read(json, 1000)?, Vec::new());
            while let Some(item) = batch.next(&mut attributes) {
                reports.push(report(&item.body?, &attributes));
            }
            Ok(reports)
        }
        Some(Format::Traccar) => {
            let body = traccar::parse(json, &mut attributes)?;
            Ok(body.iter().map(|body| report(body, &attributes)).collect())
        }
        Some(Format::OsmAnd) => {
            let body = osmand::parse(json, &mut attributes)?;
            Ok(body.iter().map(|body| report(body, &attributes)).collect())
        }
        None => {
            assert!(request.body.is_empty(), "{} has no known format", request.app);
            Ok(Vec::new())
        }
    }
}

fn read_owntracks(
    request: &Request,
    query: &str,
    attributes: &mut AttributesBuf,
) -> Result<Vec<Read>, PhoneError> {
    let owntracks::Message::Location(location) = owntracks::parse(request.body.as_bytes(), attributes)?
    else {
        return Ok(Vec::new());
    };
    let given = |header: &str, parameter: &str| {
        let header = request.headers.iter().find(|(name, _)| *name == header).map(|(_, value)| *value);
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let parameter = pairs.filter(|(name, _)| *name == parameter).map(|(_, value)| value).next();
        header.or(parameter).map(str::as_bytes)
    };
    let id = owntracks::client_id(given("X-Limit-U", "u"), given("X-Limit-D", "d"), &location)?;
    let body = ReportBody { id: Some(id.into()), coordinates: location.coordinates, stamp: location.stamp };
    Ok(vec![report(&body, attributes)])
}

fn report(body: &ReportBody<'_>, attributes: &AttributesBuf) -> Read {
    (
        body.id.as_deref().map_or(String::new(), |id| String::from_utf8(id.to_vec()).unwrap()),
        body.coordinates.to_string(),
        body.stamp.told().map_or(String::new(), |time| time.to_string()),
        json(attributes.borrow()),
    )
}

fn json(attributes: Attributes<'_>) -> String {
    let members = attributes.iter().map(|(name, value)| match value {
        AttributeValue::Number(digits) => format!("\"{name}\":{digits}"),
        AttributeValue::Text(text) => {
            let mut string = Vec::new();
            write_string(&mut string, text);
            format!("\"{name}\":{}", String::from_utf8(string).unwrap())
        }
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

#[test]
fn each_app_is_read_as_its_source_writes() {
    for request in REQUESTS {
        let Request { app, source, .. } = request;
        match read(request) {
            Ok(reports) => {
                assert_eq!(request.refused, "", "{app}, {source}");
                let expected: Vec<Read> = request
                    .reports
                    .iter()
                    .map(|report| {
                        (
                            report.id.to_owned(),
                            report.coordinates.to_owned(),
                            report.time.to_owned(),
                            report.attributes.to_owned(),
                        )
                    })
                    .collect();
                assert_eq!(reports, expected, "{app}, {source}");
            }
            Err(error) => {
                let message = error.to_string();
                assert!(!request.refused.is_empty() && message.contains(request.refused), "{app}: {message}");
            }
        }
    }
}

/// The address in a page, without its host and its token, after the app has filled in the values.
fn filled_in(page: &str, values: &[(&str, &str)]) -> String {
    let address = page.lines().find_map(|line| line.strip_prefix("https://herd.example.org:5055"));
    let mut address = address.expect("the page has an address").replace("token=TOKEN&", "");
    for (placeholder, value) in values {
        assert!(address.contains(placeholder), "{address} has no {placeholder}");
        address = address.replace(placeholder, value);
    }
    address
}

#[test]
fn the_addresses_in_the_pages_are_those_of_the_requests() {
    let target = |app: &str| REQUESTS.iter().find(|request| request.app.starts_with(app)).unwrap().target;
    let gpslogger = [
        ("%LAT", "35.6894875"),
        ("%LON", "139.6917064"),
        ("%TIMESTAMP", "1748780200"),
        ("%ACC", "3.9"),
        ("%SPD", "0.0"),
        ("%DIR", "0.0"),
        ("%ALT", "40.0"),
        ("%BATT", "91.0"),
        ("%ISCHARGING", "false"),
        ("%SAT", "17"),
        ("%HDOP", "0.7"),
        ("%DESC", "on+my+way%21"),
    ];
    let page = include_str!("../../../../book/src/phones/gpslogger.md");
    assert_eq!(filled_in(page, &gpslogger), target("GPSLogger 136 with the URL"));
    let osmand = [
        ("{0}", "48.85837"),
        ("{1}", "2.294481"),
        ("{2}", "1748780100456"),
        ("{3}", "4.5"),
        ("{4}", "84.2"),
        ("{5}", "1.25"),
        ("{6}", "271.5"),
    ];
    assert_eq!(filled_in(include_str!("../../../../book/src/phones/osmand.md"), &osmand), target("OsmAnd"));
}
