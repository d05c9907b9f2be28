//! The SaaS kernel over HTTP, on axum.
//!
//! [`app`] combines the kernel's API, its middleware chain and the product's routes; [`serve`] runs it. A product's
//! handler takes what it needs as arguments, and the extractors refuse callers who may not call it:
//!
//! ```no_run
//! use saas_kernel::permissions::ReadWorkspace;
//! use saas_kernel_axum::{Allow, ApiError, View};
//!
//! async fn handler(can: Allow<ReadWorkspace>) -> Result<View<String>, ApiError> {
//!     // The caller is authenticated, in the workspace, and holds `workspace.read`.
//!     Ok(View(can.workspace().to_string()))
//! }
//! ```
#![warn(missing_docs)]

mod access;
mod app;
mod audit;
mod billing;
mod body;
mod describe;
mod dev;
mod error;
mod extract;
mod headers;
mod health;
mod identity;
mod json;
mod middleware;
mod openapi;
mod response;
mod routing;
mod serve;
mod settings;
mod shutdown;
mod state;
mod tenancy;
mod views;

pub use app::{App, app};
pub use describe::{DescribeExtractor, Foreign};
pub use error::ApiError;
pub use extract::{Allow, InWorkspace, NoQuery, Path, Query, SignedIn};
pub use json::Json;
pub use response::{Created, List, NoContent, View, WithHeaders};
pub use serve::{ServeError, serve, serve_until};
pub use settings::{HttpSettings, SettingsError};
pub use shutdown::Shutdown;
pub use state::Api;
pub use utoipa_axum::router::OpenApiRouter;
pub use views::{ActorView, PageParams};

/// The crates whose types are part of this one's interface, in the version that it uses. A product need not name their versions:
/// `use saas_kernel_axum::{axum, utoipa};` in a module is enough for the macros of `utoipa` too.
pub use {axum, utoipa, utoipa_axum};

/// What the expansion of [`routes!`] names.
#[doc(hidden)]
pub mod __private {
    pub use crate::routing::{describe, merge};
}
