//! Routes of the product that belong to no workspace: what to show before somebody signs up, and where to go after they log in.

use axum::extract::State;
use saas_kernel::page::PageRequest;
use saas_kernel::tenancy::members;
use saas_kernel_axum::{ApiError, NoQuery, OpenApiRouter, SignedIn, View, routes};
use saas_kernel_postgres::PgStore;
use serde::Serialize;
use utoipa::ToSchema;

/// For signed-in people.
pub fn user_routes(store: PgStore) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(home)).with_state(store)
}

/// For everybody.
pub fn public_routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(templates))
}

/// Where to go after logging in.
#[derive(Serialize, ToSchema)]
struct Home {
    /// The slug of the caller's oldest workspace; none if they are in no workspace.
    #[schema(example = "acme")]
    workspace: Option<String>,
}

/// Tells which workspace to open after logging in.
#[utoipa::path(get, path = "/me/home", tag = "me", responses((status = 200, body = Home)))]
async fn home(State(store): State<PgStore>, session: SignedIn, _: NoQuery) -> Result<View<Home>, ApiError> {
    let mut tx = store.read(&session).await?;
    let memberships = members::of_user(&session, &mut tx, &PageRequest::first(1)).await?;
    Ok(View(Home { workspace: memberships.items.into_iter().next().map(|membership| membership.slug) }))
}

/// A set of projects to start with.
#[derive(Serialize, ToSchema)]
struct Template {
    #[schema(example = "software")]
    key: &'static str,
    /// The names of its projects.
    projects: &'static [&'static str],
}

/// What a new workspace can start with.
const TEMPLATES: &[Template] = &[
    Template { key: "software", projects: &["Backlog", "Bugs", "Releases"] },
    Template { key: "marketing", projects: &["Campaigns", "Website"] },
];

/// Lists the templates that the sign-up page offers.
#[utoipa::path(get, path = "/project-templates", tag = "projects", responses((status = 200, body = [Template])))]
async fn templates(_: NoQuery) -> View<&'static [Template]> {
    View(TEMPLATES)
}
