//! API keys: a program's way in, for one workspace, with the permissions it was made for and no more. `sk_` and 256 random
//! bits in hexadecimal digits, shown once, stored as their hash.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::access::{Bits, Can, CreateApiKey, DeleteApiKey, EvenReadOnly, Grant, Role, intern};
use crate::actor::Actor;
use crate::audit::{self, action};
use crate::ctx::Ctx;
use crate::error::{Error, FieldError, Refusal, codes};
use crate::guard::idempotency::IdempotencyKey;
use crate::id::{ApiKeyId, UserId, WorkspaceId};
use crate::identity::authenticate::Keep;
use crate::identity::lookups::WorkspaceRef;
use crate::kernel::Kernel;
use crate::page::{Page, PageRequest, Position};
use crate::secret::{Token, TokenHash};
use crate::store::{Checkout, Scope, Standing, StoreError, Tx};
use crate::tenancy::members;
use crate::text;

/// What every key begins with: secret scanners know it by that.
pub const PREFIX: &str = "sk_";
/// How many keys of one workspace can be in force by default; `api_keys` in `product.config.yaml`.
pub const MOST_KEYS: u64 = 100;
/// Use is noted at most this often: not a write per request.
const TOUCH_EVERY: TimeDelta = TimeDelta::minutes(5);

/// A key, without its secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKey {
    /// Its id; it is the actor of what the key does.
    pub id: ApiKeyId,
    /// What it is for.
    pub name: String,
    /// How its secret begins, to tell keys apart: `sk_` and eight digits.
    pub prefix: String,
    /// The permissions it holds.
    pub scopes: Vec<String>,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Until when it is good; `None` is until it is revoked.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was used last, give or take five minutes.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl ApiKey {
    /// Its place in lists.
    pub fn position(&self) -> Position {
        Position { at: self.created_at, id: self.id.uuid() }
    }
}

/// What a key is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewApiKey {
    /// What it is for: 1 to 100 characters.
    pub name: String,
    /// The permissions it is to hold; at least one.
    pub scopes: Vec<String>,
    /// Until when.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Repository of API keys.
#[async_trait]
pub trait ApiKeys: Send {
    /// Adds a key.
    async fn insert(&mut self, workspace: WorkspaceId, key: &ApiKey, token: &TokenHash) -> Result<(), StoreError>;
    /// Those that are not revoked, newest first; also those that have expired.
    async fn list(&mut self, workspace: WorkspaceId, page: &PageRequest) -> Result<Page<ApiKey>, StoreError>;
    /// How many are in force.
    async fn count(&mut self, workspace: WorkspaceId, now: DateTime<Utc>) -> Result<u64, StoreError>;
    /// Revokes one for good; `false` when there is none of that id.
    async fn revoke(&mut self, workspace: WorkspaceId, id: ApiKeyId, at: DateTime<Utc>) -> Result<bool, StoreError>;
    /// Notes that it was used.
    async fn touch(&mut self, workspace: WorkspaceId, id: ApiKeyId, at: DateTime<Utc>) -> Result<(), StoreError>;
}

/// Makes a key. The token is in the answer and nowhere else.
///
/// # Errors
/// `validation_failed` for the name, an end in the past, or a scope that does not exist or that the caller does not hold;
/// `too_many_keys`; `forbidden` for a caller that is a key itself.
pub async fn create(can: &Can<CreateApiKey>, tx: &mut dyn Tx, new: NewApiKey) -> Result<(ApiKey, Token), Error> {
    let name = text::line("name", &new.name, 1..=100)?;
    if new.expires_at.is_some_and(|at| at <= can.now()) {
        return Err(Refusal::field("expires_at", "must be in the future; leave it out for no end").into());
    }
    let mine = members::standing(can, tx).await?;
    let scopes = scopes(can, &mine, new.scopes)?;
    let (workspace, at) = (can.workspace(), can.now());
    let most = can.kernel.settings().most_api_keys;
    if tx.api_keys().count(workspace, at).await? >= most {
        let text = format!("{most} keys are in force; revoke some that nobody uses");
        return Err(Refusal::new(&codes::TOO_MANY_KEYS, text).into());
    }
    let Actor::User(created_by) = can.actor() else { return Err(Error::broken("only people make keys")) };
    let token = Token::generate_hex(PREFIX);
    let prefix = token.expose().get(..PREFIX.len() + 8).unwrap_or(PREFIX).to_owned();
    let id = ApiKeyId::generate(at);
    let key =
        ApiKey { id, name, prefix, scopes, created_by, created_at: at, expires_at: new.expires_at, last_used_at: None };
    tx.api_keys().insert(workspace, &key, &token.hash()).await?;
    let meta = json!({ "name": key.name, "prefix": key.prefix, "scopes": key.scopes });
    audit::record_with(can, tx, action::API_KEY_CREATE, "api_key", id, meta)?;
    Ok((key, token))
}

