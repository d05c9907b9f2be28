//! A database with people, and the kernel's own ways to call it. Every call that begins a transaction is here.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use saas_kernel::access::catalog::Catalog;
use saas_kernel::billing::processor::Processor;
use saas_kernel::billing::provider::ProviderEvent;
use saas_kernel::clock::{Clock, SystemClock};
use saas_kernel::id::{ApiKeyId, InviteId, UserId, WorkspaceId};
use saas_kernel::idempotency::IdempotencyKey;
use saas_kernel::identity::api_keys::ApiKey;
use saas_kernel::identity::authenticate::Keep;
use saas_kernel::identity::credential::Credential;
use saas_kernel::identity::login::VerifiedLogin;
use saas_kernel::identity::lookups::WorkspaceRef;
use saas_kernel::identity::sessions::Session;
use saas_kernel::identity::sign_up::{NewAccount, SignUp};
use saas_kernel::identity::users::Email;
use saas_kernel::secret::Token;
use saas_kernel::store::{IdentityRepositories, TenancyRepositories};
use saas_kernel::tenancy::invites::{Invited, NewInvite};
use saas_kernel::tenancy::members::NewMembership;
use saas_kernel::tenancy::workspaces::{self, WorkspaceCreation};
use saas_kernel::{
    BoxError, Call, Ctx, Error, Grant, Kernel, Keyring, ProductConfig, Proof, Refusal, Store, StoreError, Tx, codes,
};
use saas_kernel_postgres::testing::TestDb;
use saas_kernel_postgres::{Migrations, PgOptions, PgStore, PgSystem, PgTx};
use sqlx::PgConnection;

use crate::defects::{Flow, Planted};
use crate::history::{self, Key};
use crate::operations::{INVITED, MEMBERS, PEOPLE};
use crate::payments::Payments;

pub(crate) type Result<T = (), E = BoxError> = std::result::Result<T, E>;

saas_kernel::permissions! {
    /// Read items.
    pub(crate) ReadItem = read "item.read";
    /// Write items.
    pub(crate) WriteItem = write "item.write";
}

/// The caps stand in invariants.sql too.
const CONFIG: &str = "
brand: { name: Histories }
plans:
  - { key: free, name: Free, limits: { items: 4, members: 4 } }
  - { key: starter, name: Starter, limits: { items: 5, members: 5 }, prices: [{ amount: 1, currency: usd, interval: month, provider_price: starter }] }
  - { key: pro, name: Pro, limits: { items: unlimited, members: unlimited }, prices: [{ amount: 2, currency: usd, interval: month, provider_price: pro }] }
roles:
  - { name: owner, permissions: ['*'] }
  - { name: admin, permissions: [workspace.read, workspace.update, member.*, item.*, audit.read] }
  - { name: member, permissions: [workspace.read, member.list, item.*] }
  - { name: viewer, permissions: [workspace.read, item.read] }
";

const PASSWORD: &str = "correct horse battery";

pub(crate) struct Person {
    pub(crate) user: UserId,
    pub(crate) email: Email,
    verified: VerifiedLogin,
    token: Mutex<Token>,
}

pub(crate) struct World {
    admin: tokio::sync::Mutex<PgConnection>,
    pub(crate) kernel: Kernel,
    store: PgStore,
    pub(crate) system: PgSystem,
    pub(crate) people: Vec<Person>,
    /// Process the inbox: one by the right time; one whose clock is ahead by more than a lease, so that it takes over what
    /// others are processing; and one for the end, far enough ahead to find every retry due.
    pub(crate) processors: [Processor; 3],
    pub(crate) flow: Option<Flow>,
    /// The plans, and the same with other names: their caps are the same.
    pub(crate) plans: [Arc<Catalog>; 2],
    /// When the provider's events begin.
    pub(crate) since: DateTime<Utc>,
    /// Dropped after everything that is connected to it.
    _db: TestDb,
}

