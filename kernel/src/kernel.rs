//! The kernel of one product: its configuration and its adapters, built once at start-up, and the flows that own their
//! transaction because they also need ports: rate limits, passwords, mail.

mod admission;
mod invites;
mod limits;
mod login;
mod sign_up;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::access::catalog::Catalog;
use crate::access::{Call, PermissionInfo, Policy, Roles};
use crate::base::clock::{Clock, SystemClock};
use crate::base::ctx::Ctx;
use crate::base::error::Error;
use crate::base::keyring::Keyring;
use crate::base::secret::Token;
use crate::billing::processor::Processor;
use crate::billing::provider::BillingProvider;
use crate::config::ProductConfig;
use crate::guard::rate_limit::RateLimiter;
use crate::hooks::{Hooks, SignedUp};
use crate::identity::authenticate::{Authenticator, Caller, Entry, Keep};
use crate::identity::credential::Credential;
use crate::identity::login::{LoggedIn, VerifiedLogin};
use crate::identity::lookups::WorkspaceRef;
use crate::identity::password::{Password, Passwords};
use crate::identity::sign_up::SignUp;
use crate::identity::users::Email;
use crate::memory::rate_limit::MemoryRateLimiter;
use crate::names::permissions;
use crate::notify::mailer::{Mailer, NoMailer};
use crate::store::{Store, SystemStore, Tx};

pub use invites::InviteRequest;
/// Name of the keys that sign cursors.
const CURSORS: &str = "kernel.cursors";

/// Everything that requests share: configuration, policy and adapters. Cheap to clone.
#[derive(Clone)]
pub struct Kernel(Arc<Inner>);

struct Inner {
    config: ProductConfig,
    policy: Arc<Policy>,
    keyring: Keyring,
    authenticator: Authenticator,
    store: Arc<dyn Store>,
    system: Option<Arc<dyn SystemStore>>,
    billing: Option<Arc<dyn BillingProvider>>,
    hooks: Vec<Arc<dyn Hooks>>,
    clock: Arc<dyn Clock>,
    limiter: Arc<dyn RateLimiter>,
    mailer: Arc<dyn Mailer>,
    passwords: Passwords,
}

impl Kernel {
    /// Starts building a kernel with this configuration.
    pub fn builder(config: ProductConfig) -> KernelBuilder {
        KernelBuilder {
            config,
            permissions: permissions::all(),
            store: None,
            system: None,
            billing: None,
            hooks: Vec::new(),
            clock: Arc::new(SystemClock),
            limiter: Arc::new(MemoryRateLimiter::default()),
            mailer: Arc::new(NoMailer),
            keyring: None,
            hash_threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// The database, as used by requests.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// The roles, the plans and the keys that sign cursors, as shared with grants and sessions.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.0.policy
    }

    /// The plans.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.0.policy.catalog
    }

    /// The roles, and the registry of permissions.
    pub fn roles(&self) -> &Roles {
        &self.0.policy.roles
    }

    /// The secrets of the deployment. Take the keys of one purpose with [`Keyring::secret`], and pass only those on.
    pub fn keyring(&self) -> &Keyring {
        &self.0.keyring
    }

    /// The product's configuration.
    pub fn config(&self) -> &ProductConfig {
        &self.0.config
    }

    /// The product's hooks, in the order in which they were registered.
    pub fn hooks(&self) -> &[Arc<dyn Hooks>] {
        &self.0.hooks
    }

    /// The pool that hashes and verifies passwords.
    pub fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    /// The mailer. Never send mail inside a transaction.
    pub fn mailer(&self) -> &dyn Mailer {
        &*self.0.mailer
    }

    /// Authenticates the caller of `call` and counts the call against the quota of the workspace that it enters; `None` if the
    /// credential is unknown, expired or revoked. See [`Authenticator::caller`].
    ///
    /// # Errors
    /// `rate_limited`; the errors of the database.
    pub async fn authenticate(
        &self,
        call: &Arc<Call>,
        credential: &Credential,
        workspace: Option<&WorkspaceRef>,
        keep: Keep,
    ) -> Result<Option<Caller>, Error> {
        let Some(caller) = self.0.authenticator.caller(call, credential, workspace, keep).await? else {
            return Ok(None);
        };
        if let Some(Entry::Member(grant)) = &caller.entry {
            let check = self.limit_calls_in_workspace(grant.workspace());
            unless_it_waits(check, || call.release_connection()).await?;
        }
        Ok(Some(caller))
    }

    /// Checks e-mail address and password. See [`verify`](crate::identity::login::verify).
    ///
    /// # Errors
    /// `invalid_credentials`, the same for an unknown address and for a wrong password; `busy` if too many people sign in at
    /// once.
    pub async fn verify_login(&self, ctx: Ctx, email: &Email, password: Password) -> Result<VerifiedLogin, Error> {
        crate::identity::login::verify(&*self.0.store, &self.0.passwords, ctx, email, password).await
    }

    /// Creates a session and ends the one that the browser had. See [`begin_session`](crate::identity::login::begin_session).
    ///
    /// # Errors
    /// The errors of the database.
    pub async fn begin_session(
        &self,
        login: &VerifiedLogin,
        tx: &mut dyn Tx,
        replaced: Option<&Token>,
    ) -> Result<LoggedIn, Error> {
        crate::identity::login::begin_session(login, tx, self.0.config.sessions, replaced).await
    }

    /// Creates an account, its workspace and membership, and what the product's hook adds. See [`sign_up`](crate::identity::sign_up::sign_up).
    ///
    /// # Errors
    /// The errors of the database and of the hook.
    pub async fn sign_up(&self, prepared: &SignUp, tx: &mut dyn Tx) -> Result<Option<SignedUp>, Error> {
        crate::identity::sign_up::sign_up(prepared, tx, self.policy(), self.hooks()).await
    }

