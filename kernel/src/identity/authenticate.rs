//! Authentication: one path from every credential to a principal and its entry into a workspace. One look-up reads session or
//! key, workspace, membership, entitlements and role.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::access::names::codes::MEMBERSHIP_SUSPENDED;
use crate::access::{Authority, Bits, Call, Credentials, Grant, Mode, Policy, Role, Standing, intern};
use crate::base::actor::Actor;
use crate::base::error::{Error, Refusal, codes};
use crate::base::id::ApiKeyId;
use crate::identity::credential::Credential;
use crate::identity::last_used::LastUsedRecorder;
use crate::identity::lookups::{ApiKeyFound, Lookups, MemberFound, SessionFound, WorkspaceFound, WorkspaceRef};
use crate::identity::sessions::{Session, SessionLife};
use crate::store::{Proof, Store};

/// Whom a credential belongs to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Principal {
    /// A signed-in person.
    Person(Session),
    /// A program with an API key.
    Program(ApiKeyId),
}

/// A principal's way into the workspace that a call names.
#[derive(Clone, Debug)]
pub enum Entry {
    /// They belong to it.
    Member(Arc<Grant>),
    /// They do not belong to it, or it does not exist. Both look alike to them.
    Stranger,
    /// They belong to it, but may not use it now.
    Barred(Barred),
}

/// Why somebody who belongs to a workspace may not use it.
#[derive(Clone, Debug)]
pub struct Barred {
    /// What they are told.
    pub refusal: Refusal,
    /// For permissions that are allowed all the same ([`Mode::Always`]), such as those of an owner who settles the bill of a
    /// suspended workspace; it allows no others.
    pub grant: Option<Arc<Grant>>,
}

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whom the credential belongs to.
    pub principal: Principal,
    /// Their way into the workspace that the call names; `None` if it names none.
    pub entry: Option<Entry>,
}

impl Caller {
    /// The caller of a call that needs one.
    ///
    /// # Errors
    /// `unauthenticated` if nobody is signed in.
    pub fn required(caller: Option<&Self>) -> Result<&Self, Refusal> {
        caller.ok_or_else(|| {
            let text = "nobody is signed in, or the session has ended; log in and send its cookie";
            Refusal::new(&codes::UNAUTHENTICATED, text)
        })
    }

    /// The session of a person.
    ///
    /// # Errors
    /// `forbidden` for a program.
    pub fn person(&self) -> Result<&Session, Refusal> {
        match &self.principal {
            Principal::Person(session) => Ok(session),
            Principal::Program(_) => {
                let text = "this address is a person's; an API key acts below its workspace's address only";
                Err(Refusal::new(&codes::FORBIDDEN, text))
            }
        }
    }

    /// The grant in the workspace that the call names.
    ///
    /// # Errors
    /// `not_found` for strangers; why, for members who are barred.
    pub fn member(&self) -> Result<&Arc<Grant>, Refusal> {
        self.member_for(Mode::Read)
    }

    /// The grant in the workspace that the call names, for a permission of `mode`: with [`Mode::Always`] also that of somebody who
    /// is barred from everything else.
    ///
    /// # Errors
    /// As [`Caller::member`].
    pub fn member_for(&self, mode: Mode) -> Result<&Arc<Grant>, Refusal> {
        match &self.entry {
            Some(Entry::Member(grant)) => Ok(grant),
            Some(Entry::Barred(Barred { grant: Some(grant), .. })) if mode == Mode::Always => Ok(grant),
            Some(Entry::Barred(barred)) => Err(barred.refusal.clone()),
            Some(Entry::Stranger) | None => Err(Refusal::new(&codes::NOT_FOUND, "there is no such workspace")),
        }
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
    fn park(self, lookups: Box<dyn Lookups>, actor: Actor, call: &Call) {
        match self {
            Keep::ForTransaction => lookups.park(actor, call),
            Keep::No => drop(lookups),
        }
    }
}

/// Interval at which the last use of a session is recorded at most, to avoid a write per request.
const RECORD_SESSION_EVERY: TimeDelta = TimeDelta::hours(1);
/// Interval at which the last use of an API key is recorded at most.
const RECORD_KEY_EVERY: TimeDelta = TimeDelta::minutes(5);

/// Turns credentials into callers. Every call is checked against the database, so that removed members and revoked keys are
/// refused from the next call on.
#[derive(Clone)]
pub struct Authenticator {
    store: Arc<dyn Store>,
    policy: Arc<Policy>,
    session_life: SessionLife,
    last_used: LastUsedRecorder,
}

impl Authenticator {
    /// Creates an authenticator that reads from `store` and takes roles from `policy`.
    pub fn new(store: Arc<dyn Store>, policy: Arc<Policy>, session_life: SessionLife) -> Self {
        Self { store, policy, session_life, last_used: LastUsedRecorder::default() }
    }