impl World {
    pub(crate) async fn new(planted: Option<&Planted>) -> Result<Self> {
        let db = TestDb::new(&Migrations::kernel()).await?;
        let mut admin = db.admin().await?;
        sqlx::raw_sql(include_str!("schema.sql")).execute(&mut admin).await?;
        let (store, system) = (PgStore::connect_with(&db.app_url(), pool()).await?, db.system().await?);
        let kernel = kernel(&store, &system, TimeDelta::zero())?;
        system.sync_catalog(kernel.catalog()).await?;
        let mut processors = Vec::new();
        for minutes in [0, 6, 120] {
            let kernel = kernel_at(&kernel, &store, &system, minutes)?;
            processors.push(kernel.billing_processor().ok_or("a processor")?);
        }
        let processors = processors.try_into().map_err(|_| "three processors")?;
        let renamed =
            ProductConfig::parse(&CONFIG.replace("name: Free", "name: Basic").replace("name: Pro", "name: Plus"))?;
        let plans = [kernel.catalog().clone(), renamed.catalog];
        let (people, flow) = (Vec::new(), planted.and_then(|planted| planted.flow));
        let mut world = Self {
            admin: admin.into(),
            since: kernel.now().trunc_subsecs(0),
            kernel,
            store,
            system,
            people,
            processors,
            flow,
            plans,
            _db: db,
        };
        for number in 0..PEOPLE {
            let person = world.person(number).await?;
            world.people.push(person);
        }
        if let Some(planted) = planted {
            sqlx::raw_sql(planted.sql).execute(&mut *world.admin().await).await?;
        }
        Ok(world)
    }

    async fn person(&self, number: usize) -> Result<Person> {
        let email: Email = format!("person{number}@example.com").parse()?;
        let prepared = self.prepare_sign_up(&email, &format!("Person {number}")).await?;
        let mut tx = self.begin_sign_up(&prepared).await?;
        let user = self.kernel.sign_up(&prepared, &mut *tx).await?.ok_or("a free address")?.user;
        tx.commit().await?;
        let verified = self.kernel.verify_login(self.ctx(), &email, PASSWORD.parse()?).await?;
        let token = self.log_in(&verified, None).await?;
        Ok(Person { user, email, verified, token: Mutex::new(token) })
    }

