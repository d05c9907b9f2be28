//! A kernel over a fresh backend, and people who sign up, log in and are authenticated.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Backend, Fresh, LIMIT};
use crate::access::Grant;
use crate::audit::AuditFilter;
use crate::clock::{Clock, SystemClock, TestClock};
use crate::config::ProductConfig;
use crate::ctx::Ctx;
use crate::error::{BoxError, Error};
use crate::guard::idempotency::IdempotencyKey;
use crate::hooks::SignedUp;
use crate::id::{UserId, WorkspaceId};
use crate::identity::authenticate::{Caller, Keep};
use crate::identity::login;
use crate::identity::lookups::WorkspaceRef;
use crate::identity::sessions::Session;
use crate::identity::sign_up::{self, NewAccount, SignUp};
use crate::identity::users::Email;
use crate::kernel::Kernel;
use crate::page::PageRequest;
use crate::secret::Token;
use crate::store::{Scope, Store, StoreError, SystemStore, Tx};
use crate::tenancy::members::NewMembership;
use crate::tenancy::workspaces::{self, Founding, Slug, Workspace};

const CONFIG: &str = "
brand: { name: Conformance }
plans:
  - { key: free, name: Free, limits: { projects: 3 } }
  - { key: pro, name: Pro, limits: { projects: unlimited }, prices: [{ amount: 1, currency: usd, interval: month, provider_price: price_pro }] }
";
const PASSWORD: &str = "correct horse battery";

pub(super) struct World<'b, B: Backend> {
    pub(super) backend: &'b B,
    pub(super) kernel: Kernel,
    pub(super) clock: Arc<TestClock>,
    pub(super) store: B::Store,
    pub(super) system: B::System,
    /// Dropped last.
    _keep: Box<dyn Any + Send + Sync>,
}

/// Somebody signed in, and their first workspace.
pub(super) struct Person {
    pub(super) email: Email,
    pub(super) token: Token,
    pub(super) session: Session,
    pub(super) grant: Arc<Grant>,
}

impl Person {
    pub(super) fn user(&self) -> UserId {
        self.session.user()
    }

    pub(super) fn workspace(&self) -> WorkspaceId {
        self.grant.workspace()
    }
}

