//! The SaaS kernel for the tests of a product: [`TestKernel`] is a kernel on a database of its own, with a test clock and mail kept
//! in memory; a [`Member`] has signed up and is signed in, calls functions with fresh grants and routes over HTTP.
//!
//! Add it under `[dev-dependencies]`. PostgreSQL's binaries have to be on the machine; nothing has to run.
//!
//! ```no_run
//! # use saas_kernel::{BoxError, permissions};
//! use saas_kernel::permissions::{ReadWorkspace, UpdateWorkspace};
//! use saas_kernel_testing::{Setup, StatusCode, TestKernel};
//!
//! const CONFIG: &str = "
//! brand: { name: Acme }
//! plans: [{ key: free, name: Free, limits: { members: 5 } }]
//! roles: [{ name: owner, permissions: ['*'] }, { name: viewer, permissions: [workspace.read] }]";
//!
//! # async fn test() -> Result<(), BoxError> {
//! // Also `.migrations(&MIGRATIONS).permissions(PERMISSIONS).hooks(…).workspace_routes(routes)`.
//! let test = TestKernel::start(Setup::new(CONFIG)).await?;
//! let ada = test.member("Ada").await?;
//! let grace = test.join(&ada, "Grace", "viewer").await?;
//!
//! // The product's functions, with the proofs that they take.
//! let can = ada.can::<ReadWorkspace>().await?;
//! saas_kernel::tenancy::workspaces::get(&can, &mut ada.tx().await?).await?;
//! assert!(grace.can::<UpdateWorkspace>().await.is_err());
//!
//! // Its routes, over TCP: the first request starts the server.
//! let found = ada.get("/api/v1/workspaces/ada").await?.expect(StatusCode::OK)?;
//! assert_eq!(found["slug"], "ada");
//! # Ok(()) }
//! ```
#![warn(missing_docs)]

mod http;
mod member;
mod server;
mod setup;
mod test_kernel;
mod wait;

pub use http::{Answer, HttpClient};
pub use member::Member;
pub use setup::Setup;
pub use test_kernel::{PASSWORD, TestKernel};
pub use wait::eventually;

pub use reqwest::{self, Method, StatusCode};
pub use saas_kernel_postgres::testing::{TestDb, assert_tenant_isolation};

/// What a test returns.
pub type TestResult<T = ()> = Result<T, saas_kernel::BoxError>;
