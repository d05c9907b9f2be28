//! A kernel on a database of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use chrono::TimeDelta;
use saas_kernel::clock::TestClock;
use saas_kernel::identity::sign_up::{NewAccount, SignUp};
use saas_kernel::kernel::InviteRequest;
use saas_kernel::memory::mailer::MemoryMailer;
use saas_kernel::notify::mailer::Mail;
use saas_kernel::permissions::InviteMember;
use saas_kernel::secret::Token;
use saas_kernel::{BoxError, Ctx, Error, Kernel, Proof};
use saas_kernel_axum::NoContent;
use saas_kernel_postgres::testing::TestDb;
use saas_kernel_postgres::{PgStore, PgSystem, sqlx};

use crate::http::HttpClient;
use crate::member::Member;
use crate::server::Server;
use crate::setup::Setup;

/// Password of every account that [`TestKernel`] creates.
pub const PASSWORD: &str = "correct horse battery";

/// A kernel on a database of its own, ready for the first sign-up. Cheap to clone; the database is dropped, and the server stopped,
/// with the last clone and the last [`Member`]. See the [crate](crate)'s example.
#[derive(Clone)]
pub struct TestKernel {
    /// The kernel.
    pub kernel: Kernel,
    /// The database as requests use it, for the product's own SQL.
    pub store: PgStore,
    /// The database as workers use it.
    pub system: PgSystem,
    /// The kernel's clock. Every call of a member is a millisecond later than the one before, so that what they make has an order.
    pub clock: Arc<TestClock>,
    mailer: MemoryMailer,
    server: Arc<Server>,
    /// The database, for assertions past row-level security. Dropped last.
    pub db: Arc<TestDb>,
}

impl TestKernel {
    /// Creates the database, builds the kernel and applies its plans. Nothing is served before somebody asks for it.
    ///
    /// # Errors
    /// All errors of the configuration, with their lines; the errors of Postgres, of the migrations and of the product's wiring.
    pub async fn start(mut setup: Setup) -> Result<Self, BoxError> {
        let db = setup.take_database().await?;
        let store = PgStore::connect_with(&db.app_url(), setup.pool).await?;
        let system = db.system().await?;
        let clock = Arc::new(std::mem::replace(&mut setup.clock, TestClock::running()));
        let mailer = setup.mailer.clone();
        let (kernel, app) = setup
            .build(store.clone(), |kernel| kernel.store(store.clone()).system(system.clone()).clock(clock.clone()))?;
        system.sync_catalog(kernel.catalog()).await?;
        let (server, db) = (Arc::new(Server::of(app)), Arc::new(db));
        Ok(Self { kernel, store, system, clock, mailer, server, db })
    }

    /// Signs `name` up, as the owner of a new workspace, and in: Ada's address is `ada@example.com`, her workspace `ada`.
    ///
    /// # Errors
    /// If there is a person of this name already; the errors of the database and of the product's hooks.
    pub async fn member(&self, name: &str) -> Result<Member, Error> {
        let address = address(name);
        let account = NewAccount::parse(&address, PASSWORD, name)?;
        // The flow behind `Kernel::register`, without the pause that hides from callers who has an account.
        let prepared = SignUp::prepare(self.ctx(), account, self.kernel.passwords()).await?;
        let mut tx = self.kernel.store().begin(prepared.scope()).await?;
        let signed_up = self.kernel.sign_up(&prepared, &mut *tx).await?.ok_or_else(|| {
            Error::broken(format!("{address} has an account already; give every person of a test another name"))
        })?;
        tx.commit().await?;
        let logged_in = self.kernel.log_in(self.ctx(), &address, PASSWORD, None).await?;
        Ok(Member::new(self.clone(), signed_up, logged_in.token))
    }

    /// Signs `name` up and in, and lets them join the workspace of `by`, who invites them, with this role. It is the workspace of the
    /// new member's calls.
    ///
    /// # Errors
    /// As [`TestKernel::member`]; the errors of inviting and accepting, such as `forbidden` and `limit_reached`.
    pub async fn join(&self, by: &Member, name: &str, role: &str) -> Result<Member, Error> {
        let joining = self.member(name).await?;
        let request = InviteRequest { email: joining.email.as_str(), role, public_url: "http://127.0.0.1" };
        self.kernel.invite(&by.can::<InviteMember>().await?, request, |_| NoContent).await?;
        let mail = self.mails().into_iter().find(|mail| *mail.to() == joining.email);
        let mail = mail.ok_or_else(|| Error::broken("the invite's mail went to another mailer than the test's"))?;
        let token = mail.text().split("?token=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let token = Token::presented(token.unwrap_or_default());
        self.kernel.accept_invite(&joining.session().await?, &token, |_, _| NoContent).await?;
        Ok(joining.in_workspace_of(by))
    }

    /// Context of a call, a millisecond after the one before.
    pub fn ctx(&self) -> Ctx {
        self.clock.advance(TimeDelta::milliseconds(1));
        Ctx::at(self.kernel.now())
    }

    /// The mails that were sent, newest first.
    pub fn mails(&self) -> Vec<Mail> {
        self.mailer.mails()
    }

    /// One number, seen past row-level security.
    ///
    /// # Errors
    /// The errors of Postgres.
    pub async fn count(&self, sql: &'static str) -> Result<i64, BoxError> {
        Ok(sqlx::query_scalar(sql).fetch_one(&mut self.db.admin().await?).await?)
    }

    /// The address at which the app is served, from the first question on.
    ///
    /// # Errors
    /// If it cannot be served.
    pub async fn address(&self) -> Result<SocketAddr, BoxError> {
        self.server.address().await
    }

    /// A client of the app without an account, which keeps the cookies that it is given.
    ///
    /// # Errors
    /// As [`TestKernel::address`].
    pub async fn http(&self) -> Result<HttpClient, BoxError> {
        Ok(HttpClient::new(format!("http://{}", self.address().await?)))
    }
}

fn address(name: &str) -> String {
    format!("{}@example.com", name.to_lowercase().replace(' ', "."))
}

impl std::fmt::Debug for TestKernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestKernel").field("kernel", &self.kernel).field("db", &self.db).finish_non_exhaustive()
    }
}
