//! From a token to a caller: one look-up answers session, workspace, membership, plan and role.

use std::sync::Arc;

use chrono::TimeDelta;

use crate::access::Grant;
use crate::actor::Actor;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::guard::idempotency::IdempotencyKey;
use crate::identity::lookups::WorkspaceRef;
use crate::identity::sessions::Session;
use crate::kernel::Kernel;
use crate::secret::Token;
use crate::store::{Checkout, Scope, Standing};

/// A signed-in caller, with a grant if they belong to the workspace they asked for.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub session: Session,
    /// As what, in the workspace asked for; `None` without one, for strangers, and where it does not exist.
    pub grant: Option<Arc<Grant>>,
}

impl Caller {
    /// Notes the call's idempotency key, before anybody else holds the grant.
    pub fn set_idempotency(&mut self, key: IdempotencyKey) {
        let key = Arc::new(key);
        if let Some(grant) = self.grant.as_mut().and_then(Arc::get_mut) {
            grant.ctx.idempotency = Some(key.clone());
        }
        self.session.ctx.idempotency = Some(key);
    }
}

/// What happens to the connection that answered the look-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// It waits for the call's transaction. For calls whose input is already here.
    ForTransaction,
    /// It goes back at once. For calls that still wait for their body: a slow client must not hold a connection.
    No,
}

/// Sessions are noted as used at most this often: not a write per request.
const TOUCH_EVERY: TimeDelta = TimeDelta::hours(1);

impl Kernel {
    /// The caller behind `token`, or `None` if it is unknown, expired or revoked. Always asks the system of record, so
    /// that a removed member is refused from the next call on.
    pub async fn authenticate(
        &self,
        ctx: Ctx,
        token: &Token,
        workspace: Option<&WorkspaceRef>,
        keep: Keep,
    ) -> Result<Option<Caller>, Error> {
        let mut lookups = self.store().lookups(&Checkout::default()).await?;
        let Some(found) = lookups.session(&token.hash(), workspace, ctx.now).await? else { return Ok(None) };
        let checkout = match keep {
            Keep::ForTransaction => lookups.park(),
            Keep::No => Checkout::default(),
        };
        let stale = ctx.now - found.seen_at >= TOUCH_EVERY;
        let grant = found.membership.map(|membership| {
            Arc::new(Grant {
                ctx: ctx.clone(),
                actor: Actor::User(found.user),
                workspace: membership.workspace,
                role: self.roles().get(&membership.role).clone(),
                plan: self.catalog().plan_of(membership.plan.as_deref()).clone(),
                access: membership.access,
                standing: Standing::Member(found.user, membership.role.into()),
                kernel: self.clone(),
                checkout: checkout.clone(),
            })
        });
        let session = Session { ctx, id: found.id, user: found.user, kernel: self.clone(), checkout };
        if stale {
            self.touch(&session);
        }
        Ok(Some(Caller { session, grant }))
    }

    /// Off the request's path, on a connection of its own: the answer does not wait for it.
    fn touch(&self, session: &Session) {
        let (scope, user, id, now) = (Scope::of_user(session).apart(), session.user, session.id, session.ctx.now);
        let (store, life) = (self.store().clone(), self.settings().session_life);
        self.noting().spawn("session", id.uuid(), async move {
            let mut tx = store.begin(scope).await?;
            tx.sessions().touch(user, id, now, life).await?;
            tx.commit().await
        });
    }
}
