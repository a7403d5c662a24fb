//! The answer to a report of OwnTracks: the nearest other clients that the caller may read, which the app shows on its
//! map as friends.
//!
//! A caller that may read only some clients by their IDs gets these, wherever they are. Any other caller gets the
//! nearest to the report. If finding them takes too long, or too many such searches run, the answer has no clients: the
//! report counts, and the app asks again with its next report.

use std::sync::Arc;

use axum::response::Response;
use proxyherd_config::clock;
use proxyherd_core::{
    codec::phones::owntracks::Friends,
    command::{Around, Limit, List, Near},
    flood::Update,
    places::Point,
    replica::{Effort, FoundClient},
    types::{Coordinates, IdPattern},
};
use tokio::sync::Semaphore;

use super::json;
use crate::{
    caller::Caller,
    door::http::{
        limits::{BRIEF_VISITS_MAX, FRIEND_SEARCHES_MAX, FRIENDS_MAX},
        searches::Searches,
    },
    herd::{Herd, SearchError},
};

/// The searches for friends that may look at many clients.
#[derive(Debug)]
pub(in crate::door::http) struct FriendSearches {
    searches: Arc<Searches>,
    permits: Semaphore,
}

impl FriendSearches {
    /// These searches wait in line with those of the API.
    pub(in crate::door::http) fn new(searches: Arc<Searches>) -> Arc<FriendSearches> {
        Arc::new(FriendSearches { searches, permits: Semaphore::new(FRIEND_SEARCHES_MAX) })
    }
}

/// A search for the friends of one client.
struct Search {
    client: Vec<u8>,
    center: Point,
}

/// The answer to a report of `client` at `coordinates`.
pub(super) async fn answer(
    herd: &Arc<Herd>,
    caller: &Caller,
    long: &FriendSearches,
    client: Vec<u8>,
    coordinates: Coordinates,
) -> Response {
    let (latitude, longitude) = (coordinates.latitude().degrees(), coordinates.longitude().degrees());
    let center = Point::new(latitude, longitude).expect("a report's coordinates are those of a point");
    let search = Search { client, center };
    match search.brief(herd, caller) {
        Ok(found) => return json(write(&found)),
        Err(SearchError::Denied(_)) => return json(write(&[])),
        Err(SearchError::Unfinished(_)) => {}
    }
    let Ok(_permit) = long.permits.try_acquire() else { return json(write(&[])) };
    let (herd, asker) = (Arc::clone(herd), caller.clone());
    let searched = long.searches.run(caller, move |is_canceled| {
        search.near(&herd, &asker, Effort::until(is_canceled)).map(|found| write(&found))
    });
    match searched.await {
        Ok((Ok(body), turn)) => {
            let mut response = json(body);
            // The handler of the request drops the turn when the body counts against the buffers.
            response.extensions_mut().insert(turn);
            response
        }
        Ok((Err(_), _)) | Err(_) => json(write(&[])),
    }
}

impl Search {
    /// Searches with little effort.
    fn brief(&self, herd: &Herd, caller: &Caller) -> Result<Vec<FoundClient>, SearchError> {
        match named(caller) {
            Some(ids) => self.list(herd, caller, &ids),
            None => self.near(herd, caller, Effort::visits(BRIEF_VISITS_MAX)),
        }
    }

    fn near(
        &self,
        herd: &Herd,
        caller: &Caller,
        effort: Effort<'_>,
    ) -> Result<Vec<FoundClient>, SearchError> {
        let scopes = caller.rights.grant().map_or(0, |grant| grant.scopes().iter().count());
        let near = Near { around: Around::Point(self.center), radius_m: None, limit: limit() };
        let wanted = |held: &Update<'_>| held.record.key != self.client;
        let found = herd.near(caller, clock::now_ns(), &near, effort.comparing(scopes), wanted)?;
        Ok(found.unwrap_or_default())
    }

    fn list(&self, herd: &Herd, caller: &Caller, ids: &[IdPattern]) -> Result<Vec<FoundClient>, SearchError> {
        let list = List { bounds: None, ids, after: None, limit: limit() };
        let wanted = |held: &Update<'_>| held.record.key != self.client;
        Ok(herd.list(caller, clock::now_ns(), &list, Effort::ANY, wanted)?.clients)
    }
}

/// The clients that the caller may read, if the caller's token names each of them.
fn named(caller: &Caller) -> Option<Vec<IdPattern>> {
    let scopes = caller.rights.grant()?.scopes();
    if scopes.has_operate() {
        return None;
    }
    let ids: Vec<IdPattern> = scopes.readable().cloned().collect();
    (!ids.is_empty() && ids.iter().all(|ids| ids.exact().is_some())).then_some(ids)
}

fn limit() -> Limit {
    Limit::new(FRIENDS_MAX).expect("few clients are in range")
}

fn write(found: &[FoundClient]) -> Vec<u8> {
    let mut body = Vec::new();
    let mut friends = Friends::begin(&mut body);
    for client in found {
        friends.push(&client.whereabouts());
    }
    friends.end();
    body.push(b'\n');
    body
}
