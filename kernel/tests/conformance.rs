//! The public contracts, on the in-process adapters.

use saas_kernel::conformance::{self, Backend, Fresh, LIMIT, SUITES};
use saas_kernel::memory::rate_limit::MemoryRateLimiter;
use saas_kernel::memory::{MemoryStore, MemorySystem, MemoryTx};
use saas_kernel::{BoxError, StoreError, Tx};

struct Memory;

#[async_trait::async_trait(?Send)]
impl Backend for Memory {
    type Store = MemoryStore;
    type System = MemorySystem;

    async fn fresh(&self) -> Result<Fresh<MemoryStore, MemorySystem>, BoxError> {
        let store = MemoryStore::default();
        Ok(Fresh { system: store.system(), store, keep: Box::new(()) })
    }

    async fn insert_row(&self, tx: &mut dyn Tx) -> Result<(), StoreError> {
        let workspace = conformance::workspace_of(tx)?;
        MemoryTx::of(tx)?.count_row(workspace, LIMIT.0)
    }

    async fn delete_row(&self, tx: &mut dyn Tx) -> Result<(), StoreError> {
        let workspace = conformance::workspace_of(tx)?;
        MemoryTx::of(tx)?.uncount_row(workspace, LIMIT.0)
    }
}

saas_kernel::conformance_tests!(Memory);

#[tokio::test]
async fn all_of_them_in_one_call() -> conformance::Outcome {
    conformance::all(&Memory).await
}

#[tokio::test]
async fn rate_limiter() -> conformance::Outcome {
    conformance::rate_limiter(&MemoryRateLimiter::default()).await
}

/// A repository that is added to `Tx` without a suite of its name fails here.
#[test]
fn every_accessor_of_a_transaction_has_a_suite() {
    let source = include_str!("../src/store.rs");
    let of_tx = source.split("pub trait Tx:").nth(1).and_then(|rest| rest.split("\n}\n").next()).unwrap();
    let accessors: Vec<&str> = of_tx
        .lines()
        .filter(|line| line.contains("(&mut self) -> &mut dyn "))
        .map(|line| line.trim().trim_start_matches("fn ").split('(').next().unwrap())
        .collect();
    assert!(accessors.len() >= 9 && accessors.contains(&"users"), "{accessors:?}");
    for accessor in accessors {
        assert!(SUITES.contains(&accessor), "kernel/src/conformance.rs declares no suite `{accessor}`");
    }
}
