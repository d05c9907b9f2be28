//! What each repository promises, on real Postgres: finders with their "another workspace sees nothing" twin, conflicts, order,
//! rollback, futures dropped at every await, and races with exactly one winner.
//!
//! Proofs are made as everywhere: people sign up, log in and are authenticated by a kernel. There is no back door.
//!
//! After which refusal a transaction goes on: `false` from `Users::insert` and `Workspaces::claim_slug`, `None`, every `Reserved`,
//! and the errors `Scope` and `AccessChanged` leave it usable. After any other error it is over: every further call fails and
//! nothing of it is kept.

mod api_keys;
mod audit_log;
mod cancellation;
mod catalogs;
mod idempotency;
mod inbox;
mod invites;
mod limits;
mod lookups;
mod members;
mod races;
mod reads;
mod record_order;
mod records;
mod sessions;
mod standing;
mod standing_races;
mod subscriptions;
mod transactions;
mod users;
mod workspaces;
mod world;

use saas_kernel::BoxError;
use saas_kernel::billing::limits::Limit;

type Outcome = Result<(), BoxError>;

/// What rows of the product's table count under. The free plan allows 3, the paid plan any number.
const LIMIT: Limit = Limit("projects");

/// One test for each suite, so that a failure names itself.
macro_rules! suites {
    ($($name:ident = $module:ident::$suite:ident;)*) => {
        const SUITES: &[&str] = &[$(stringify!($name)),*];

        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() -> Outcome {
            crate::$module::$suite().await
        })*
    };
}

mod suite {
    use super::*;

    suites! {
        users = users::suite;
        sessions = sessions::suite;
        lookups = lookups::suite;
        api_keys = api_keys::suite;
        workspaces = workspaces::suite;
        invites = invites::suite;
        members = members::suite;
        catalogs = catalogs::suite;
        limits = limits::suite;
        subscriptions = subscriptions::suite;
        inbox = inbox::suite;
        audit_log = audit_log::suite;
        records = records::suite;
        record_order = record_order::suite;
        record_origins = record_order::origins;
        idempotency = idempotency::suite;
        transactions = transactions::transactions;
        proofs = transactions::proofs;
        reads = reads::suite;
        standing = standing::suite;
        standing_races = standing_races::suite;
        cancellation = cancellation::suite;
        races = races::suite;
    }

    #[test]
    fn every_repository_has_a_suite() {
        for repository in saas_kernel::store::repositories() {
            assert!(SUITES.contains(&repository), "there is no suite `{repository}` here");
        }
    }
}