impl<'b, B: Backend> World<'b, B> {
    pub(super) async fn new(backend: &'b B) -> Result<Self, BoxError> {
        let Fresh { store, system, keep } = backend.fresh().await?;
        let clock = Arc::new(TestClock::at(SystemClock.now()));
        let kernel = Kernel::builder(ProductConfig::parse(CONFIG)?)
            .store(store.clone())
            .system(system.clone())
            .clock(clock.clone())
            .build()?;
        Ok(Self { backend, kernel, clock, store, system, _keep: keep })
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A new call, a millisecond after the one before.
    pub(super) fn ctx(&self) -> Ctx {
        self.clock.advance(TimeDelta::milliseconds(1));
        Ctx::at(self.now())
    }

    pub(super) async fn prepare(&self, ctx: Ctx, name: &str) -> Result<SignUp, Error> {
        let account = NewAccount::parse(&address(name), PASSWORD, name)?;
        SignUp::prepare(ctx, account, self.kernel.passwords()).await
    }

    pub(super) async fn sign_up(&self, prepared: &SignUp) -> Result<Option<SignedUp>, Error> {
        let mut tx = self.store.begin(Scope::sign_up(prepared)).await?;
        let signed_up = sign_up::sign_up(&self.kernel, prepared, &mut *tx).await?;
        if signed_up.is_some() {
            tx.commit().await?;
        }
        Ok(signed_up)
    }

    pub(super) async fn log_in(&self, email: &Email) -> Result<Token, Error> {
        let verified = login::verify(&self.kernel, self.ctx(), email, PASSWORD.parse()?).await?;
        let mut tx = self.store.begin(Scope::login(&verified)).await?;
        let logged_in = login::begin_session(&self.kernel, &verified, &mut *tx, None).await?;
        tx.commit().await?;
        Ok(logged_in.token)
    }

    pub(super) async fn authenticate(
        &self,
        token: &Token,
        workspace: Option<&WorkspaceRef>,
    ) -> Result<Option<Caller>, Error> {
        self.kernel.authenticate(self.ctx(), token, workspace, Keep::No).await
    }

    /// Signs up, logs in, and is authenticated in the new workspace.
    pub(super) async fn person(&self, name: &str) -> Result<Person, BoxError> {
        let email: Email = address(name).parse()?;
        let signed_up = self.sign_up(&self.prepare(self.ctx(), name).await?).await?.ok_or("a free address")?;
        let token = self.log_in(&email).await?;
        let workspace = WorkspaceRef::Id(signed_up.workspace.id);
        let caller = self.authenticate(&token, Some(&workspace)).await?.ok_or("a caller")?;
        Ok(Person { email, token, session: caller.session, grant: caller.grant.ok_or("a grant")? })
    }

    /// The same person's next call, with a key that makes it repeatable.
    pub(super) async fn with_key(&self, person: &Person, key: &str, body: &str) -> Result<Caller, BoxError> {
        let workspace = WorkspaceRef::Id(person.workspace());
        let mut caller = self.authenticate(&person.token, Some(&workspace)).await?.ok_or("a caller")?;
        caller.set_idempotency(IdempotencyKey::parse(key, "POST", "/", body.as_bytes())?);
        Ok(caller)
    }

    pub(super) async fn found(&self, founder: &Session, slug: &str) -> Result<Workspace, Error> {
        let (founding, slug) = (Founding::by(founder), slug.parse::<Slug>()?);
        let mut tx = self.store.begin(Scope::founding(&founding)).await?;
        let made = workspaces::create(&self.kernel, &founding, &mut *tx, slug.as_str().parse()?, Some(slug)).await?;
        tx.commit().await?;
        Ok(made)
    }

    pub(super) async fn tenant(&self, person: &Person) -> Result<Box<dyn Tx>, StoreError> {
        self.store.begin(Scope::of(&person.grant)).await
    }

    pub(super) async fn own(&self, person: &Person) -> Result<Box<dyn Tx>, StoreError> {
        self.store.begin(Scope::of_user(&person.session)).await
    }

    pub(super) async fn system(&self) -> Result<Box<dyn Tx>, StoreError> {
        self.system.begin("conformance").await
    }
}

pub(super) fn address(name: &str) -> String {
    format!("{}@example.com", name.to_lowercase().replace(' ', "."))
}

/// The write was refused, and the transaction is over with it: another call is refused as well, the commit keeps nothing.
pub(super) async fn refused<T>(mut tx: Box<dyn Tx>, write: Result<T, StoreError>) {
    assert!(matches!(write, Err(StoreError::Backend(_))), "a write outside the scope, or to nothing, is refused");
    over(&mut *tx).await;
}

/// After an error every further call of every repository is one.
pub(super) async fn over(tx: &mut dyn Tx) {
    let at = SystemClock.now();
    let (user, id, role) = (UserId::generate(at), WorkspaceId::generate(at), "member");
    let answered = [
        ("users", tx.users().find(user).await.is_ok()),
        ("sessions", tx.sessions().delete_by_token(&Token::generate("").hash()).await.is_ok()),
        ("workspaces", tx.workspaces().find(id).await.is_ok()),
        ("api_keys", tx.api_keys().count(id, at).await.is_ok()),
        ("invites", tx.invites().list(id, &PageRequest::first(1)).await.is_ok()),
        ("members", tx.members().insert(&NewMembership { workspace: id, user, role, at }).await.is_ok()),
        ("limits", tx.limits().usage(id, LIMIT.0).await.is_ok()),
        ("subscriptions", tx.subscriptions().of_workspace(id).await.is_ok()),
        ("inbox", tx.inbox().claim("conformance", 1, at, at).await.is_ok()),
        ("audit_log", tx.audit_log().list(id, &AuditFilter::default(), &PageRequest::first(1)).await.is_ok()),
    ];
    let went_on: Vec<&str> = answered.into_iter().filter(|(_, went_on)| *went_on).map(|(name, _)| name).collect();
    assert!(went_on.is_empty(), "after an error the transaction is over, but these answer: {went_on:?}");
}

/// Runs all of them, interleaved as they wait.
pub(super) async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|cx| {
        for (future, output) in running.iter_mut().filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(ready) = future.as_mut().poll(cx) {
                *output = Some(ready);
            }
        }
        if running.iter().all(|(_, output)| output.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}
