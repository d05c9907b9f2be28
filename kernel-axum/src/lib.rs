//! The SaaS kernel over HTTP, on axum.
//!
//! [`app`] puts the kernel's API, its middleware chain and the product's routes together; [`serve`] runs it. A product's
//! handler names what it needs and the extractors prove it:
//!
//! ```no_run
//! use saas_kernel::permissions::ReadWorkspace;
//! use saas_kernel_axum::{Allow, ApiError, View};
//!
//! async fn handler(can: Allow<ReadWorkspace>) -> Result<View<String>, ApiError> {
//!     Ok(View(can.workspace().to_string())) // authenticated, a member, permitted
//! }
//! ```
#![warn(missing_docs)]

mod access;
mod answer;
mod app;
mod audit;
mod billing;
mod body;
mod cookie;
mod describe;
mod dev;
mod error;
mod extract;
mod health;
mod identity;
mod json;
mod middleware;
mod openapi;
mod routing;
mod serve;
mod settings;
mod state;
mod tenancy;
mod views;

pub use answer::{Created, List, NoContent, View};
pub use app::{App, app};
pub use describe::{DescribeExtractor, Foreign};
pub use error::{ApiError, ErrorBody, ErrorEnvelope, status};
pub use extract::{Allow, Belongs, NoQuery, Path, Query, SignedIn};
pub use json::Json;
pub use serve::{ServeError, serve};
pub use settings::{HttpSettings, SettingsError};
pub use state::Api;
pub use utoipa_axum::router::OpenApiRouter;
pub use views::{ActorView, PageParams};

/// What the expansion of [`routes!`] names.
#[doc(hidden)]
pub mod __private {
    pub use crate::routing::{describe, merge};
    pub use utoipa_axum;
}
