//! Somebody who is signed in.

use std::sync::Arc;

use reqwest::{Method, RequestBuilder};
use saas_kernel::hooks::SignedUp;
use saas_kernel::id::{UserId, WorkspaceId};
use saas_kernel::identity::authenticate::{Caller, Keep};
use saas_kernel::identity::cookie::SessionCookie;
use saas_kernel::identity::credential::Credential;
use saas_kernel::identity::lookups::WorkspaceRef;
use saas_kernel::identity::sessions::Session;
use saas_kernel::identity::users::Email;
use saas_kernel::secret::Token;
use saas_kernel::{BoxError, Call, Can, Error, Grant, Permission};
use saas_kernel_postgres::PgTx;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::http::{Answer, HttpClient};
use crate::test_kernel::TestKernel;

/// Somebody who has signed up and is signed in, and the workspace that they work in. Every call authenticates anew, as a request
/// does: what changed in between, such as their role, applies.
#[derive(Clone, Debug)]
pub struct Member {
    test: TestKernel,
    /// E-mail address of their account; the password is [`PASSWORD`](crate::PASSWORD).
    pub email: Email,
    /// Their id.
    pub user: UserId,
    /// Id of the workspace.
    pub workspace: WorkspaceId,
    /// Slug of the workspace.
    pub slug: String,
    /// Token of their session.
    pub token: Token,
    http: OnceCell<HttpClient>,
}

impl Member {
    pub(crate) fn new(test: TestKernel, signed_up: SignedUp, token: Token) -> Self {
        let SignedUp { email, user, workspace, .. } = signed_up;
        Self { test, email, user, workspace: workspace.id, slug: workspace.slug, token, http: OnceCell::new() }
    }

    /// The same person in the workspace that `other` works in.
    #[must_use]
    pub fn in_workspace_of(&self, other: &Member) -> Self {
        Self { workspace: other.workspace, slug: other.slug.clone(), ..self.clone() }
    }

    /// A new call of theirs in the workspace.
    ///
    /// # Errors
    /// `unauthenticated` if their session has ended; the errors of the database.
    pub async fn caller(&self) -> Result<Caller, Error> {
        let (call, credential) = (Call::new(self.test.ctx()), Credential::Session(self.token.clone()));
        let workspace = WorkspaceRef::Id(self.workspace);
        let caller = self.test.kernel.authenticate(&call, &credential, Some(&workspace), Keep::No).await?;
        Caller::required(caller.as_ref())?;
        caller.ok_or_else(|| Error::broken("a caller that is required is there"))
    }

    /// Proof that they are signed in, of a new call.
    ///
    /// # Errors
    /// As [`Member::caller`].
    pub async fn session(&self) -> Result<Session, Error> {
        Ok(self.caller().await?.person()?.clone())
    }

    /// Their grant in the workspace, of a new call.
    ///
    /// # Errors
    /// As [`Member::caller`]; `not_found` if they do not belong to the workspace; why, if they are barred.
    pub async fn grant(&self) -> Result<Arc<Grant>, Error> {
        Ok(self.caller().await?.member()?.clone())
    }

    /// Proof that they have the permission `P`, of a new call.
    ///
    /// # Errors
    /// As [`Member::grant`]; `forbidden` without the permission; the refusals of a read-only workspace.
    pub async fn can<P: Permission>(&self) -> Result<Can<P>, Error> {
        Ok(self.caller().await?.member_for(P::MODE)?.allow()?)
    }

    /// A transaction in the workspace, of a new call. It is rolled back unless it is committed.
    ///
    /// # Errors
    /// As [`Member::grant`].
    pub async fn tx(&self) -> Result<PgTx, Error> {
        let grant = self.grant().await?;
        Ok(self.test.store.begin_tenant(&grant).await?)
    }

    /// The address of `path` below the workspace: `/projects` is `/api/v1/workspaces/ada/projects`.
    pub fn at(&self, path: &str) -> String {
        format!("/api/v1/workspaces/{}{path}", self.slug)
    }

    /// Their client of the app, which sends their session's cookie.
    ///
    /// # Errors
    /// If the app cannot be served.
    pub async fn http(&self) -> Result<&HttpClient, BoxError> {
        let connect = || async {
            // The cookie's name depends on the product's public URL, which is not this client's.
            let names = ["http://", "https://"].map(|url| SessionCookie::of(url).name());
            let cookies = names.map(|name| format!("{name}={}", self.token.expose()));
            HttpClient::with_cookie(format!("http://{}", self.test.address().await?), &cookies.join("; "))
        };
        self.http.get_or_try_init(connect).await
    }

    /// A request of theirs to `path`, to which headers and a body can be added; [`Answer::of`] sends it.
    ///
    /// # Errors
    /// As [`Member::http`].
    pub async fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, BoxError> {
        // A new call is later than the one before.
        self.test.ctx();
        Ok(self.http().await?.request(method, path))
    }

    /// Sends `GET`.
    ///
    /// # Errors
    /// As [`Member::http`] and [`Answer::of`].
    pub async fn get(&self, path: &str) -> Result<Answer, BoxError> {
        Answer::of(self.request(Method::GET, path).await?).await
    }

    /// Sends `POST` with a JSON body.
    ///
    /// # Errors
    /// As [`Member::http`] and [`Answer::of`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, BoxError> {
        Answer::of(self.request(Method::POST, path).await?.json(body)).await
    }

    /// Sends `PATCH` with a JSON body.
    ///
    /// # Errors
    /// As [`Member::http`] and [`Answer::of`].
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Answer, BoxError> {
        Answer::of(self.request(Method::PATCH, path).await?.json(body)).await
    }

    /// Sends `DELETE`.
    ///
    /// # Errors
    /// As [`Member::http`] and [`Answer::of`].
    pub async fn delete(&self, path: &str) -> Result<Answer, BoxError> {
        Answer::of(self.request(Method::DELETE, path).await?).await
    }
}
