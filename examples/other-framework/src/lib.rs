//! The SaaS kernel on plain hyper, without `saas-kernel-axum`: login, workspace and project routes. Everything that decides is
//! the kernel's; this file translates HTTP and has the product's SQL.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE, X_CONTENT_TYPE_OPTIONS};
use hyper::{Request, Response, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use saas_kernel::audit::{self, action};
use saas_kernel::error::ErrorEnvelope;
use saas_kernel::failure::{Failure, report};
use saas_kernel::guard::csrf::OwnOrigins;
use saas_kernel::idempotency::{IdempotencyKey, StorableResponse};
use saas_kernel::identity::authenticate::{Caller, Keep};
use saas_kernel::identity::cookie::SessionCookie;
use saas_kernel::permissions::ReadWorkspace;
use saas_kernel::request::RequestHead;
use saas_kernel::response::StoredResponse;
use saas_kernel::tenancy::workspaces;
use saas_kernel::{BoxError, Call, Can, Ctx, Kernel, Permission, Proof, Refusal, codes, ids, permissions, text};
use saas_kernel_postgres::{PgResult, PgStore};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

permissions! {
    /// See projects.
    pub ReadProject = read "project.read";
    /// Create projects.
    pub CreateProject = write "project.create";
}

ids! {
    /// A project.
    pub ProjectId = "prj";
}

/// The app: the kernel, the database for the product's own SQL, and the origin at which browsers reach it.
#[derive(Clone)]
pub struct App {
    pub kernel: Kernel,
    pub store: PgStore,
    pub public_url: String,
}

/// A response before it is written: status, body and cookie.
struct Answer(u16, Value, Option<String>);

impl StorableResponse for Answer {
    fn stored(&self) -> Result<StoredResponse, BoxError> {
        Ok(StoredResponse::new(self.0, serde_json::to_vec(&self.1)?))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    email: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewProject {
    name: String,
}

impl App {
    /// Admits the request and leads it to its route.
    async fn route(&self, ctx: Ctx, path: &str, head: &RequestHead<'_>, body: Incoming) -> Result<Answer, Failure> {
        self.kernel.limit_calls_of_client(&ctx).await?;
        let body = Limited::new(body, 64 * 1024).collect().await.map_err(|error| match error.downcast_ref() {
            Some(LengthLimitError { .. }) => Refusal::new(&codes::PAYLOAD_TOO_LARGE, "the body may have 64 KiB"),
            None => Refusal::new(&codes::BAD_REQUEST, "the body ended before it was complete"),
        })?;
        let (body, call) = (body.to_bytes(), Call::new(ctx));
        let segments: Vec<&str> = path.strip_prefix("/api/v1/").unwrap_or_default().split('/').collect();
        let workspace = segments.get(1).copied().filter(|_| segments.first() == Some(&"workspaces"));
        let own = OwnOrigins { public_url: &self.public_url, allowed: &[] };
        let caller = self.kernel.admit(&call, head, workspace, &own, Keep::ForTransaction).await?;
        if let (Some(key), "POST", Some(_)) = (head.first("idempotency-key"), head.method(), &caller) {
            let key = String::from_utf8_lossy(key);
            call.set_idempotency(IdempotencyKey::parse(&key, head.method(), path, &body)?);
        }
        match (head.method(), segments.as_slice()) {
            ("POST", ["auth", "login"]) => self.log_in(call.ctx(), head, saas_kernel::json::parse(&body)?).await,
            ("GET", ["workspaces", _]) => self.workspace(allow(caller)?).await,
            ("GET", ["workspaces", _, "projects"]) => self.projects(allow(caller)?).await,
            ("POST", ["workspaces", _, "projects"]) => {
                self.create_project(allow(caller)?, saas_kernel::json::parse(&body)?).await
            }
            _ => Err(Refusal::new(&codes::NOT_FOUND, format!("there is nothing at {path}")).into()),
        }
    }

    async fn log_in(&self, ctx: &Ctx, head: &RequestHead<'_>, login: Login) -> Result<Answer, Failure> {
        let cookie = SessionCookie::of(&self.public_url);
        let replaced = cookie.token(head);
        let done = self.kernel.log_in(ctx.clone(), &login.email, &login.password, replaced.as_ref()).await?;
        let set = cookie.set(&done.token, self.kernel.config().sessions);
        Ok(Answer(200, json!({ "id": done.user.id, "email": done.user.email, "name": done.user.name }), Some(set)))
    }

    async fn workspace(&self, can: Can<ReadWorkspace>) -> Result<Answer, Failure> {
        let mut tx = self.kernel.store().read(can.scope()).await?;
        let workspace = workspaces::get(&can, &mut *tx).await?;
        Ok(Answer(200, json!({ "id": workspace.id, "slug": workspace.slug, "name": workspace.name }), None))
    }

    async fn projects(&self, can: Can<ReadProject>) -> Result<Answer, Failure> {
        const SELECT: &str = "SELECT name FROM tracker.projects WHERE workspace_id = $1 ORDER BY id DESC LIMIT 100";
        let mut tx = self.store.read(&can).await?;
        let select = sqlx::query_scalar(SELECT).bind(can.workspace().uuid());
        let names: Vec<String> = tx.fetch_all(select).await?;
        Ok(Answer(200, json!({ "items": names }), None))
    }

    /// The row, which the table's trigger counts against the limit, and the audit entry commit together or not at all.
    async fn create_project(&self, can: Can<CreateProject>, new: NewProject) -> Result<Answer, Failure> {
        const INSERT: &str = "INSERT INTO tracker.projects (workspace_id, id, name, created_by_type, created_by_id,
            created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)";
        let (id, name) = (ProjectId::generate(can.now()), text::line("name", &new.name, 1..=200)?);
        let mut tx = self.store.begin_tenant(&can).await?;
        let insert = sqlx::query(INSERT).bind(can.workspace().uuid()).bind(id.uuid()).bind(&name);
        let insert = insert.bind(can.actor().kind()).bind(can.actor().uuid()).bind(can.now());
        insert.execute(tx.conn()).await.store()?;
        audit::record(&can, &mut tx, action::RESOURCE_CREATE, "project", id)?;
        Ok(tx.commit_with(Answer(201, json!({ "id": id, "name": name }), None)).await?)
    }
}

/// Proof that the caller holds the permission `P` in the workspace of the address.
fn allow<P: Permission>(caller: Option<Caller>) -> Result<Can<P>, Refusal> {
    Caller::required(caller.as_ref())?.member_for(P::MODE)?.allow()
}

/// Makes the context, and writes the answer or the envelope of the failure.
async fn respond(app: Arc<App>, peer: IpAddr, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, BoxError> {
    let (parts, body) = request.into_parts();
    let headers = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let head = RequestHead::new(parts.method.as_str(), headers);
    let ctx = app.kernel.ctx_of_request(peer, &head, &[]);
    let id = ctx.request_id.clone();
    let mut response = Response::builder()
        .header("x-request-id", &*id)
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(CACHE_CONTROL, "no-store")
        .header(CONTENT_TYPE, "application/json");
    let refusal = match app.route(ctx, parts.uri.path(), &head, body).await {
        Ok(Answer(status, body, cookie)) => {
            if let Some(cookie) = cookie {
                response = response.header(SET_COOKIE, cookie);
            }
            return Ok(response.status(status).body(serde_json::to_vec(&body)?.into())?);
        }
        Err(Failure::Replayed(stored)) => {
            for (name, value) in &stored.headers {
                response = response.header(name, value);
            }
            return Ok(response.status(stored.status).body(stored.body.into())?);
        }
        Err(Failure::Refused(refusal)) => refusal,
        Err(Failure::Broken(error)) => report(&*error),
    };
    if let Some(seconds) = refusal.retry_after_seconds() {
        response = response.header(RETRY_AFTER, seconds);
    }
    let body = serde_json::to_vec(&ErrorEnvelope::of(&refusal, &id))?;
    Ok(response.status(refusal.kind().status()).body(body.into())?)
}

/// Serves the app until the future is dropped.
pub async fn serve(app: App, listener: TcpListener) -> Result<(), BoxError> {
    let app = Arc::new(app);
    loop {
        let (stream, peer): (_, SocketAddr) = listener.accept().await?;
        let app = app.clone();
        let service = service_fn(move |request| respond(app.clone(), peer.ip(), request));
        let mut http = http1::Builder::new();
        let http = http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(15));
        let connection = http.serve_connection(TokioIo::new(stream), service);
        // A client that leaves early is no failure of ours.
        tokio::spawn(async move { drop(connection.await) });
    }
}
