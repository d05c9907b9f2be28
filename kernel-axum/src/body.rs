//! Reading request bodies, up to a limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use saas_kernel::{Refusal, codes};

use crate::state::BodyLimit;

/// Whether the whole request has arrived, shared through the request's extensions. When the time is up it tells a slow
/// client from a slow server.
#[derive(Clone)]
pub(crate) struct BodyReceived(Arc<AtomicBool>);

impl BodyReceived {
    pub(crate) fn new(received: bool) -> Self {
        Self(Arc::new(AtomicBool::new(received)))
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set_complete(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads the whole body, or refuses it as soon as it is known to be too large.
pub(crate) async fn read(parts: &Parts, body: Body, BodyLimit(limit): BodyLimit) -> Result<Bytes, Refusal> {
    let headers = &parts.headers;
    let too_large = || Refusal::new(&codes::PAYLOAD_TOO_LARGE, format!("the body may have at most {limit} bytes"));
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => {
            if let Some(received) = parts.extensions.get::<BodyReceived>() {
                received.set_complete();
            }
            Ok(collected.to_bytes())
        }
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_large()),
        Err(_) => Err(Refusal::new(&codes::BAD_REQUEST, "the body ended before it was complete")),
    }
}
