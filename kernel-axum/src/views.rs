//! What several resources show or take alike, the kernel's and the product's.

use saas_kernel::actor::ActorRef;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

/// The user, API key, staff member or part of the system that did something: `{"type": "user", "id": "usr_…"}`.
#[derive(Serialize, ToSchema, Debug)]
#[schema(as = Actor)]
#[non_exhaustive]
pub struct ActorView {
    /// `user`, `api_key`, `system` or `staff`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The `usr_…` or `key_…` id; for `system`, the name of the part that acted.
    pub id: String,
}

impl From<ActorRef> for ActorView {
    fn from(actor: ActorRef) -> Self {
        Self { kind: actor.kind, id: actor.id }
    }
}

/// The query parameters of a list, for its description: `#[utoipa::path(…, params(PageParams))]`. Its handler reads them
/// as `Query<PageQuery>`.
#[derive(IntoParams, Debug)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes saas_kernel::page::PageQuery, which knows nothing of OpenAPI")]
#[non_exhaustive]
pub struct PageParams {
    /// `next_cursor` of the page before, with the same filters; left out, the first page.
    cursor: Option<String>,
    /// How many rows a page has at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
}
