//! Tests of a product's own table.

use own_tables::{MIGRATIONS, Notebook, PERMISSIONS, WriteNote, list, write};
use saas_kernel::{BoxError, Error, StoreError};
use saas_kernel_testing::{Setup, TestKernel, assert_tenant_isolation};

const CONFIG: &str = "
brand: { name: Notebook }
plans: [{ key: free, name: Free, limits: { notes: 3 } }]
roles: [{ name: owner, permissions: ['*'] }, { name: reader, permissions: [note.read] }]";

async fn start() -> Result<TestKernel, BoxError> {
    let setup = Setup::new(CONFIG).migrations(&MIGRATIONS).permissions(PERMISSIONS).hooks(Notebook);
    TestKernel::start(setup).await
}

/// Tests every table that has a `workspace_id`: the kernel's and the product's.
#[tokio::test]
async fn no_workspace_reaches_anothers_notes() -> Result<(), BoxError> {
    assert_tenant_isolation(&start().await?.db).await?;
    Ok(())
}

#[tokio::test]
async fn the_first_note_comes_with_the_sign_up_and_the_limit_holds() -> Result<(), BoxError> {
    let test = start().await?;
    let ada = test.member("Ada").await?;
    for text in ["Second", "Third"] {
        let mut tx = ada.tx().await?;
        write(&ada.can::<WriteNote>().await?, &mut tx, text).await?;
        tx.commit().await?;
    }
    let refused = write(&ada.can().await?, &mut ada.tx().await?, "Fourth").await;
    assert!(matches!(&refused, Err(Error::Store(StoreError::Limit(key))) if key == "notes"), "{refused:?}");

    let grace = test.join(&ada, "Grace", "reader").await?;
    assert_eq!(list(&grace.can().await?, &mut grace.tx().await?).await?, ["Third", "Second", "Welcome"]);
    assert_eq!(grace.can::<WriteNote>().await.unwrap_err().code(), Some("forbidden"));
    Ok(())
}