    /// The current time.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    /// Receives and processes billing events, if both a provider and a system store are configured.
    pub fn billing_processor(&self) -> Option<Processor> {
        let (system, billing) = (self.0.system.clone()?, self.0.billing.clone()?);
        Some(Processor::new(self.0.clock.clone(), self.catalog().clone(), system, billing))
    }
}

/// Runs `work`; calls `release` first if it does not end at once. No connection is held while a rate limiter waits for its
/// counters, and the usual one, in memory, costs no second checkout.
async fn unless_it_waits<T>(work: impl Future<Output = T>, release: impl FnOnce()) -> T {
    let mut work = std::pin::pin!(work);
    let at_once = std::future::poll_fn(|cx| std::task::Poll::Ready(work.as_mut().poll(cx))).await;
    match at_once {
        std::task::Poll::Ready(done) => done,
        std::task::Poll::Pending => {
            release();
            work.await
        }
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel").field("config", &self.0.config).finish_non_exhaustive()
    }
}

/// Builds a [`Kernel`].
#[must_use]
pub struct KernelBuilder {
    config: ProductConfig,
    permissions: Vec<PermissionInfo>,
    store: Option<Arc<dyn Store>>,
    system: Option<Arc<dyn SystemStore>>,
    billing: Option<Arc<dyn BillingProvider>>,
    hooks: Vec<Arc<dyn Hooks>>,
    clock: Arc<dyn Clock>,
    limiter: Arc<dyn RateLimiter>,
    mailer: Arc<dyn Mailer>,
    keyring: Option<Keyring>,
    hash_threads: usize,
}

impl KernelBuilder {
    /// Sets the database as used by requests. Required.
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Sets the database as used by workers and the webhook receiver.
    pub fn system(mut self, system: impl SystemStore) -> Self {
        self.system = Some(Arc::new(system));
        self
    }

    /// Adds the product's own permissions.
    pub fn permissions(mut self, permissions: &[PermissionInfo]) -> Self {
        self.permissions.extend_from_slice(permissions);
        self
    }

    /// Sets the billing provider.
    pub fn billing(mut self, provider: impl BillingProvider) -> Self {
        self.billing = Some(Arc::new(provider));
        self
    }

    /// Adds hooks of the product. Those of several calls all run, in this order.
    pub fn hooks(mut self, hooks: impl Hooks) -> Self {
        self.hooks.push(Arc::new(hooks));
        self
    }

    /// Sets another clock, such as a test's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets another rate limiter, such as one that several copies of the app share.
    pub fn rate_limiter(mut self, limiter: impl RateLimiter) -> Self {
        self.limiter = Arc::new(limiter);
        self
    }

    /// Sets the mailer. Without one, calls that send mail are refused with an error.
    pub fn mailer(mut self, mailer: impl Mailer) -> Self {
        self.mailer = Arc::new(mailer);
        self
    }

    /// Sets the secrets of the deployment, which sign cursors and encrypt what is stored reversibly. Required.
    ///
    /// [`Keyring::ephemeral`] is for development and tests only.
    pub fn keyring(mut self, keyring: Keyring) -> Self {
        self.keyring = Some(keyring);
        self
    }

    /// Sets how many passwords are hashed at once, at 19 MiB each; the number of cores by default.
    pub fn hash_threads(mut self, threads: usize) -> Self {
        self.hash_threads = threads;
        self
    }

    /// Checks everything that can be checked before the first request, and builds the kernel.
    ///
    /// # Errors
    /// All configuration errors, one per line: no store, no keyring, a role with a permission nobody declared, a permission declared
    /// twice.
    pub fn build(self) -> Result<Kernel, Error> {
        let mut problems = Vec::new();
        let roles = Roles::resolve(&self.config.roles, self.permissions).map_err(|found| problems.extend(found)).ok();
        if self.store.is_none() {
            problems.push("there is no store; call `.store(PgStore::connect(…).await?)`".to_owned());
        }
        if self.keyring.is_none() {
            problems.push(
                "there is no keyring; call `.keyring(Keyring::from_text(…)?)` with the deployment's secrets, or, in development and \
                 tests only, `.keyring(Keyring::ephemeral())`"
                    .to_owned(),
            );
        }
        let (Some(store), Some(keyring), Some(roles)) = (self.store, self.keyring, roles) else {
            return Err(Error::broken(format!("the kernel cannot be built:\n  {}", problems.join("\n  "))));
        };
        let config = self.config;
        let cursors = keyring.secret(CURSORS);
        let policy = Arc::new(Policy { roles, catalog: config.catalog.clone(), cursors });
        Ok(Kernel(Arc::new(Inner {
            authenticator: Authenticator::new(store.clone(), policy.clone(), config.sessions),
            config,
            policy,
            keyring,
            store,
            system: self.system,
            billing: self.billing,
            hooks: self.hooks,
            clock: self.clock,
            limiter: self.limiter,
            mailer: self.mailer,
            passwords: Passwords::new(self.hash_threads)?,
        })))
    }
}

impl fmt::Debug for KernelBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn building_without_a_store_and_a_keyring_reports_both() {
        let config = ProductConfig::parse("brand: { name: Acme }\nplans: [{ key: free, name: Free }]").unwrap();
        let error = Kernel::builder(config).build().unwrap_err().to_string();
        assert!(
            error.contains("\n  there is no store; call") && error.contains("\n  there is no keyring; call"),
            "{error}"
        );
        assert!(error.contains("in development and tests only, `.keyring(Keyring::ephemeral())`"), "{error}");
    }
}
