//! The kernel of one product: its configuration and its adapters, built once at start-up.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::access::catalog::Catalog;
use crate::access::{PermissionInfo, Policy, Roles};
use crate::base::clock::{Clock, SystemClock};
use crate::base::ctx::Ctx;
use crate::base::error::{Error, Refusal};
use crate::base::keyring::Keyring;
use crate::base::secret::Token;
use crate::billing::processor::Processor;
use crate::billing::provider::BillingProvider;
use crate::config::ProductConfig;
use crate::guard::rate_limit::{Bucket, RateLimiter, refusal};
use crate::hooks::{Hooks, NoHooks, SignedUp};
use crate::identity::authenticate::{Authenticator, Caller, Keep, KeyCaller};
use crate::identity::login::{self, LoggedIn, VerifiedLogin};
use crate::identity::lookups::WorkspaceRef;
use crate::identity::password::{Password, Passwords};
use crate::identity::sign_up::{self, SignUp};
use crate::identity::users::Email;
use crate::memory::rate_limit::MemoryRateLimiter;
use crate::names::permissions;
use crate::notify::mailer::{Mailer, NoMailer};
use crate::store::{Store, SystemStore, Tx};

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
    hooks: Arc<dyn Hooks>,
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
            hooks: Arc::new(NoHooks),
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

    /// The product's hooks.
    pub fn hooks(&self) -> &dyn Hooks {
        &*self.0.hooks
    }

    /// The pool that hashes and verifies passwords.
    pub fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    /// The mailer. Never send mail inside a transaction.
    pub fn mailer(&self) -> &dyn Mailer {
        &*self.0.mailer
    }

    /// Authenticates a session's `token`; `None` if it is unknown, expired or revoked. See [`Authenticator::session`].
    ///
    /// # Errors
    /// The errors of the database.
    pub async fn authenticate(
        &self,
        ctx: Ctx,
        token: &Token,
        workspace: Option<&WorkspaceRef>,
        keep: Keep,
    ) -> Result<Option<Caller>, Error> {
        self.0.authenticator.session(ctx, token, workspace, keep).await
    }

    /// Authenticates an API key's `token`; `None` if the key is unknown, expired or revoked. See [`Authenticator::api_key`].
    ///
    /// # Errors
    /// The errors of the database.
    pub async fn authenticate_key(
        &self,
        ctx: Ctx,
        token: &Token,
        workspace: Option<&WorkspaceRef>,
        keep: Keep,
    ) -> Result<Option<KeyCaller>, Error> {
        self.0.authenticator.api_key(ctx, token, workspace, keep).await
    }

    /// Checks e-mail address and password. See [`login::verify`].
    ///
    /// # Errors
    /// `invalid_credentials`, the same for an unknown address and for a wrong password; `busy` if too many people sign in at
    /// once.
    pub async fn verify_login(&self, ctx: Ctx, email: &Email, password: Password) -> Result<VerifiedLogin, Error> {
        login::verify(&*self.0.store, &self.0.passwords, ctx, email, password).await
    }

    /// Creates a session and ends the one that the browser had. See [`login::begin_session`].
    ///
    /// # Errors
    /// The errors of the database.
    pub async fn begin_session(
        &self,
        login: &VerifiedLogin,
        tx: &mut dyn Tx,
        replaced: Option<&Token>,
    ) -> Result<LoggedIn, Error> {
        login::begin_session(login, tx, self.0.config.sessions, replaced).await
    }

    /// Creates an account, its workspace and membership, and what the product's hook adds. See [`sign_up::sign_up`].
    ///
    /// # Errors
    /// The errors of the database and of the hook.
    pub async fn sign_up(&self, prepared: &SignUp, tx: &mut dyn Tx) -> Result<Option<SignedUp>, Error> {
        sign_up::sign_up(prepared, tx, self.catalog(), self.hooks()).await
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

    /// Counts a call against the quota of `bucket`. The key is only computed if the bucket has a quota.
    ///
    /// # Errors
    /// `rate_limited`, with the time to wait.
    pub async fn rate_limit(&self, bucket: Bucket, key: impl FnOnce() -> String) -> Result<(), Refusal> {
        let Some(quota) = self.0.config.rate_limits.quota(bucket) else { return Ok(()) };
        self.0.limiter.check(bucket, &key(), quota).await.map_err(refusal)
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
    hooks: Arc<dyn Hooks>,
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

    /// Sets the product's hooks.
    pub fn hooks(mut self, hooks: impl Hooks) -> Self {
        self.hooks = Arc::new(hooks);
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
