//! Authentication: turns a token into a caller. One look-up reads session or key, workspace, membership, plan and role.

use std::sync::Arc;

use chrono::TimeDelta;

use crate::access::{Bits, Grant, Policy, Role, Standing, intern};
use crate::base::actor::Actor;
use crate::base::checkout::Checkout;
use crate::base::ctx::Ctx;
use crate::base::error::Error;
use crate::base::id::ApiKeyId;
use crate::base::idempotency::IdempotencyKey;
use crate::base::secret::Token;
use crate::identity::last_used::LastUsedRecorder;
use crate::identity::lookups::{Lookups, WorkspaceRef};
use crate::identity::sessions::{Session, SessionLife};
use crate::store::{Proof, Store};

/// A signed-in person, with a grant if they are a member of the requested workspace.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The person's session.
    pub session: Session,
    /// The grant in the requested workspace; `None` if none was requested, it does not exist, or the person is not a member.
    pub grant: Option<Arc<Grant>>,
}

impl Caller {
    /// Sets the call's idempotency key. Call it before the grant is shared.
    pub fn set_idempotency(&mut self, key: IdempotencyKey) {
        let key = Arc::new(key);
        if let Some(grant) = self.grant.as_mut().and_then(Arc::get_mut) {
            grant.ctx.idempotency = Some(key.clone());
        }
        self.session.ctx.idempotency = Some(key);
    }
}

/// What to do with the connection that was used for the look-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// Keep it for the call's transaction. For calls whose input has already arrived.
    ForTransaction,
    /// Return it to the pool at once. For calls whose body is still to come: a slow client must not hold a connection.
    No,
}

impl Keep {
    fn checkout(self, lookups: Box<dyn Lookups>, actor: Actor) -> Checkout {
        match self {
            Keep::ForTransaction => lookups.park(actor),
            Keep::No => Checkout::default(),
        }
    }
}

/// A program that called with a valid API key.
#[derive(Clone, Debug)]
pub struct KeyCaller {
    /// Id of the API key.
    pub id: ApiKeyId,
    /// The grant in the key's workspace; `None` if another workspace was requested.
    pub grant: Option<Arc<Grant>>,
}

impl KeyCaller {
    /// Sets the call's idempotency key. Call it before the grant is shared.
    pub fn set_idempotency(&mut self, key: IdempotencyKey) {
        if let Some(grant) = self.grant.as_mut().and_then(Arc::get_mut) {
            grant.ctx.idempotency = Some(Arc::new(key));
        }
    }
}

/// Interval at which the last use of a session is recorded at most, to avoid a write per request.
const RECORD_SESSION_EVERY: TimeDelta = TimeDelta::hours(1);
/// Interval at which the last use of an API key is recorded at most.
const RECORD_KEY_EVERY: TimeDelta = TimeDelta::minutes(5);

/// Turns tokens into callers. Every call is checked against the database, so that removed members and revoked keys are refused
/// from the next call on.
#[derive(Clone)]
pub struct Authenticator {
    store: Arc<dyn Store>,
    policy: Arc<Policy>,
    session_life: SessionLife,
    last_used: LastUsedRecorder,
}

impl Authenticator {
    /// Creates an authenticator that reads from `store` and takes roles and plans from `policy`.
    pub fn new(store: Arc<dyn Store>, policy: Arc<Policy>, session_life: SessionLife) -> Self {
        Self { store, policy, session_life, last_used: LastUsedRecorder::default() }
    }

    /// Authenticates a session's `token`; `None` if it is unknown, expired or revoked.
    ///
    /// # Errors
    /// The errors of the database.
    pub async fn session(
        &self,
        ctx: Ctx,
        token: &Token,
        workspace: Option<&WorkspaceRef>,
        keep: Keep,
    ) -> Result<Option<Caller>, Error> {
        let mut lookups = self.store.lookups(&ctx, &Checkout::default()).await?;
        let Some(found) = lookups.session(&token.hash(), workspace, ctx.now).await? else { return Ok(None) };
        let checkout = keep.checkout(lookups, Actor::User(found.user));
        let stale = ctx.now - found.seen_at >= RECORD_SESSION_EVERY;
        let grant = found.membership.map(|membership| {
            Arc::new(Grant {
                ctx: ctx.clone(),
                actor: Actor::User(found.user),
                workspace: membership.workspace,
                role: self.policy.roles.get(&membership.role).clone(),
                plan: self.policy.catalog.plan_of(membership.plan.as_deref()).clone(),
                access: membership.access,
                standing: Standing::Member(found.user, membership.role.into()),
                policy: self.policy.clone(),
                checkout: checkout.clone(),
            })
        });
        let session = Session { ctx, id: found.id, user: found.user, policy: self.policy.clone(), checkout };
        if stale {
            self.record_session(&session);
        }
        Ok(Some(Caller { session, grant }))
    }

    /// Authenticates an API key's `token`; `None` if the key is unknown, expired or revoked.
    ///
    /// # Errors
    /// The errors of the database.
    pub async fn api_key(
        &self,
        ctx: Ctx,
        token: &Token,
        workspace: Option<&WorkspaceRef>,
        keep: Keep,
    ) -> Result<Option<KeyCaller>, Error> {
        let mut lookups = self.store.lookups(&ctx, &Checkout::default()).await?;
        let Some(found) = lookups.api_key(&token.hash(), workspace, ctx.now).await? else { return Ok(None) };
        let checkout = keep.checkout(lookups, Actor::ApiKey(found.id));
        let stale = found.last_used_at.is_none_or(|at| ctx.now - at >= RECORD_KEY_EVERY);
        // The lowest rank: a key cannot manage members.
        let (name, bits) = ("api_key".to_owned(), self.bits(&found.scopes));
        let role = Role { name, rank: usize::MAX, patterns: found.scopes, bits };
        let grant = found.workspace.map(|workspace| Grant {
            ctx,
            actor: Actor::ApiKey(found.id),
            workspace: workspace.id,
            role: Arc::new(role),
            standing: Standing::Key(found.id),
            plan: self.policy.catalog.plan_of(workspace.plan.as_deref()).clone(),
            access: workspace.access,
            policy: self.policy.clone(),
            checkout,
        });
        if let Some(grant) = grant.as_ref().filter(|_| stale) {
            self.record_key(grant, found.id);
        }
        Ok(Some(KeyCaller { id: found.id, grant: grant.map(Arc::new) }))
    }

    /// Scopes that the code no longer declares are ignored.
    fn bits(&self, scopes: &[String]) -> Bits {
        let registry = self.policy.roles.registry().iter();
        let known = registry.filter(|permission| scopes.iter().any(|scope| scope == permission.name));
        known.fold(Bits::default(), |bits, permission| bits.with(intern(permission.name)))
    }

    fn record_session(&self, session: &Session) {
        let (scope, user, id, now) = (session.scope().in_background(), session.user, session.id, session.ctx.now);
        let (store, life) = (self.store.clone(), self.session_life);
        self.last_used.spawn("session", id.uuid(), async move {
            let mut tx = store.begin(scope).await?;
            tx.sessions().touch(user, id, now, life).await?;
            tx.commit().await
        });
    }

    fn record_key(&self, grant: &Grant, id: ApiKeyId) {
        let (scope, store) = (grant.scope().in_background(), self.store.clone());
        let (workspace, at) = (grant.workspace(), grant.now());
        self.last_used.spawn("API key", id.uuid(), async move {
            let mut tx = store.begin(scope).await?;
            tx.api_keys().touch(workspace, id, at).await?;
            tx.commit().await
        });
    }
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}
