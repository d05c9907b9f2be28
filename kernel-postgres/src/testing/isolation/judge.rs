//! Decides whether an attempt succeeded.

/// Required outcome of an attempt.
#[derive(Clone, Debug)]
pub(super) enum Expect {
    /// The own row is visible, or nothing may be read at all. Otherwise the other attempts prove nothing.
    OwnRow,
    /// No row is visible.
    NoRow,
    /// The policies refuse a row of another workspace. A row that a trigger moves to the own workspace is fine; one that only
    /// a constraint refused passed the policies.
    Refusal,
    /// Refused, or no row is affected.
    NoChange,
    /// No conflict with one of these unique keys, which apply across workspaces.
    NoCollision(Vec<String>),
    /// The foreign key of this name refuses the reference.
    NoReference(String),
}

/// Outcome of an attempt.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Number of visible or affected rows, or the error of Postgres.
    pub(super) result: Result<i64, Refused>,
    /// Whether rows of other workspaces changed.
    pub(super) changed: bool,
}

#[derive(Debug)]
pub(super) struct Refused {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) constraint: String,
}

/// Judgement of an attempt.
#[derive(Debug)]
pub(super) enum Verdict {
    Held,
    GotThrough(String),
    /// It failed for another reason, before anything was proven.
    Unclear(String),
}

/// SQLSTATE of row-level security, of a missing grant and of an append-only trigger.
const REFUSED: &str = "42501";

pub(super) fn judge(expect: &Expect, outcome: &Outcome) -> Verdict {
    use Verdict::{GotThrough, Held, Unclear};
    if outcome.changed {
        return GotThrough("another workspace's rows changed".to_owned());
    }
    match (expect, &outcome.result) {
        (_, Err(refused)) if refused.code == REFUSED => Held,
        (Expect::OwnRow, Ok(0)) => {
            Unclear("the own row is not visible in its own scope, so nothing is proven".to_owned())
        }
        (Expect::OwnRow, Ok(_)) | (Expect::NoRow | Expect::NoChange, Ok(0)) => Held,
        (Expect::NoRow, Ok(rows)) => GotThrough(format!("{rows} rows of other workspaces were visible")),
        (Expect::NoChange, Ok(rows)) => GotThrough(format!("{rows} rows of other workspaces were affected")),
        (Expect::NoReference(_), Ok(0)) | (Expect::Refusal | Expect::NoCollision(_), Ok(_)) => Held,
        (Expect::NoReference(_), Ok(_)) => {
            GotThrough("the reference to another workspace's row was accepted".to_owned())
        }
        (Expect::NoCollision(keys), Err(refused)) if keys.contains(&refused.constraint) => {
            GotThrough(format!("{} reveals that another workspace has the value", refused.constraint))
        }
        (Expect::NoCollision(_), Err(_)) => Held,
        (Expect::NoReference(name), Err(refused)) if refused.code == "23503" && refused.constraint == *name => Held,
        (Expect::Refusal | Expect::NoChange, Err(refused)) if stopped_late(refused) => {
            GotThrough(format!("the policies allowed it, only this refused it: {}", refused.message))
        }
        (
            Expect::OwnRow | Expect::NoRow | Expect::Refusal | Expect::NoChange | Expect::NoReference(_),
            Err(refused),
        ) => Unclear(format!("it failed for another reason: {} ({})", refused.message, refused.code)),
    }
}

/// Constraints and limits are checked after the policies.
fn stopped_late(refused: &Refused) -> bool {
    refused.code.starts_with("23") || refused.code == "KL001"
}
