//! The messages of OwnTracks, and the answer to them. They never arrive in pieces, so the check cuts nothing.

use proxyherd_core::{
    codec::{
        json::ReportBody,
        phones::{
            Format,
            owntracks::{Friends, Location, Message, client_id, parse},
        },
    },
    types::{AttributesBuf, ServerName, Timestamp},
};

use crate::{
    memory::bounded,
    report::{check_attributes, whereabouts},
};

/// A position that was read can be shown as a friend, and the app reads the friend's ID, place and time. A friend with
/// any ID is valid JSON.
pub fn check(input: &[u8]) {
    let mut attributes = AttributesBuf::default();
    let read = bounded(input.len(), 8, 4096, || parse(input, &mut attributes));
    let Ok(message) = read else { return };
    assert_eq!(Format::of(input), Some(Format::OwnTracks));
    let Message::Location(location) = message else {
        assert!(attributes.borrow().is_empty(), "a message that is no position has no attributes");
        return;
    };
    check_attributes(attributes.borrow());
    let Ok(id) = client_id(None, None, &location) else { return };
    let friend = shown(&id, &location, &attributes);
    check_friend(&friend, &id, &location, &attributes);
    // Any bytes are shown, although a client ID is shorter and has no white space.
    let odd = shown(input, &location, &attributes);
    assert_eq!(odd.is_some(), friend.is_some());
    if let Some(odd) = odd {
        parse(&odd, &mut attributes).expect("a friend with any ID is a message");
    }
}

/// The client as a friend, without the brackets of the answer. `None`: it is left out.
fn shown(id: &[u8], location: &Location<'_>, attributes: &AttributesBuf) -> Option<Vec<u8>> {
    let server = ServerName::new("Riley").expect("this is a name");
    let body = ReportBody { id: Some(id.into()), coordinates: location.coordinates, stamp: location.stamp };
    let mut answer = Vec::new();
    let mut friends = Friends::begin(&mut answer);
    friends.push(&whereabouts(&body, attributes.borrow(), &server));
    friends.end();
    let inner = answer.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    let inner = inner.expect("the answer is an array").to_vec();
    (!inner.is_empty()).then_some(inner)
}

fn check_friend(friend: &Option<Vec<u8>>, id: &[u8], location: &Location<'_>, attributes: &AttributesBuf) {
    let seconds = |time: Timestamp| time.nanos() / 1_000_000_000;
    let Some(friend) = friend else {
        let told = location.stamp.told().expect("the server's clock is not in 1970");
        assert_eq!(seconds(told), 0, "only a client without a time is left out");
        return;
    };
    let mut again = AttributesBuf::default();
    let message = parse(friend, &mut again).expect("a friend is a message");
    let Message::Location(shown) = message else { panic!("a friend is a position") };
    assert_eq!(shown.coordinates, location.coordinates);
    let time = shown.stamp.told().expect("a friend has a time");
    if let Some(told) = location.stamp.told() {
        assert_eq!(seconds(time), seconds(told));
    }
    assert_eq!(client_id(None, None, &shown).ok().as_deref(), Some(id));
    let known = attributes.borrow().value("tid").is_some();
    assert!(!known || again.borrow().value("tid") == attributes.borrow().value("tid"));
}
