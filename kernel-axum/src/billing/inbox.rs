//! `POST /webhooks/{provider}`: verifies and stores a billing event. It is processed after the response.

use axum::Extension;
use axum::extract::{Request, State};
use saas_kernel::{Ctx, Refusal, codes};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::extract::Path;
use crate::response::View;
use crate::routing::Routes;
use crate::state::Api;
use crate::{body, routes};

pub(super) fn routes() -> Routes {
    Routes::default().root(routes!(receive))
}

#[derive(Deserialize)]
struct Provider {
    provider: String,
}

/// Confirms that the event is stored.
#[derive(Serialize, ToSchema)]
struct WebhookReceived {
    received: bool,
}

/// Receives a signed event of a billing provider. An event that is delivered again gets the same response and is stored
/// once.
#[utoipa::path(post, path = "/webhooks/{provider}", tag = "webhooks", security(()),
    params(("provider" = String, Path, description = "The provider's name, such as `stripe`.")),
    request_body(content = serde_json::Value, description = "The event exactly as the provider signed it."),
    responses((status = 200, body = WebhookReceived)))]
async fn receive(
    State(api): State<Api>,
    Extension(ctx): Extension<Ctx>,
    Path(Provider { provider }): Path<Provider>,
    request: Request,
) -> Result<View<WebhookReceived>, ApiError> {
    let processor = api.processor().filter(|processor| processor.name() == provider);
    let processor =
        processor.ok_or_else(|| Refusal::new(&codes::NOT_FOUND, "no such billing provider is configured here"))?;
    let (parts, body) = request.into_parts();
    let bytes = body::read(&parts, body, api.body_limit()).await?;
    // A header that occurs twice is ignored: one of them may have been added on the way.
    let header = |name: &str| {
        let mut values = parts.headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
    };
    let event = processor.verify(&ctx, &header, &bytes)?;
    processor.receive(&ctx, &event).await?;
    Ok(View(WebhookReceived { received: true }))
}
