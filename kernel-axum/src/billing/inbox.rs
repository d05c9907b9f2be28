//! `POST /webhooks/{provider}`: verified, kept, answered; processed afterwards.

use axum::Extension;
use axum::extract::{Request, State};
use saas_kernel::{Ctx, Refusal, codes};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::View;
use crate::error::ApiError;
use crate::extract::Path;
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
    request: Request,
) -> Result<View<Received>, ApiError> {
    let processor = api.processor().filter(|processor| processor.provider().name() == provider);
    let processor =
        processor.ok_or_else(|| Refusal::new(&codes::NOT_FOUND, "no such billing provider is configured here"))?;
    let (parts, body) = request.into_parts();
    let bytes = body::read(&parts, body, api.body_limit()).await?;
    // A header that comes twice is nobody's: one of them was added on the way.
    let header = |name: &str| {
        let mut values = parts.headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
    };
    let event = processor.provider().verify(&header, &bytes, ctx.now).inspect_err(|refusal| {
        // The provider gives up after some days: somebody has to hear of it before.
        tracing::warn!(provider, code = refusal.code(), %refusal, "a billing event was refused");
    })?;
    processor.receive(&ctx, &event).await?;
    Ok(View(Received { received: true }))
}
