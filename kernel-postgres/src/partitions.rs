//! Adds the monthly partitions of the append-only tables without blocking readers and writers.

use std::time::Duration;

use chrono::NaiveDate;
use saas_kernel::StoreError;
use sqlx::PgPool;

use crate::error::{PgResult, meaning};

/// Number of attempts to add a partition while others use its table. An attempt waits at most 100 ms
/// (`migrations/0006_partitions.sql`).
const ATTEMPTS: u32 = 5;

/// Pause after the first attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// One month's partition of one table.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
#[non_exhaustive]
pub struct Partition {
    /// Name of the partitioned table in schema `kernel`, such as `audit_log`.
    pub parent: String,
    /// First day of the month, in UTC.
    pub month: NaiveDate,
}

/// A partition that could not be added.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingPartition {
    /// The partition.
    pub partition: Partition,
    /// Why it could not be added, and what to do.
    pub reason: String,
}

/// Result of [`PgSystem::ensure_partitions`](crate::PgSystem::ensure_partitions).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionReport {
    /// Partitions that this call added.
    pub added: Vec<Partition>,
    /// Partitions that are still missing; each was logged as an error.
    pub missing: Vec<MissingPartition>,
}

/// Result of the attempts to add one partition.
enum Outcome {
    Added,
    /// Another copy of the app added it first.
    Exists,
    InUse,
    Failed(String),
}

/// See [`PgSystem::ensure_partitions`](crate::PgSystem::ensure_partitions).
pub(crate) async fn ensure(pool: &PgPool) -> Result<PartitionReport, StoreError> {
    let (mut report, mut in_use, mut failed) = (PartitionReport::default(), Vec::new(), Vec::new());
    for partition in missing(pool).await? {
        if in_use.contains(&partition.parent) {
            continue; // its other months need the same lock
        }
        match add(pool, &partition).await? {
            Outcome::Added => report.added.push(partition),
            Outcome::Exists => {}
            Outcome::InUse => in_use.push(partition.parent),
            Outcome::Failed(reason) => failed.push(MissingPartition { partition, reason }),
        }
    }
    if in_use.is_empty() && failed.is_empty() {
        return Ok(report);
    }
    // Checked again: another copy of the app may have added them in the meantime.
    for partition in missing(pool).await? {
        let why = failed.iter().find(|failure| failure.partition == partition);
        let in_use = || {
            format!(
                "kernel.{0} or kernel.{0}_default is in use by a long transaction; try again later",
                partition.parent
            )
        };
        let reason = why.map_or_else(in_use, |failure| failure.reason.clone());
        tracing::error!(parent = partition.parent, month = %partition.month.format("%Y-%m"), reason, "a monthly partition is missing");
        report.missing.push(MissingPartition { partition, reason });
    }
    Ok(report)
}

async fn missing(pool: &PgPool) -> Result<Vec<Partition>, StoreError> {
    sqlx::query_as("SELECT parent, month FROM kernel.missing_partitions()").fetch_all(pool).await.store()
}

async fn add(pool: &PgPool, partition: &Partition) -> Result<Outcome, StoreError> {
    let mut pause = FIRST_PAUSE;
    for attempt in 1..=ATTEMPTS {
        let added: Result<bool, sqlx::Error> = sqlx::query_scalar("SELECT kernel.add_partition($1, $2)")
            .bind(&partition.parent)
            .bind(partition.month)
            .fetch_one(pool)
            .await;
        let error = match added {
            Ok(true) => return Ok(Outcome::Added),
            Ok(false) => return Ok(Outcome::Exists),
            Err(error) => error,
        };
        let message = error.as_database_error().map(|error| error.message().to_owned());
        match meaning(error) {
            StoreError::Locked | StoreError::Serialization if attempt < ATTEMPTS => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            StoreError::Locked | StoreError::Serialization => {}
            error @ StoreError::Unavailable(_) => return Err(error),
            error => return Ok(Outcome::Failed(message.unwrap_or_else(|| error.to_string()))),
        }
    }
    Ok(Outcome::InUse)
}
