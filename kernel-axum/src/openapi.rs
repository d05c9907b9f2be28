//! The OpenAPI 3.1 document at `/openapi.json` and, with the feature `swagger-ui`, its pages at `/docs`, whose scripts are
//! served from here.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use saas_kernel::codes;
use saas_kernel::error::Code;
use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ContentBuilder, Info, ObjectBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder, Server, Type,
};
use utoipa::{PartialSchema, ToSchema};

use crate::error::{ErrorBodySchema, ErrorEnvelopeSchema, FieldErrorSchema};
use crate::routing::operations;
use crate::settings::HttpSettings;

/// Adds what all operations share: the workspace in the address, the security schemes, the error envelope.
pub(crate) fn finish(document: &mut OpenApi, brand: &str, settings: &HttpSettings) {
    document.info = Info::new(format!("{brand} API"), env!("CARGO_PKG_VERSION").to_owned());
    document.servers = Some(vec![Server::new(&settings.public_url)]);
    let components = document.components.get_or_insert_default();
    components.schemas.insert("ErrorEnvelope".to_owned(), ErrorEnvelopeSchema::schema());
    components.schemas.insert("ErrorBody".to_owned(), ErrorBodySchema::schema());
    components.schemas.insert(FieldErrorSchema::name().into_owned(), FieldErrorSchema::schema());
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(settings.cookie().name())));
    components.add_security_scheme("session", cookie);
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key: `sk_…`."));
    components.add_security_scheme("api_key", SecurityScheme::Http(key.build()));
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            if path.contains("/{ws}") {
                operation.parameters.get_or_insert_default().insert(0, RefOr::T(workspace_parameter()));
            }
            if path.starts_with("/api/") && operation.security.is_none() {
                let person = SecurityRequirement::new("session", Vec::<String>::new());
                let program = SecurityRequirement::new("api_key", Vec::<String>::new());
                operation.security = Some(if path.contains("/{ws}") { vec![person, program] } else { vec![person] });
            }
            for (status, text) in ERRORS {
                operation.responses.responses.entry((*status).to_owned()).or_insert_with(|| error(text));
            }
        }
    }
}

/// The responses that every operation may give beside its own.
const ERRORS: &[(&str, &str)] = &[
    ("4XX", "Refused; `error.code` says why and `error.message` what to do."),
    ("5XX", "Broken or busy; repeat after `Retry-After` where it is set."),
];

fn workspace_parameter() -> utoipa::openapi::path::Parameter {
    ParameterBuilder::new()
        .name("ws")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("The workspace: its slug or its `ws_…` id."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

fn error(text: &str) -> RefOr<utoipa::openapi::Response> {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorEnvelope"))).build();
    RefOr::T(ResponseBuilder::new().description(text).content("application/json", content).build())
}

pub(crate) fn router(document: OpenApi) -> Router {
    let document = Router::new().route("/openapi.json", get(json)).with_state(Arc::new(document));
    document.merge(pages()).route("/docs/errors", get(errors)).layer(map_response(policy))
}

/// The pages that show the document.
#[cfg(feature = "swagger-ui")]
fn pages() -> Router {
    use utoipa_swagger_ui::{Config, SwaggerUi};
    SwaggerUi::new("/docs").config(Config::new(["/openapi.json"]).try_it_out_enabled(true)).into()
}

#[cfg(not(feature = "swagger-ui"))]
fn pages() -> Router {
    Router::new()
}

async fn json(State(document): State<Arc<OpenApi>>) -> Response {
    axum::Json(&*document).into_response()
}

/// The page that lists every error code and what to do; the envelope's `docs` leads to it.
async fn errors() -> Html<String> {
    let row = |code: &&Code| {
        let status = code.kind.status();
        format!(
            "<tr id=\"{0}\"><td><code>{0}</code></td><td>{status}</td><td>{1}</td></tr>\n",
            code.name,
            escape(code.help)
        )
    };
    let rows: String = codes::all().iter().map(row).collect();
    Html(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Error codes</title></head><body>\n<h1>Error codes</h1>\n\
         <table><thead><tr><th>Code</th><th>Status</th><th>What to do</th></tr></thead><tbody>\n{rows}</tbody></table>\n</body></html>\n"
    ))
}

/// Escapes text for use in HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Sets the content security policy of the pages: scripts, styles and pictures from this host only.
async fn policy(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                          font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