/// Sorted, each once; every mistake is named by its place.
fn scopes(grant: &Grant, mine: &Role, wanted: Vec<String>) -> Result<Vec<String>, Refusal> {
    if wanted.is_empty() {
        return Err(Refusal::field("scopes", "must name at least one permission; GET …/permissions lists them"));
    }
    let mut problems = Vec::new();
    for (index, scope) in wanted.iter().enumerate() {
        let rule = match grant.roles().registry().iter().find(|permission| permission.name == scope) {
            None => "is no permission; GET …/permissions lists them",
            Some(permission) if !mine.bits.has(intern(permission.name)) => "is a permission that you do not hold",
            Some(_) => continue,
        };
        let shown: String = scope.chars().take(100).collect();
        problems
            .push(FieldError { field: format!("scopes[{index}]").into(), message: format!("`{shown}` {rule}").into() });
    }
    if !problems.is_empty() {
        return Err(Refusal::fields(problems));
    }
    let mut scopes = wanted;
    scopes.sort();
    scopes.dedup();
    Ok(scopes)
}

/// The workspace's keys, newest first.
pub async fn list(
    can: &Can<EvenReadOnly<CreateApiKey>>,
    tx: &mut dyn Tx,
    page: &PageRequest,
) -> Result<Page<ApiKey>, Error> {
    Ok(can.enter(tx)?.api_keys().list(can.workspace(), page).await?)
}

/// Revokes a key: after the commit no call gets in with it, and none that it had let in keeps anything.
///
/// # Errors
/// `not_found`.
pub async fn revoke(can: &Can<EvenReadOnly<DeleteApiKey>>, tx: &mut dyn Tx, id: ApiKeyId) -> Result<(), Error> {
    if !can.enter(tx)?.api_keys().revoke(can.workspace(), id, can.now()).await? {
        return Err(Refusal::new(
            &codes::NOT_FOUND,
            "there is no such API key in this workspace; GET …/api-keys lists them",
        )
        .into());
    }
    audit::record(can, tx, action::API_KEY_REVOKE, "api_key", id)
}

/// A program with a key that is in force.
#[derive(Clone, Debug)]
pub struct KeyCaller {
    /// The key.
    pub id: ApiKeyId,
    /// As what, if the address is of the key's own workspace.
    pub grant: Option<Arc<Grant>>,
}

impl KeyCaller {
    /// Notes the call's idempotency key, before anybody else holds the grant.
    pub fn set_idempotency(&mut self, key: IdempotencyKey) {
        if let Some(grant) = self.grant.as_mut().and_then(Arc::get_mut) {
            grant.ctx.idempotency = Some(Arc::new(key));
        }
    }
}

impl Kernel {
    /// The program behind `token`, or `None` if the key is unknown, expired or revoked. Always asks the system of record:
    /// a revoked key is refused from the next call on.
    pub async fn authenticate_key(
        &self,
        ctx: Ctx,
        token: &Token,
        workspace: Option<&WorkspaceRef>,
        keep: Keep,
    ) -> Result<Option<KeyCaller>, Error> {
        let mut lookups = self.store().lookups(&Checkout::default()).await?;
        let Some(found) = lookups.api_key(&token.hash(), workspace, ctx.now).await? else { return Ok(None) };
        let checkout = match keep {
            Keep::ForTransaction => lookups.park(),
            Keep::No => Checkout::default(),
        };
        let stale = found.last_used_at.is_none_or(|at| ctx.now - at >= TOUCH_EVERY);
        // Below every rank: a key manages no people.
        let (name, bits) = ("api_key".to_owned(), self.bits(&found.scopes));
        let role = Role { name, rank: usize::MAX, patterns: found.scopes, bits };
        let grant = found.workspace.map(|workspace| Grant {
            ctx,
            actor: Actor::ApiKey(found.id),
            workspace: workspace.id,
            role: Arc::new(role),
            standing: Standing::Key(found.id),
            plan: self.catalog().plan_of(workspace.plan.as_deref()).clone(),
            access: workspace.access,
            kernel: self.clone(),
            checkout,
        });
        if let Some(grant) = grant.as_ref().filter(|_| stale) {
            self.touch_key(grant, found.id);
        }
        Ok(Some(KeyCaller { id: found.id, grant: grant.map(Arc::new) }))
    }

    /// A scope that no code declares any more holds nothing.
    fn bits(&self, scopes: &[String]) -> Bits {
        let known = self.roles().registry().iter().filter(|permission| scopes.iter().any(|s| s == permission.name));
        known.fold(Bits::default(), |bits, permission| bits.with(intern(permission.name)))
    }

    /// Off the request's path, on a connection of its own: the answer does not wait for it.
    fn touch_key(&self, grant: &Grant, id: ApiKeyId) {
        let (scope, store) = (Scope::of(grant).apart(), self.store().clone());
        let (workspace, at) = (grant.workspace(), grant.now());
        self.noting().spawn("API key", id.uuid(), async move {
            let mut tx = store.begin(scope).await?;
            tx.api_keys().touch(workspace, id, at).await?;
            tx.commit().await
        });
    }
}
