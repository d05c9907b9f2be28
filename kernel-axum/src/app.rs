//! The whole application: the kernel's API, its middleware chain and the product's routes.

use axum::http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use axum::http::{Method, Uri};
use axum::{Extension, Router, middleware};
use saas_kernel::memory::mailer::MemoryMailer;
use saas_kernel::{Kernel, Refusal, codes};
use tower::util::option_layer;
use tower_http::cors::CorsLayer;
use utoipa::openapi::security::SecurityRequirement;
use utoipa_axum::router::OpenApiRouter;

use crate::error::ApiError;
use crate::extract::SignedIn;
use crate::middleware::{edge::edge, gate::gate};
use crate::routing::{Routes, operations};
use crate::settings::HttpSettings;
use crate::state::Api;
use crate::{access, audit, billing, dev, health, identity, openapi, tenancy};

/// The application before it runs: the kernel's API, to which the product adds its routes.
#[must_use]
pub struct App {
    api: Api,
    workspace_routes: OpenApiRouter,
    other_routes: OpenApiRouter,
    dev: Router,
}

/// An application that serves the API of `kernel`.
pub fn app(kernel: &Kernel, http: HttpSettings) -> App {
    App {
        api: Api::new(kernel, http),
        workspace_routes: OpenApiRouter::new(),
        other_routes: OpenApiRouter::new(),
        dev: Router::new(),
    }
}

impl App {
    /// Adds the product's routes below `/api/v1/workspaces/{ws}`, behind the whole middleware chain. Their handlers take
    /// [`Allow<P>`](crate::Allow).
    pub fn workspace_routes(mut self, routes: OpenApiRouter) -> Self {
        self.workspace_routes = self.workspace_routes.merge(routes);
        self
    }

    /// Adds the product's routes below `/api/v1` for signed-in people, behind the whole middleware chain. Whoever is not signed in is
    /// refused before the handler; a handler that needs to know who calls takes [`SignedIn`](crate::SignedIn).
    ///
    /// An address that the kernel or another route serves already makes [`App::into_router`] panic, as axum does.
    pub fn user_routes(mut self, routes: OpenApiRouter) -> Self {
        self.other_routes = self.other_routes.merge(for_signed_in(routes));
        self
    }

    /// Adds the product's routes below `/api/v1` that anybody may call, behind the whole middleware chain. Their addresses must be
    /// free, as with [`App::user_routes`].
    pub fn public_routes(mut self, mut routes: OpenApiRouter) -> Self {
        for operation in routes.get_openapi_mut().paths.paths.values_mut().flat_map(operations) {
            // An empty requirement: no credentials are needed.
            operation.security.get_or_insert_with(|| vec![SecurityRequirement::default()]);
        }
        self.other_routes = self.other_routes.merge(routes);
        self
    }

    /// Shows the mails of `mailer` at `/dev/mail`. For development only: anybody who can reach the app can read all
    /// mails.
    pub fn dev_mail(mut self, mailer: MemoryMailer) -> Self {
        self.dev = dev::routes(mailer);
        self
    }

    /// The state that the kernel's handlers share.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The router of the whole application. It takes the client's address from `ConnectInfo<SocketAddr>`, which
    /// [`serve`](crate::serve) provides.
    pub fn into_router(self) -> Router {
        let api = self.api;
        let pillars = [
            access::routes(),
            audit::routes(),
            billing::routes(),
            health::routes(),
            identity::routes(),
            tenancy::routes(),
        ];
        let Routes { api: v1, workspace, root } = pillars.into_iter().fold(Routes::default(), Routes::merge);
        let workspace = workspace.with_state(api.clone()).merge(self.workspace_routes);
        let v1 = v1.with_state(api.clone()).merge(self.other_routes).nest("/workspaces/{ws}", workspace);
        let (routes, mut document) = OpenApiRouter::new().nest("/api/v1", v1).split_for_parts();
        let (root, root_document) = root.with_state(api.clone()).split_for_parts();
        document.merge(root_document);
        openapi::finish(&mut document, &api.kernel().config().brand.name, api.http());

        routes
            .method_not_allowed_fallback(method_not_allowed)
            .layer(middleware::from_fn_with_state(api.clone(), gate))
            .layer(option_layer(cors(api.http())))
            .merge(root)
            .merge(self.dev)
            .merge(openapi::router(document))
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(Extension(api.shutdown()))
            .layer(middleware::from_fn_with_state(api.clone(), edge))
    }
}

/// Refuses whoever is not signed in before any of `routes` is called.
fn for_signed_in(routes: OpenApiRouter) -> OpenApiRouter {
    let (mut router, document) = routes.split_for_parts();
    if router.has_routes() {
        router = router.route_layer(middleware::from_extractor::<SignedIn>());
    }
    let mut routes = OpenApiRouter::from(router);
    *routes.get_openapi_mut() = document;
    routes
}

async fn not_found(uri: Uri) -> ApiError {
    Refusal::new(&codes::NOT_FOUND, format!("there is nothing at {}; /openapi.json lists what there is", uri.path()))
        .into()
}

async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    Refusal::new(&codes::METHOD_NOT_ALLOWED, format!("{} cannot be called with {method}", uri.path())).into()
}

/// The CORS layer; `None` if no other origin is allowed.
fn cors(settings: &HttpSettings) -> Option<CorsLayer> {
    let origins = settings.cors_origins();
    if origins.is_empty() {
        return None;
    }
    let cors = CorsLayer::new()
        .allow_origin(origins)
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([
            CONTENT_TYPE,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("x-request-id"),
        ])
        .expose_headers([
            HeaderName::from_static("x-request-id"),
            RETRY_AFTER,
            HeaderName::from_static("idempotent-replayed"),
        ]);
    Some(cors)
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("api", &self.api).finish_non_exhaustive()
    }
}