    /// Sees past row-level security.
    pub(crate) async fn admin(&self) -> tokio::sync::MutexGuard<'_, PgConnection> {
        self.admin.lock().await
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.kernel.now()
    }

    fn ctx(&self) -> Ctx {
        Ctx::at(self.now())
    }

    pub(crate) async fn prepare_sign_up(&self, email: &Email, name: &str) -> Result<SignUp, Error> {
        let account = NewAccount::parse(email.as_str(), PASSWORD, name)?;
        SignUp::prepare(self.ctx(), account, self.kernel.passwords()).await
    }

    pub(crate) async fn begin_sign_up(&self, prepared: &SignUp) -> Result<Box<dyn Tx>, StoreError> {
        self.store.begin(prepared.scope()).await
    }

    /// Begins a session, in place of `replaced` if given.
    async fn log_in(&self, verified: &VerifiedLogin, replaced: Option<&Token>) -> Result<Token, Error> {
        let mut tx = self.store.begin(verified.scope()).await?;
        let begun = self.kernel.begin_session(verified, &mut *tx, replaced).await?;
        tx.commit().await?;
        Ok(begun.token)
    }

    /// A new session for `person` in place of the one they have; returns that one, which is void now.
    pub(crate) async fn log_in_again(&self, person: usize) -> Result<Token, Error> {
        let person = &self.people[person];
        let old = person.token.lock().unwrap().clone();
        let new = self.log_in(&person.verified, Some(&old)).await?;
        *person.token.lock().unwrap() = new;
        Ok(old)
    }

    pub(crate) async fn receive(&self, event: &ProviderEvent) -> Result<(), Error> {
        self.processors[0].receive(&self.ctx(), event).await
    }

    pub(crate) fn session_of(&self, person: usize) -> Credential {
        Credential::Session(self.people[person].token.lock().unwrap().clone())
    }

    pub(crate) async fn session(&self, person: usize) -> Result<Session, Error> {
        let token = self.people[person].token.lock().unwrap().clone();
        let credential = Credential::Session(token);
        let caller = self.kernel.authenticate(&Call::new(self.ctx()), &credential, None, Keep::ForTransaction).await?;
        Ok(caller.ok_or_else(nobody)?.person()?.clone())
    }

    pub(crate) async fn grant(
        &self,
        credential: &Credential,
        workspace: WorkspaceId,
        key: Option<IdempotencyKey>,
        keep: Keep,
    ) -> Result<Arc<Grant>, Error> {
        let (call, asked) = (Call::new(self.ctx()), WorkspaceRef::Id(workspace));
        let caller = self.kernel.authenticate(&call, credential, Some(&asked), keep).await?.ok_or_else(nobody)?;
        if let Some(key) = key {
            call.set_idempotency(key);
        }
        Ok(caller.member().map_err(|_| nobody())?.clone())
    }

    pub(crate) async fn begin(&self, grant: &Grant) -> Result<PgTx, StoreError> {
        self.store.begin_tenant(grant).await
    }

    pub(crate) async fn begin_invited(&self, person: usize, token: &Token) -> Result<(Invited, Box<dyn Tx>), Error> {
        let session = self.session(person).await?;
        let invited = Invited::with(&self.store, &session, token).await?;
        let tx = self.store.begin(invited.scope()).await?;
        Ok((invited, tx))
    }

    /// Creates the workspace of this number, with its members, an item and a deleted one, a key, and invites.
    pub(crate) async fn create_workspace(&self, number: usize) -> Result<(WorkspaceId, Key, Vec<history::Invited>)> {
        let ([(founder, _), others @ ..], at) = (MEMBERS[number], self.now());
        let session = self.session(founder).await?;
        let founding = WorkspaceCreation::by(&session);
        let mut tx = self.store.begin(founding.scope()).await?;
        let made = workspaces::create(&founding, &mut *tx, "Histories".parse()?, None).await?;
        tx.commit().await?;
        let (workspace, by) = (made.id, self.people[founder].user);
        let mut tx = self.system.begin_system("history").await?;
        for (person, role) in others {
            let user = self.people[person].user;
            tx.members().insert(&NewMembership { workspace, user, role, at }).await?;
        }
        let mut invites = Vec::new();
        for (whom, role) in INVITED[number] {
            let (id, token, email) = (InviteId::generate(at), Token::generate("inv_"), &self.people[whom].email);
            let expires_at = at + TimeDelta::days(7);
            tx.invites()
                .put(&NewInvite { id, workspace, email, role, token: token.hash(), by, at, expires_at })
                .await?;
            invites.push(history::Invited { whom, id, role: role.to_owned(), token });
        }
        let (id, token) = (ApiKeyId::generate(at), Token::generate_hex("sk_"));
        let scopes = ["item.read", "item.write", "workspace.update", "api_key.delete"].map(str::to_owned).into();
        let (name, prefix) = ("Before".to_owned(), "sk_".to_owned());
        // Its use needs no recording: that is no part of a history.
        let last_used_at = Some(at);
        let key = ApiKey { id, name, prefix, scopes, created_by: by, created_at: at, expires_at: None, last_used_at };
        tx.api_keys().insert(workspace, &key, &token.hash()).await?;
        let items = "INSERT INTO app.items (workspace_id, id, actor_id, standing, deleted_at)
            VALUES ($1, $2, $3, 'owner', NULL), ($1, $3, $3, 'owner', now())";
        sqlx::query(items).bind(workspace.uuid()).bind(id.uuid()).bind(by.uuid()).execute(tx.conn()).await?;
        tx.commit().await?;
        Ok((workspace, Key { workspace, id, token }, invites))
    }
}

pub(crate) fn nobody() -> Refusal {
    Refusal::new(&codes::UNAUTHENTICATED, "not let in")
}

/// Small, so that callers wait for connections too; patient, so that a loaded machine is no failure.
fn pool() -> PgOptions {
    PgOptions::app().max_connections(8).share(6).acquire_timeout(std::time::Duration::from_secs(30))
}

fn kernel(store: &PgStore, system: &PgSystem, ahead: TimeDelta) -> Result<Kernel> {
    Ok(Kernel::builder(ProductConfig::parse(CONFIG)?)
        .keyring(Keyring::ephemeral())
        .permissions(PERMISSIONS)
        .store(store.clone())
        .system(system.clone())
        .billing(Payments)
        .clock(Arc::new(Ahead(ahead)))
        .build()?)
}

fn kernel_at(kernel: &Kernel, store: &PgStore, system: &PgSystem, minutes: i64) -> Result<Kernel> {
    if minutes == 0 { Ok(kernel.clone()) } else { self::kernel(store, system, TimeDelta::minutes(minutes)) }
}

struct Ahead(TimeDelta);

impl Clock for Ahead {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + self.0
    }
}
