//! How a caller is answered that lacks a right.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use crate::herd::Denied;

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        (StatusCode::FORBIDDEN, format!("{self}\n")).into_response()
    }
}

#[cfg(test)]
mod tests {
    use axum::{Extension, body::to_bytes, extract::State, http::HeaderMap};

    use super::super::{metrics, nearby, status};
    use super::*;
    use crate::{
        caller::Rights,
        herd::tests::{alone, caller},
    };

    async fn told(response: impl IntoResponse) -> (u16, String) {
        let response = response.into_response();
        let code = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1024).await.unwrap();
        (code, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn who_lacks_a_right_is_answered_403_and_why() {
        let (herd, caller) =
            (State(alone()), caller(Rights { operate: false, places: false, ..Rights::ALL }));
        let operate = (403, "this caller may not see how this server is\n".to_owned());
        assert_eq!(told(status(herd.clone(), Extension(caller)).await).await, operate);
        assert_eq!(told(metrics(herd.clone(), Extension(caller), HeaderMap::new()).await).await, operate);
        let uri = "/maps/api/place/nearbysearch/json?location=34,-118&radius=500".parse().unwrap();
        let places = (403, "this caller may not ask about places\n".to_owned());
        assert_eq!(told(nearby::nearby(herd, Extension(caller), uri).await).await, places);
    }
}
