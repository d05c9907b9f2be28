//! Tests of a product's own table.

use own_tables::{MIGRATIONS, Notebook, PERMISSIONS, ReadNote, WriteNote, list, write};
use saas_kernel::Call;
use saas_kernel::identity::authenticate::Keep;
use saas_kernel::identity::credential::Credential;
use saas_kernel::identity::lookups::WorkspaceRef;
use saas_kernel::identity::sign_up::{NewAccount, SignUp};
use saas_kernel::{BoxError, Ctx, Kernel, Keyring, ProductConfig, Proof, Store, StoreError};
use saas_kernel_postgres::testing::{TestDb, assert_tenant_isolation};
use saas_kernel_postgres::{CatalogOutcome, Migrations};

const CONFIG: &str = "
brand: { name: Notebook }
plans: [{ key: free, name: Free, limits: { notes: 3 } }]
roles: [{ name: owner, permissions: [\"*\"] }]";

/// Tests every table that has a `workspace_id`: the kernel's and the product's.
#[tokio::test]
async fn no_workspace_reaches_anothers_notes() -> Result<(), BoxError> {
    let db = TestDb::new(&Migrations::kernel().product(&MIGRATIONS)).await?;
    assert_tenant_isolation(&db).await?;
    Ok(())
}

#[tokio::test]
async fn the_first_note_comes_with_the_sign_up_and_the_limit_holds() -> Result<(), BoxError> {
    let db = TestDb::new(&Migrations::kernel().product(&MIGRATIONS)).await?;
    let (store, config) = (db.store().await?, ProductConfig::parse(CONFIG)?);
    let kernel = Kernel::builder(config)
        .store(store.clone())
        .keyring(Keyring::ephemeral())
        .permissions(PERMISSIONS)
        .hooks(Notebook)
        .build()?;
    assert_eq!(db.system().await?.sync_catalog(kernel.catalog()).await?, CatalogOutcome::Applied { number: 1 });

    let ctx = || Ctx::at(kernel.now());
    let account = NewAccount::parse("ada@example.com", "correct horse battery", "Ada")?;
    let prepared = SignUp::prepare(ctx(), account, kernel.passwords()).await?;
    let mut tx = store.begin(prepared.scope()).await?;
    let workspace = kernel.sign_up(&prepared, &mut *tx).await?.ok_or("a free address")?.workspace.id;
    tx.commit().await?;
    let password = "correct horse battery".parse()?;
    let verified = kernel.verify_login(ctx(), &"ada@example.com".parse()?, password).await?;
    let mut tx = store.begin(verified.scope()).await?;
    let token = kernel.begin_session(&verified, &mut *tx, None).await?.token;
    tx.commit().await?;
    let asked = WorkspaceRef::Id(workspace);
    let caller = kernel
        .authenticate(&Call::new(ctx()), &Credential::Session(token), Some(&asked), Keep::No)
        .await?
        .ok_or("a session")?;
    let grant = caller.member()?.clone();

    let (read, may) = (grant.allow::<ReadNote>()?, grant.allow::<WriteNote>()?);
    for text in ["Second", "Third"] {
        let mut tx = store.begin_tenant(&grant).await?;
        write(&may, &mut tx, text).await?;
        tx.commit().await?;
    }
    let refused = write(&may, &mut store.begin_tenant(&grant).await?, "Fourth").await;
    assert!(
        matches!(&refused, Err(saas_kernel::Error::Store(StoreError::Limit(key))) if key == "notes"),
        "{refused:?}"
    );
    assert_eq!(list(&read, &mut store.read(&grant).await?).await?, ["Third", "Second", "Welcome"]);
    Ok(())
}
