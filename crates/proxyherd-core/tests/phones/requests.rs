//! Requests of phone apps, as their published sources make them. Each has the repository and the file that make it, and
//! the report that a server reads in it. Tests of several crates include this file with `#[path]`.

/// A request of an app.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The app and its version.
    pub app: &'static str,
    /// The repository and the file that make the request.
    pub source: &'static str,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The path, and the query.
    pub target: &'static str,
    /// Headers without those that every client sends. No header has a password or a token.
    pub headers: &'static [(&'static str, &'static str)],
    /// The body, which is empty if the method is `GET`.
    pub body: &'static str,
    /// The reports that the request makes, in their order.
    pub reports: &'static [Report],
}

/// A report as a server reads it.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// The client's ID.
    pub id: &'static str,
    /// Latitude and longitude as in the line protocol.
    pub coordinates: &'static str,
    /// The time as in the line protocol: POSIX seconds, with decimals if there were some. Empty: the server's clock.
    pub time: &'static str,
    /// All attributes as a JSON object, sorted by name.
    pub attributes: &'static str,
}

/// All requests.
pub const REQUESTS: &[Request] = &[];
