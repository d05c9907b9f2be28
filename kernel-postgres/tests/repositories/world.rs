//! A kernel on a database of its own, and people who sign up, log in and are authenticated.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use saas_kernel::StoreError;
use saas_kernel::access::catalog::{Access, Cap, Catalog, Plan};
use saas_kernel::access::entitlements::{PlanTerms, resolve};
use saas_kernel::access::{Call, Entitlements, Grant};
use saas_kernel::audit::AuditFilter;
use saas_kernel::clock::{Clock, SystemClock, TestClock};
use saas_kernel::config::ProductConfig;
use saas_kernel::ctx::Ctx;
use saas_kernel::error::{BoxError, Error};
use saas_kernel::hooks::SignedUp;
use saas_kernel::id::{UserId, WorkspaceId};
use saas_kernel::idempotency::IdempotencyKey;
use saas_kernel::identity::authenticate::{Caller, Keep};
use saas_kernel::identity::credential::Credential;
use saas_kernel::identity::lookups::{Lookups, WorkspaceRef};
use saas_kernel::identity::sessions::Session;
use saas_kernel::identity::sign_up::{NewAccount, SignUp};
use saas_kernel::identity::users::Email;
use saas_kernel::kernel::Kernel;
use saas_kernel::keyring::Keyring;
use saas_kernel::page::PageRequest;
use saas_kernel::secret::Token;
use saas_kernel::store::{Proof, Store, SystemStore, Tx};
use saas_kernel::tenancy::members::NewMembership;
use saas_kernel::tenancy::workspaces::{self, Slug, Workspace, WorkspaceCreation};
use saas_kernel_postgres::testing::TestDb;
use saas_kernel_postgres::{Migrations, PgResult, PgStore, PgSystem, PgTx};

use crate::LIMIT;

/// One product table, counted under [`LIMIT`].
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("tests/repositories/migrations");

const CONFIG: &str = "
brand: { name: Conformance }
plans:
  - { key: free, name: Free, limits: { projects: 3 } }
  - { key: pro, name: Pro, features: [sso], limits: { projects: unlimited }, prices: [{ amount: 1, currency: usd, interval: month, provider_price: price_pro }] }
";
const PASSWORD: &str = "correct horse battery";

pub(crate) struct World {
    pub(crate) kernel: Kernel,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) store: PgStore,
    pub(crate) system: PgSystem,
    /// Dropped last.
    db: TestDb,
}

/// Somebody signed in, and their first workspace.
pub(crate) struct Person {
    pub(crate) email: Email,
    pub(crate) token: Token,
    pub(crate) session: Session,
    pub(crate) grant: Arc<Grant>,
}

impl Person {
    pub(crate) fn user(&self) -> UserId {
        self.session.user()
    }

    pub(crate) fn workspace(&self) -> WorkspaceId {
        self.grant.workspace()
    }
}

impl World {
    pub(crate) async fn new() -> Result<Self, BoxError> {
        let db = TestDb::new(&Migrations::kernel().product(&MIGRATIONS)).await?;
        let (store, system) = (db.store().await?, db.system().await?);
        let clock = Arc::new(TestClock::at(SystemClock.now()));
        let kernel = Kernel::builder(ProductConfig::parse(CONFIG)?)
            .keyring(Keyring::ephemeral())
            .store(store.clone())
            .system(system.clone())
            .clock(clock.clone())
            .build()?;
        system.sync_catalog(kernel.catalog()).await?;
        Ok(Self { kernel, clock, store, system, db })
    }

    /// What a workspace on `plan` may use.
    pub(crate) fn entitlements(&self, plan: Option<&str>, access: Access) -> Entitlements {
        resolve(&PlanTerms::from(&**self.kernel.catalog()), plan, access)
    }

    /// Past row-level security.
    pub(crate) async fn run(&self, sql: &'static str) -> Result<(), BoxError> {
        sqlx::raw_sql(sql).execute(&mut self.db.admin().await?).await?;
        Ok(())
    }

