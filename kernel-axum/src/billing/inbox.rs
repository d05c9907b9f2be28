//! `POST /webhooks/{provider}`: verified, kept, answered; processed afterwards.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use saas_kernel::error::codes;
use saas_kernel::{Ctx, Refusal};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::View;
use crate::app::Api;
use crate::error::ApiError;
use crate::extract::Path;
use crate::json;

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(receive))
}

#[derive(Deserialize)]
struct Provider {
    provider: String,
}

/// That the event is kept.
#[derive(Serialize, ToSchema)]
struct Received {
    received: bool,
}

/// Takes a billing provider's signed event. A second delivery is answered as the first and kept once.
#[utoipa::path(post, path = "/webhooks/{provider}", tag = "webhooks", security(()),
    params(("provider" = String, Path, description = "Such as `stripe`.")),
    request_body(content = serde_json::Value, description = "As the provider signed it."),
    responses((status = 200, body = Received)))]
async fn receive(
    State(api): State<Api>,
    Extension(ctx): Extension<Ctx>,
    Path(Provider { provider }): Path<Provider>,
    headers: HeaderMap,
    body: Body,
) -> Result<View<Received>, ApiError> {
    let processor = api.processor().filter(|processor| processor.provider().name() == provider);
    let processor =
        processor.ok_or_else(|| Refusal::new(&codes::NOT_FOUND, "no such billing provider is configured here"))?;
    let bytes = json::read(&headers, body, api.body_limit()).await?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let event = processor.provider().verify(&header, &bytes, ctx.now)?;
    processor.receive(&ctx, &event).await?;
    Ok(View(Received { received: true }))
}
