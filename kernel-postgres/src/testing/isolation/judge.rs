//! Whether an attempt got through.

/// What must come of an attempt.
#[derive(Clone, Debug)]
pub(super) enum Expect {
    /// At least the own row is seen, or nothing may be read at all. Otherwise the other attempts prove nothing.
    OwnRow,
    /// No row is seen.
    NoRow,
    /// The policies refuse a row of another workspace. One that a trigger makes one's own is none; one that only a constraint
    /// stopped was let through.
    Refusal,
    /// Refused, or no row is touched.
    NoChange,
    /// Whatever comes, it is not a unique key that holds for all workspaces: these.
    NoCollision(Vec<String>),
    /// The foreign key of this name refuses.
    NoReference(String),
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Rows seen or touched, or what Postgres said.
    pub(super) result: Result<i64, Refused>,
    /// Other workspaces' rows are not as they were.
    pub(super) changed: bool,
}

#[derive(Debug)]
pub(super) struct Refused {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) constraint: String,
}

/// Of an attempt that did not end as it must.
#[derive(Debug)]
pub(super) enum Verdict {
    Held,
    GotThrough(String),
    /// It failed for another reason before anything was proven.
    Unclear(String),
}

/// Row-level security, a missing grant, an append-only trigger.
const REFUSED: &str = "42501";

pub(super) fn judge(expect: &Expect, outcome: &Outcome) -> Verdict {
    use Verdict::{GotThrough, Held, Unclear};
    if outcome.changed {
        return GotThrough("another workspace's rows changed".to_owned());
    }
    match (expect, &outcome.result) {
        (_, Err(refused)) if refused.code == REFUSED => Held,
        (Expect::OwnRow, Ok(0)) => Unclear("the own row is not seen in its own scope, so nothing is proven".to_owned()),
        (Expect::OwnRow, Ok(_)) | (Expect::NoRow | Expect::NoChange, Ok(0)) => Held,
        (Expect::NoRow, Ok(rows)) => GotThrough(format!("{rows} rows of other workspaces were seen")),
        (Expect::NoChange, Ok(rows)) => GotThrough(format!("{rows} rows of other workspaces were reached")),
        (Expect::NoReference(_), Ok(0)) | (Expect::Refusal | Expect::NoCollision(_), Ok(_)) => Held,
        (Expect::NoReference(_), Ok(_)) => {
            GotThrough("the reference to another workspace's row was accepted".to_owned())
        }
        (Expect::NoCollision(keys), Err(refused)) if keys.contains(&refused.constraint) => {
            GotThrough(format!("{} tells that another workspace has the value", refused.constraint))
        }
        (Expect::NoCollision(_), Err(_)) => Held,
        (Expect::NoReference(name), Err(refused)) if refused.code == "23503" && refused.constraint == *name => Held,
        (Expect::Refusal | Expect::NoChange, Err(refused)) if stopped_late(refused) => {
            GotThrough(format!("the policies let it pass, only this stopped it: {}", refused.message))
        }
        (
            Expect::OwnRow | Expect::NoRow | Expect::Refusal | Expect::NoChange | Expect::NoReference(_),
            Err(refused),
        ) => Unclear(format!("it failed for another reason: {} ({})", refused.message, refused.code)),
    }
}

/// Constraints and limits come after the policies.
fn stopped_late(refused: &Refused) -> bool {
    refused.code.starts_with("23") || refused.code == "KL001"
}