    /// One answer, seen past row-level security.
    pub(crate) async fn is(&self, sql: &'static str) -> Result<bool, BoxError> {
        Ok(sqlx::query_scalar(sql).fetch_one(&mut self.db.admin().await?).await?)
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A new call, a millisecond after the one before.
    pub(crate) fn ctx(&self) -> Ctx {
        self.clock.advance(TimeDelta::milliseconds(1));
        Ctx::at(self.now())
    }

    pub(crate) async fn prepare(&self, ctx: Ctx, name: &str) -> Result<SignUp, Error> {
        let account = NewAccount::parse(&address(name), PASSWORD, name)?;
        SignUp::prepare(ctx, account, self.kernel.passwords()).await
    }

    pub(crate) async fn sign_up(&self, prepared: &SignUp) -> Result<Option<SignedUp>, Error> {
        let mut tx = self.store.begin(prepared.scope()).await?;
        let signed_up = self.kernel.sign_up(prepared, &mut *tx).await?;
        if signed_up.is_some() {
            tx.commit().await?;
        }
        Ok(signed_up)
    }

    pub(crate) async fn log_in(&self, email: &Email) -> Result<Token, Error> {
        let verified = self.kernel.verify_login(self.ctx(), email, PASSWORD.parse()?).await?;
        let mut tx = self.store.begin(verified.scope()).await?;
        let logged_in = self.kernel.begin_session(&verified, &mut *tx, None).await?;
        tx.commit().await?;
        Ok(logged_in.token)
    }

    pub(crate) async fn authenticate(
        &self,
        token: &Token,
        workspace: Option<&WorkspaceRef>,
    ) -> Result<Option<Caller>, Error> {
        let credential = Credential::Session(token.clone());
        self.kernel.authenticate(&Call::new(self.ctx()), &credential, workspace, Keep::No).await
    }

    /// Signs up, logs in, and is authenticated in the new workspace.
    pub(crate) async fn person(&self, name: &str) -> Result<Person, BoxError> {
        let email: Email = address(name).parse()?;
        let signed_up = self.sign_up(&self.prepare(self.ctx(), name).await?).await?.ok_or("a free address")?;
        let token = self.log_in(&email).await?;
        let workspace = WorkspaceRef::Id(signed_up.workspace.id);
        let caller = self.authenticate(&token, Some(&workspace)).await?.ok_or("a caller")?;
        Ok(Person { email, token, session: caller.person()?.clone(), grant: caller.member()?.clone() })
    }

    /// The same person's next call, with a key that makes it repeatable.
    pub(crate) async fn with_key(&self, person: &Person, key: &str, body: &str) -> Result<Caller, BoxError> {
        let workspace = WorkspaceRef::Id(person.workspace());
        let caller = self.authenticate(&person.token, Some(&workspace)).await?.ok_or("a caller")?;
        caller.person()?.call().set_idempotency(IdempotencyKey::parse(key, "POST", "/", body.as_bytes())?);
        Ok(caller)
    }

    pub(crate) async fn found(&self, founder: &Session, slug: &str) -> Result<Workspace, Error> {
        let (creation, slug) = (WorkspaceCreation::by(founder), slug.parse::<Slug>()?);
        let mut tx = self.store.begin(creation.scope()).await?;
        let made = workspaces::create(&creation, &mut *tx, slug.as_str().parse()?, Some(slug)).await?;
        tx.commit().await?;
        Ok(made)
    }

    pub(crate) async fn tenant(&self, person: &Person) -> Result<Box<dyn Tx>, StoreError> {
        self.store.begin(person.grant.scope()).await
    }

    pub(crate) async fn own(&self, person: &Person) -> Result<Box<dyn Tx>, StoreError> {
        self.store.begin(person.session.scope()).await
    }

    pub(crate) async fn lookups(&self) -> Result<Box<dyn Lookups>, StoreError> {
        self.store.lookups(&Call::new(Ctx::at(self.now()))).await
    }

    pub(crate) async fn system(&self) -> Result<Box<dyn Tx>, StoreError> {
        self.system.begin("conformance").await
    }
}

/// A catalog of one plan with one limit, besides the seats.
pub(crate) fn catalog_with(plan: &str, limit: &str, cap: Cap) -> Result<Catalog, BoxError> {
    let (key, name) = (plan.to_owned(), plan.to_owned());
    let plan = Plan { key, name, prices: vec![], features: [].into(), limits: [(limit.to_owned(), cap)].into() };
    Catalog::new(vec![plan]).map_err(|problems| format!("{problems:?}").into())
}

pub(crate) fn address(name: &str) -> String {
    format!("{}@example.com", name.to_lowercase().replace(' ', "."))
}

/// The write was refused, and the transaction is over with it: another call is refused as well, the commit keeps nothing.
pub(crate) async fn refused<T>(mut tx: Box<dyn Tx>, write: Result<T, StoreError>) {
    assert!(
        matches!(write, Err(StoreError::Backend(_) | StoreError::Reference { .. })),
        "a write outside the scope, or to nothing, is refused"
    );
    over(&mut *tx).await;
}

/// After an error every further call of every repository is one.
pub(crate) async fn over(tx: &mut dyn Tx) {
    let at = SystemClock.now();
    let (user, id, role) = (UserId::generate(at), WorkspaceId::generate(at), "member");
    let answered = [
        ("users", tx.users().find(user).await.is_ok()),
        ("sessions", tx.sessions().delete_by_token(&Token::generate("").hash()).await.is_ok()),
        ("workspaces", tx.workspaces().find(id).await.is_ok()),
        ("api_keys", tx.api_keys().count(id, at).await.is_ok()),
        ("invites", tx.invites().list(id, &PageRequest::first(1)).await.is_ok()),
        ("members", tx.members().insert(&NewMembership { workspace: id, user, role, at }).await.is_ok()),
        ("catalogs", tx.catalogs().in_force().await.is_ok()),
        ("limits", tx.limits().usage(id, LIMIT.0).await.is_ok()),
        ("subscriptions", tx.subscriptions().of_workspace(id).await.is_ok()),
        ("inbox", tx.inbox().claim("conformance", 1, at, at).await.is_ok()),
        ("audit_log", tx.audit_log().list(id.into(), &AuditFilter::default(), &PageRequest::first(1)).await.is_ok()),
    ];
    let went_on: Vec<&str> = answered.into_iter().filter(|(_, went_on)| *went_on).map(|(name, _)| name).collect();
    assert!(went_on.is_empty(), "after an error the transaction is over, but these answer: {went_on:?}");
}

/// Inserts one row of the product's table, counted under [`LIMIT`], into the transaction's workspace.
pub(crate) async fn insert_row(tx: &mut dyn Tx) -> Result<(), StoreError> {
    let insert = "INSERT INTO counted.rows (workspace_id, id) VALUES (kernel.ws(), gen_random_uuid())";
    sqlx::query(insert).execute(PgTx::of(tx)?.conn()).await.store().map(drop)
}

/// Deletes one such row.
pub(crate) async fn delete_row(tx: &mut dyn Tx) -> Result<(), StoreError> {
    let delete =
        "DELETE FROM counted.rows WHERE (workspace_id, id) IN (SELECT workspace_id, id FROM counted.rows LIMIT 1)";
    sqlx::query(delete).execute(PgTx::of(tx)?.conn()).await.store().map(drop)
}
