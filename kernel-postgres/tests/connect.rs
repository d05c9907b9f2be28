//! Which logins are let in, and what the others are told.

use saas_kernel_postgres::testing::TestDb;
use saas_kernel_postgres::{ConnectError, Migrations, PartitionReport, PgStore, PgSystem};

type Result = std::result::Result<(), Box<dyn std::error::Error>>;

#[expect(clippy::expect_used, reason = "a helper that fails fails its test")]
async fn db() -> TestDb {
    TestDb::new(&Migrations::kernel()).await.expect("a database")
}

#[tokio::test]
async fn the_two_logins_are_let_in() -> Result {
    let db = db().await;
    db.store().await?;
    let system = db.system().await?;
    assert_eq!(system.ensure_partitions().await?, PartitionReport::default(), "migrating made them");
    Ok(())
}

#[tokio::test]
async fn an_administrator_is_refused() {
    let db = db().await;
    let error = PgStore::connect(&db.admin_url()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unsafe { .. }));
    let text = error.to_string();
    assert!(text.contains("superuser") && text.contains("`kernel_app`"), "{text}");
}

#[tokio::test]
async fn connecting_as_a_database_role_that_can_bypass_row_level_security_is_refused() -> Result {
    let db = db().await;
    let mut admin = db.admin().await?;
    for (setup, says) in [
        ("CREATE ROLE walk_bypass LOGIN BYPASSRLS", "BYPASSRLS"),
        ("CREATE ROLE walk_roles LOGIN CREATEROLE", "CREATEROLE"),
        ("CREATE ROLE walk_member LOGIN; GRANT kernel_owner TO walk_member", "member of kernel_owner"),
        (
            "CREATE ROLE walk_owner LOGIN; GRANT CREATE ON SCHEMA public TO walk_owner; SET ROLE walk_owner; CREATE TABLE public.mine (); RESET ROLE",
            "owns public.mine",
        ),
    ] {
        sqlx::raw_sql(setup).execute(&mut admin).await?;
        let login = setup.split_whitespace().nth(2).unwrap().trim_end_matches(';');
        let url = db.app_url().replace("kernel_app", login);
        for error in [PgStore::connect(&url).await.unwrap_err(), PgSystem::connect(&url).await.unwrap_err()] {
            assert!(error.to_string().contains(says), "{login}: {error}");
        }
    }
    sqlx::raw_sql("DROP OWNED BY walk_bypass, walk_roles, walk_member, walk_owner; DROP ROLE walk_bypass, walk_roles, walk_member, walk_owner")
        .execute(&mut admin)
        .await?;
    Ok(())
}

#[tokio::test]
async fn swapped_urls_and_borrowed_roles_are_refused() {
    let db = db().await;
    let swapped = PgStore::connect(&db.system_url()).await.unwrap_err().to_string();
    assert!(swapped.contains("are the two URLs swapped?"), "{swapped}");
    assert!(PgSystem::connect(&db.app_url()).await.is_err());
    let borrowed = format!("{}?options=-c%20role%3Dkernel_app", db.admin_url());
    let borrowed = PgStore::connect(&borrowed).await.unwrap_err().to_string();
    assert!(borrowed.contains("superuser") && borrowed.contains("acts as kernel_app"), "{borrowed}");
}

#[tokio::test]
async fn a_missing_schema_names_the_command() -> Result {
    let db = db().await;
    sqlx::raw_sql("DROP SCHEMA kernel CASCADE").execute(&mut db.admin().await?).await?;
    let text = PgStore::connect(&db.app_url()).await.unwrap_err().to_string();
    assert!(text.contains("version 0") && text.contains("run `migrate`"), "{text}");
    Ok(())
}

#[tokio::test]
async fn two_migrators_at_once_one_works_one_waits() -> Result {
    let db = db().await;
    let mut admin = db.admin().await?;
    sqlx::raw_sql("DROP SCHEMA kernel CASCADE").execute(&mut admin).await?;
    // A copied database does not bring its template's grants along.
    sqlx::raw_sql(include_str!("../sql/roles.sql")).execute(&mut admin).await?;
    let (migrations, url) = (Migrations::kernel(), db.admin_url());
    let pending = migrations.pending(&url).await?;
    assert_eq!(pending[0], "0001 access");
    let (a, b) = tokio::join!(migrations.run(&url), migrations.run(&url));
    let (a, b) = (a?, b?);
    assert_eq!(a.max(b), pending.len());
    assert!(migrations.pending(&url).await?.is_empty());
    db.store().await?;
    Ok(())
}

/// As the README sets production up: migrations run as an ordinary database role that may act as the owner.
#[tokio::test]
async fn an_ordinary_member_of_the_owner_migrates() -> Result {
    let db = db().await;
    let mut admin = db.admin().await?;
    sqlx::raw_sql("DROP SCHEMA kernel CASCADE").execute(&mut admin).await?;
    sqlx::raw_sql(include_str!("../sql/roles.sql")).execute(&mut admin).await?;
    sqlx::raw_sql("CREATE ROLE plain_migrator LOGIN IN ROLE kernel_owner").execute(&mut admin).await?;
    let url = db.app_url().replace("kernel_app", "plain_migrator");
    assert!(Migrations::kernel().run(&url).await? > 0);
    db.store().await?;
    let refused = Migrations::kernel().run(&db.app_url()).await.unwrap_err().to_string();
    assert!(refused.contains("cannot act as kernel_owner") && refused.contains("GRANT"), "{refused}");
    let owner: String =
        sqlx::query_scalar("SELECT tableowner FROM pg_tables WHERE tablename = 'users' AND schemaname = 'kernel'")
            .fetch_one(&mut admin)
            .await?;
    assert_eq!(owner, "kernel_owner");
    sqlx::raw_sql("DROP ROLE plain_migrator").execute(&mut admin).await?;
    Ok(())
}

#[tokio::test]
async fn nobody_answering_is_an_error_in_seconds() {
    let before = std::time::Instant::now();
    let error = PgStore::connect("postgres://kernel_app@127.0.0.1:1/x").await.unwrap_err();
    assert!(matches!(error, ConnectError::Connect { .. }), "{error}");
    assert!(before.elapsed().as_secs() < 10);
    assert!(matches!(PgStore::connect("not a url").await.unwrap_err(), ConnectError::Url(_)));
}