    /// Authenticates the caller of `call`; `None` if the credential is unknown, expired or revoked. `workspace` is the one that
    /// the call names.
    ///
    /// # Errors
    /// The errors of the database.
    pub async fn caller(
        &self,
        call: &Arc<Call>,
        credential: &Credential,
        workspace: Option<&WorkspaceRef>,
        keep: Keep,
    ) -> Result<Option<Caller>, Error> {
        let mut lookups = self.store.lookups(call).await?;
        let now = call.ctx().now;
        match credential {
            Credential::Session(token) => {
                let Some(found) = lookups.session(&token.hash(), workspace, now).await? else { return Ok(None) };
                keep.park(lookups, Actor::User(found.user), call);
                Ok(Some(self.person(call, found, workspace.is_some())))
            }
            Credential::ApiKey(token) => {
                let Some(found) = lookups.api_key(&token.hash(), workspace, now).await? else { return Ok(None) };
                keep.park(lookups, Actor::ApiKey(found.id), call);
                Ok(Some(self.program(call, found, workspace.is_some())))
            }
        }
    }

    fn person(&self, call: &Arc<Call>, found: SessionFound, asked: bool) -> Caller {
        let session = Session {
            call: call.clone(),
            id: found.id,
            user: found.user,
            signed_in_at: found.created_at,
            policy: self.policy.clone(),
        };
        if call.ctx().now - found.seen_at >= RECORD_SESSION_EVERY {
            self.record_session(&session);
        }
        let entry = match found.entry {
            Some((workspace, member)) => self.member_entry(&session, workspace, member),
            None => Entry::Stranger,
        };
        Caller { principal: Principal::Person(session), entry: asked.then_some(entry) }
    }

    fn member_entry(&self, session: &Session, workspace: WorkspaceFound, member: MemberFound) -> Entry {
        let user = session.user();
        if !member.active {
            let text = "your membership of this workspace is suspended; ask one of its owners to restore it";
            return Entry::Barred(Barred { refusal: Refusal::new(&MEMBERSHIP_SUSPENDED, text), grant: None });
        }
        let standings = [
            Standing::Session(session.id()),
            Standing::Member { workspace: workspace.id, user, version: member.version },
            Standing::Workspace { id: workspace.id, version: workspace.version },
        ];
        let credentials = Credentials::Session(session.id());
        let role = self.policy.roles.get(&member.role).clone();
        let who = Who { actor: Actor::User(user), credentials, authenticated_at: session.signed_in_at(), role };
        self.entry(&session.call, workspace, who, Arc::new(standings))
    }

    fn program(&self, call: &Arc<Call>, found: ApiKeyFound, asked: bool) -> Caller {
        let stale = found.last_used_at.is_none_or(|at| call.ctx().now - at >= RECORD_KEY_EVERY);
        // The lowest rank: a key cannot manage members.
        let (name, bits) = ("api_key".to_owned(), self.bits(&found.scopes));
        let role = Arc::new(Role { name, rank: usize::MAX, patterns: found.scopes, bits });
        let entry = found.workspace.map(|workspace| {
            let standings = [
                Standing::Key { workspace: workspace.id, key: found.id },
                Standing::Workspace { id: workspace.id, version: workspace.version },
            ];
            let (actor, credentials) = (Actor::ApiKey(found.id), Credentials::ApiKey(found.id));
            let who = Who { actor, credentials, authenticated_at: call.ctx().now, role };
            self.entry(call, workspace, who, Arc::new(standings))
        });
        if let Some(Entry::Member(grant)) = entry.as_ref().filter(|_| stale) {
            self.record_key(grant, found.id);
        }
        Caller { principal: Principal::Program(found.id), entry: asked.then(|| entry.unwrap_or(Entry::Stranger)) }
    }

    /// The last step for every credential: the authority in a workspace that the principal belongs to.
    fn entry(&self, call: &Arc<Call>, workspace: WorkspaceFound, who: Who, standings: Arc<[Standing]>) -> Entry {
        let authority = Authority {
            actor: who.actor,
            acting_as: None,
            workspace: workspace.id,
            status: workspace.status,
            role: who.role,
            entitlements: workspace.entitlements,
            standings,
            credentials: who.credentials,
            authenticated_at: who.authenticated_at,
            policy: self.policy.clone(),
        };
        let refusal = authority.refusal(Mode::Read);
        let grant = Arc::new(Grant::new(Arc::new(authority), call.clone()));
        match refusal {
            Some(refusal) => Entry::Barred(Barred { refusal, grant: Some(grant) }),
            None => Entry::Member(grant),
        }
    }

    /// Scopes that the code no longer declares are ignored.
    fn bits(&self, scopes: &[String]) -> Bits {
        let registry = self.policy.roles.registry().iter();
        let known = registry.filter(|permission| scopes.iter().any(|scope| scope == permission.name));
        known.fold(Bits::default(), |bits, permission| bits.with(intern(permission.name)))
    }

    fn record_session(&self, session: &Session) {
        let (scope, user, id) = (session.scope().in_background(), session.user(), session.id());
        let (now, store, life) = (session.ctx().now, self.store.clone(), self.session_life);
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

/// What an authority says about its holder, whatever the credential.
struct Who {
    actor: Actor,
    credentials: Credentials,
    authenticated_at: DateTime<Utc>,
    role: Arc<Role>,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}
