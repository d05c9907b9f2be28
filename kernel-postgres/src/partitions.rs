//! Adds the monthly partitions of the records, and drops those that were kept long enough, without blocking readers and writers.

use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};
use saas_kernel::StoreError;

use crate::error::{PgResult, meaning};
use crate::system::PgSystem;

/// Number of attempts to add or drop a partition while others use its table. An attempt waits at most 100 ms
/// (`migrations/0006_partitions.sql`).
const ATTEMPTS: u32 = 5;

/// Pause after the first attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// One month's partition of one table.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
#[non_exhaustive]
pub struct Partition {
    /// Name of the partitioned table in schema `kernel`, such as `outbox`; for the audit log with the class of retention, such as
    /// `audit_log_security`.
    pub parent: String,
    /// First day of the month, in UTC.
    pub month: NaiveDate,
}

/// A partition that could not be added or dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedPartition {
    /// The partition.
    pub partition: Partition,
    /// Why it could not be added or dropped, and what to do.
    pub reason: String,
}

/// Result of [`PgSystem::ensure_partitions`](crate::PgSystem::ensure_partitions).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionReport {
    /// Partitions that this call added.
    pub added: Vec<Partition>,
    /// Partitions that are still missing; each was logged as an error.
    pub missing: Vec<FailedPartition>,
}

/// How long records are kept, counted in whole days from the end of their month. The database refuses less than the minimum that is
/// given for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Audit entries of the class `standard`, with their personal data; at least 90 days.
    pub audit_standard: TimeDelta,
    /// Audit entries of the class `security`, with their personal data; at least 365 days.
    pub audit_security: TimeDelta,
    /// Events in the outbox; at least 30 days.
    pub outbox: TimeDelta,
    /// Events that providers sent; at least 60 days, in which a redelivery is recognised.
    pub webhook_inbox: TimeDelta,
}

impl Default for Retention {
    /// A year of audit entries, seven years of those about security, and 90 days of events.
    fn default() -> Self {
        Self {
            audit_standard: TimeDelta::days(365),
            audit_security: TimeDelta::days(7 * 365),
            outbox: TimeDelta::days(90),
            webhook_inbox: TimeDelta::days(90),
        }
    }
}

impl Retention {
    /// The partitioned tables and the days for which each is kept. The personal data of audit entries comes before the entries.
    fn days(&self) -> [(&'static str, i32); 6] {
        let days = |kept: TimeDelta| i32::try_from(kept.num_days()).unwrap_or(i32::MAX);
        let (standard, security) = (days(self.audit_standard), days(self.audit_security));
        [
            ("audit_personal_standard", standard),
            ("audit_log_standard", standard),
            ("audit_personal_security", security),
            ("audit_log_security", security),
            ("outbox", days(self.outbox)),
            ("webhook_inbox", days(self.webhook_inbox)),
        ]
    }
}

/// Result of [`PgSystem::drop_expired_partitions`](crate::PgSystem::drop_expired_partitions).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DropReport {
    /// Partitions that this call dropped.
    pub dropped: Vec<Partition>,
    /// Partitions that should have been dropped and are still there; each was logged as a warning.
    pub kept: Vec<FailedPartition>,
}

/// Result of the attempts to add or drop one partition.
enum Outcome {
    Done,
    /// Another copy of the app did it first.
    AlreadyDone,
    InUse,
    Failed(String),
}

/// See [`PgSystem::ensure_partitions`](crate::PgSystem::ensure_partitions).
pub(crate) async fn ensure(system: &PgSystem) -> Result<PartitionReport, StoreError> {
    let (mut report, mut in_use, mut failed) = (PartitionReport::default(), Vec::new(), Vec::new());
    for partition in missing(system).await? {
        if in_use.contains(&partition.parent) {
            continue; // its other months need the same lock
        }
        match attempt(system, &partition, None).await? {
            Outcome::Done => report.added.push(partition),
            Outcome::AlreadyDone => {}
            Outcome::InUse => in_use.push(partition.parent),
            Outcome::Failed(reason) => failed.push(FailedPartition { partition, reason }),
        }
    }
    if in_use.is_empty() && failed.is_empty() {
        return Ok(report);
    }
    // Checked again: another copy of the app may have added them in the meantime.
    for partition in missing(system).await? {
        let why = failed.iter().find(|failure| failure.partition == partition);
        let reason = why.map_or_else(|| in_use_reason(system, &partition), |failure| failure.reason.clone());
        tracing::error!(parent = partition.parent, month = %partition.month.format("%Y-%m"), reason, "a monthly partition is missing");
        report.missing.push(FailedPartition { partition, reason });
    }
    Ok(report)
}

async fn missing(system: &PgSystem) -> Result<Vec<Partition>, StoreError> {
    sqlx::query_as(system.sql("SELECT parent, month FROM kernel.missing_partitions()"))
        .fetch_all(system.pool())
        .await
        .store()
}

fn in_use_reason(system: &PgSystem, partition: &Partition) -> String {
    let reason =
        format!("kernel.{0} or kernel.{0}_default is in use by a long transaction; try again later", partition.parent);
    system.names().text(&reason).into_owned()
}

/// See [`PgSystem::drop_expired_partitions`](crate::PgSystem::drop_expired_partitions).
pub(crate) async fn drop_expired(system: &PgSystem, retention: &Retention) -> Result<DropReport, StoreError> {
    let mut expired = Vec::new();
    // Everything is asked first: a retention that is too short is an error before anything is dropped.
    for (parent, days) in retention.days() {
        let sql = "SELECT $1 AS parent, month FROM kernel.expired_partitions($1, $2)";
        let partitions: Vec<Partition> =
            sqlx::query_as(system.sql(sql)).bind(parent).bind(days).fetch_all(system.pool()).await.store()?;
        expired.extend(partitions.into_iter().map(|partition| (partition, days)));
    }
    let (mut report, mut in_use) = (DropReport::default(), Vec::new());
    for (partition, days) in expired {
        let outcome = if in_use.contains(&partition.parent) {
            Outcome::InUse // its other months need the same lock
        } else {
            attempt(system, &partition, Some(days)).await?
        };
        let reason = match outcome {
            Outcome::Done => {
                report.dropped.push(partition);
                continue;
            }
            Outcome::AlreadyDone => continue,
            Outcome::InUse => {
                in_use.push(partition.parent.clone());
                in_use_reason(system, &partition)
            }
            Outcome::Failed(reason) => reason,
        };
        tracing::warn!(parent = partition.parent, month = %partition.month.format("%Y-%m"), reason, "a partition is kept longer than it should be");
        report.kept.push(FailedPartition { partition, reason });
    }
    Ok(report)
}

/// Adds the partition, or drops it if `keep` holds the days for which its table's records are kept; a few times while it is in use.
async fn attempt(system: &PgSystem, partition: &Partition, keep: Option<i32>) -> Result<Outcome, StoreError> {
    let mut pause = FIRST_PAUSE;
    for attempt in 1..=ATTEMPTS {
        let call = match keep {
            None => sqlx::query_scalar(system.sql("SELECT kernel.add_partition($1, $2)"))
                .bind(&partition.parent)
                .bind(partition.month),
            Some(days) => sqlx::query_scalar(system.sql("SELECT kernel.drop_partition($1, $2, $3)"))
                .bind(&partition.parent)
                .bind(partition.month)
                .bind(days),
        };
        let error = match call.fetch_one(system.pool()).await {
            Ok(true) => return Ok(Outcome::Done),
            Ok(false) => return Ok(Outcome::AlreadyDone),
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
