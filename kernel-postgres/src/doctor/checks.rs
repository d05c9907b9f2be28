//! The list of all checks. Each is one query over the catalog that gives object, problem and fix of what it finds.

use super::{functions, grants, keys, partitions, policies, references, roles, tables, triggers};

/// A check's stable name and its query, which goes on after [`super::common::WITH`].
pub(super) type Check = (&'static str, &'static str);

/// In the order of the report: what opens most comes first.
pub(super) fn all() -> impl Iterator<Item = Check> {
    let groups: [&[Check]; 9] = [
        roles::CHECKS,
        tables::CHECKS,
        policies::CHECKS,
        grants::CHECKS,
        functions::CHECKS,
        references::CHECKS,
        keys::CHECKS,
        triggers::CHECKS,
        partitions::CHECKS,
    ];
    groups.into_iter().flatten().copied()
}
