//! The client's ID in a path.

use std::borrow::Cow;

use axum::http::{StatusCode, Uri};
use proxyherd_core::{codec::url_id, types::ClientId};

use crate::door::http::{paths, problem::Problem};

/// The ID of the client that a path names.
pub(super) struct PathId<'u>(Cow<'u, [u8]>);

impl<'u> PathId<'u> {
    /// Decodes the ID in the path of a URL. 422 if it is no ID.
    pub(super) fn of(uri: &'u Uri) -> Result<PathId<'u>, Problem> {
        let segment = paths::id_segment(uri.path()).unwrap_or_default();
        let id = url_id::parse(segment.as_bytes()).map_err(|error| Problem::invalid(error.to_string()))?;
        if matches!(&*id, b"." | b"..") {
            return Err(Problem::invalid(
                "the client IDs `.` and `..` cannot be in a path, because programs remove such segments; name the \
                 client by `ids` at /v1/clients, and report it at /v1/reports",
            ));
        }
        Ok(PathId(id))
    }

    pub(super) fn client(&self) -> ClientId<'_> {
        ClientId::new(&self.0).expect("only valid IDs are decoded")
    }

    /// 404: the herd does not know the client.
    pub(super) fn unknown(&self) -> Problem {
        Problem::new(
            StatusCode::NOT_FOUND,
            format!("the client {:?} is not known to this herd", self.client()),
        )
    }
}
