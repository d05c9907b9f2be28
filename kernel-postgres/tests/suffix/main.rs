//! Three products in one database of one cluster: two with a suffix, and one without.

mod statements;

use saas_kernel::Call;
use saas_kernel::audit::AuditFilter;
use saas_kernel::identity::authenticate::Keep;
use saas_kernel::identity::credential::Credential;
use saas_kernel::identity::lookups::WorkspaceRef;
use saas_kernel::identity::sign_up::{NewAccount, SignUp};
use saas_kernel::page::PageRequest;
use saas_kernel::tenancy::workspaces::{Rename, Workspaces as _};
use saas_kernel::{BoxError, Ctx, Kernel, Keyring, ProductConfig, Proof, Store};
use saas_kernel_postgres::doctor::Doctor;
use saas_kernel_postgres::testing::{LocalPostgres, LocalPostgresOptions, TestDb, assert_tenant_isolation};
use saas_kernel_postgres::{
    ConnectError, DropReport, Migrations, PartitionReport, PgOptions, PgStore, PgSystem, Retention, Suffix,
    create_roles, create_roles_with,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

static ACME: sqlx::migrate::Migrator = sqlx::migrate!("tests/suffix/acme");
static BETA: sqlx::migrate::Migrator = sqlx::migrate!("tests/suffix/beta");

const CONFIG: &str = "
brand: { name: Suffix }
plans: [{ key: free, name: Free }]
roles: [{ name: owner, permissions: [\"*\"] }]";
const PASSWORD: &str = "correct horse battery";
const EMAIL: &str = "ada@example.com";

/// A product: its suffix, and the schema of its tables.
struct Product {
    suffix: Option<Suffix>,
    own_schema: Option<&'static str>,
    migrations: Migrations,
}

impl Product {
    fn new(suffix: &'static str, migrations: Migrations) -> Result<Self, BoxError> {
        let checked = Suffix::new(suffix)?;
        Ok(Self { suffix: Some(checked), own_schema: Some(suffix), migrations: migrations.suffix(checked) })
    }

    fn name(&self, plain: &str) -> String {
        self.suffix.map_or_else(|| plain.to_owned(), |suffix| format!("{plain}_{suffix}"))
    }

    fn doctor(&self) -> Doctor {
        self.suffix.map_or_else(Doctor::new, |suffix| Doctor::new().suffix(suffix))
    }

    async fn migrate(&self, url: &str) -> Result<(), BoxError> {
        match self.suffix {
            Some(suffix) => create_roles_with(url, suffix).await?,
            None => create_roles(url).await?,
        }
        let pending = self.migrations.pending(url).await?;
        assert_eq!(self.migrations.run(url).await?, pending.len());
        assert_eq!((self.migrations.run(url).await?, self.migrations.pending(url).await?.len()), (0, 0), "once only");
        Ok(())
    }

    /// A person signs up, logs in, is let in, and writes.
    async fn use_it(&self, postgres: &LocalPostgres) -> Result<(), BoxError> {
        let (mut app, mut system) = (PgOptions::app(), PgOptions::system());
        (app.suffix, system.suffix) = (self.suffix, self.suffix);
        let store = PgStore::connect_with(&postgres.url(&self.name("kernel_app"), "postgres"), app).await?;
        let system = PgSystem::connect_with(&postgres.url(&self.name("kernel_system"), "postgres"), system).await?;
        let kernel = Kernel::builder(ProductConfig::parse(CONFIG)?).store(store.clone()).keyring(Keyring::ephemeral());
        let kernel = kernel.build()?;
        system.sync_catalog(kernel.catalog()).await?;
        assert_eq!(system.ensure_partitions().await?, PartitionReport::default(), "migrating made them");
        assert_eq!(system.drop_expired_partitions(&Retention::default()).await?, DropReport::default());
        store.ready().await?;

        let ctx = || Ctx::at(kernel.now());
        let account = NewAccount::parse(EMAIL, PASSWORD, "Ada")?;
        let prepared = SignUp::prepare(ctx(), account, kernel.passwords()).await?;
        let mut tx = store.begin(prepared.scope()).await?;
        let signed_up = kernel.sign_up(&prepared, &mut *tx).await?;
        let workspace = signed_up.ok_or("the address is free in each product")?.workspace.id;
        tx.commit().await?;
        let verified = kernel.verify_login(ctx(), &EMAIL.parse()?, PASSWORD.parse()?).await?;
        let mut tx = store.begin(verified.scope()).await?;
        let token = kernel.begin_session(&verified, &mut *tx, None).await?.token;
        tx.commit().await?;
        let (call, asked) = (Call::new(ctx()), WorkspaceRef::Id(workspace));
        let caller = kernel.authenticate(&call, &Credential::Session(token), Some(&asked), Keep::No).await?;
        let grant = caller.ok_or("a session")?.member()?.clone();

        let mut tx = store.begin_tenant(&grant).await?;
        let rename = Rename { name: Some("Renamed".parse()?), slug: None };
        assert!(tx.rename(workspace, &rename, kernel.now()).await?.is_some());
        if let Some(schema) = self.own_schema {
            let (schema_of_kernel, id) = (self.name("kernel"), "gen_random_uuid()");
            let insert =
                format!("INSERT INTO {schema}.notes (workspace_id, id) VALUES ({schema_of_kernel}.ws(), {id})");
            sqlx::query(AssertSqlSafe(insert)).execute(tx.conn()).await?;
        }
        tx.commit().await?; // it checks the caller's standing again
        let mut tx = store.begin(grant.scope()).await?;
        let entries = tx.audit_log().list(workspace.into(), &AuditFilter::default(), &PageRequest::first(9)).await?;
        assert!(!entries.items.is_empty(), "the sign-up is in the log");
        Ok(())
    }

    /// The tables that only this product may read.
    fn tables(&self) -> Vec<String> {
        let kernels =
            ["users", "workspaces", "audit_log", "migrations"].map(|table| format!("{}.{table}", self.name("kernel")));
        kernels.into_iter().chain(self.own_schema.map(|schema| format!("{schema}.notes"))).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn products_share_a_database_and_reach_nothing_of_each_other() -> Result<(), BoxError> {
    let postgres = LocalPostgres::start(LocalPostgresOptions::default()).await?;
    let url = postgres.superuser_url("postgres");
    let products = [
        Product { suffix: None, own_schema: None, migrations: Migrations::kernel() },
        Product::new("acme", Migrations::kernel().product(&ACME))?,
        Product::new("beta", Migrations::kernel().product(&BETA))?,
    ];
    for product in &products {
        product.migrate(&url).await?;
    }
    for product in &products {
        product.use_it(&postgres).await?;
        assert_eq!(product.doctor().examine_url(&url).await?, []);
    }
    let users = "SELECT (SELECT count(*) FROM kernel.users), (SELECT count(*) FROM kernel_acme.users), (SELECT count(*) FROM kernel_beta.users)";
    let mut admin = PgConnection::connect(&url).await?;
    assert_eq!(sqlx::query_as::<_, (i64, i64, i64)>(users).fetch_one(&mut admin).await?, (1, 1, 1));
    for (at, product) in products.iter().enumerate() {
        for role in ["kernel_app", "kernel_system"].map(|role| product.name(role)) {
            let mut login = PgConnection::connect(&postgres.url(&role, "postgres")).await?;
            for (other_at, other) in products.iter().enumerate() {
                for table in other.tables() {
                    let read = sqlx::query(AssertSqlSafe(format!("SELECT FROM {table}"))).execute(&mut login).await;
                    let code = read.err().and_then(|error| Some(error.as_database_error()?.code()?.into_owned()));
                    let expected = if other_at == at { None } else { Some("42501".to_owned()) };
                    // Requests read some columns of people only, so `SELECT FROM` asks for the right to any column.
                    assert_eq!(code, expected, "{role} reads {table}");
                }
            }
            login.close().await?;
        }
    }
    a_right_on_another_product_is_found(&mut admin, &products).await?;
    admin.close().await?;
    the_role_of_another_product_is_refused(&postgres).await?;
    postgres.stop().await?;
    Ok(())
}

async fn a_right_on_another_product_is_found(admin: &mut PgConnection, products: &[Product]) -> Result<(), BoxError> {
    let plant = "GRANT USAGE ON SCHEMA kernel_beta TO kernel_app_acme; GRANT SELECT (email) ON kernel.users TO kernel_system_acme;
        GRANT kernel_app TO kernel_app_acme";
    let mut tx = admin.begin().await?;
    sqlx::raw_sql(plant).execute(&mut *tx).await?;
    let mut found = Vec::new();
    for product in products {
        let findings = product.doctor().examine(&mut tx).await?;
        found.push(
            findings.into_iter().map(|finding| format!("{} {}", finding.check, finding.object)).collect::<Vec<_>>(),
        );
    }
    tx.rollback().await?;
    let [plain, acme, beta] = &*found else { return Err("three products".into()) };
    assert!(plain.is_empty() && beta.is_empty(), "{plain:?} {beta:?}");
    for expected in
        ["role_member role kernel_app_acme", "other_product SCHEMA kernel_beta", "other_product TABLE kernel.users"]
    {
        assert!(acme.iter().any(|finding| finding == expected), "{expected}: {acme:#?}");
    }
    Ok(())
}

async fn the_role_of_another_product_is_refused(postgres: &LocalPostgres) -> Result<(), BoxError> {
    let (plain, acme) = (postgres.url("kernel_app", "postgres"), postgres.url("kernel_app_acme", "postgres"));
    let options = PgOptions::app().suffix(Suffix::new("acme")?);
    for (url, options, expected) in [(plain, options, "kernel_app_acme"), (acme, PgOptions::app(), "kernel_app")] {
        let Err(error) = PgStore::connect_with(&url, options).await else { return Err("it was let in".into()) };
        assert!(matches!(&error, ConnectError::Unsafe { expected: role, .. } if role == expected), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn isolation_is_proven_with_a_suffix() -> Result<(), BoxError> {
    let db = TestDb::new(&Migrations::kernel().product(&ACME).suffix(Suffix::new("acme")?)).await?;
    let report = assert_tenant_isolation(&db).await?;
    assert!(report.tables.iter().any(|table| table == "acme.notes"), "{report:?}");
    assert!(report.tables.iter().any(|table| table == "kernel_acme.slugs"), "{report:?}");
    Ok(())
}
