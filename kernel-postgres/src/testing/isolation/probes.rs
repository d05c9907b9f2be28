//! The attempts that are made on each table and view.

use sqlx::PgConnection;

use super::attempt::Attempt;
use super::catalog::{Catalog, Column, Reference, Table, View, literal};
use super::judge::Expect;
use super::seed::{Seed, Seeds};
use super::{Leak, Side, Workspaces};

/// Makes all attempts and returns how many they were.
pub(super) async fn all(
    app: &mut PgConnection,
    catalog: &Catalog,
    seeds: &Seeds,
    workspaces: Workspaces,
    leaks: &mut Vec<Leak>,
) -> Result<usize, sqlx::Error> {
    let mut made = 0;
    for table in catalog.tenants() {
        // A table that could not be filled is reported as the leak `seed`.
        let (Some(seed), Some(tenant)) = (seeds.get(&table.name), table.tenant()) else { continue };
        let target = Target { table, tenant, seed, seeds, catalog, workspaces };
        for attempt in target.attempts() {
            made += 1;
            leaks.extend(attempt.make(app, Some(table), workspaces).await?);
        }
    }
    for view in catalog.views() {
        for attempt in of_view(view, workspaces) {
            made += 1;
            leaks.extend(attempt.make(app, None, workspaces).await?);
        }
    }
    Ok(made)
}

/// Attempts on a view with a column `workspace_id`.
fn of_view(view: &View, workspaces: Workspaces) -> [Attempt; 2] {
    let own = literal(&workspaces.id(Side::A));
    let attempt = |probe, scope, sql| Attempt {
        object: view.name.clone(),
        probe,
        scope,
        sql,
        expect: Expect::NoRow,
        fix: format!(
            "ALTER VIEW {} SET (security_invoker = true); a materialized one cannot be kept apart: drop it",
            view.name
        ),
    };
    let rows = format!("SELECT count(*) FROM {}", view.name);
    [
        attempt("select", Some(Side::A), format!("{rows} WHERE {}::text <> {own}", view.tenant)),
        attempt("select_without_scope", None, rows),
    ]
}

/// A table on which attempts are made.
struct Target<'a> {
    table: &'a Table,
    tenant: &'a Column,
    seed: &'a Seed,
    seeds: &'a Seeds,
    catalog: &'a Catalog,
    workspaces: Workspaces,
}

impl Target<'_> {
    fn attempts(&self) -> Vec<Attempt> {
        let (name, b) = (&self.table.name, self.id(Side::B));
        let foreign = self.insert(&self.for_workspace(Side::B));
        let (update, set) = (format!("UPDATE {name} SET {}", self.change()), self.tenant.quoted.clone());
        let (of_a, of_b) = (self.only(Side::A), self.only(Side::B));
        let attempt = |probe, scope, sql, expect| self.attempt(probe, scope, sql, expect);
        let (a, empty) = (Some(Side::A), Some(Side::Empty));
        let mut attempts = vec![
            attempt("own_row", a, format!("SELECT count(*) FROM {name}{of_a}"), Expect::OwnRow),
            attempt("select", a, self.select(Some(Side::A)), Expect::NoRow),
            attempt("insert", a, foreign.clone(), Expect::Refusal),
            attempt("update", a, format!("{update}{of_b}"), Expect::NoChange),
            attempt("move", a, format!("UPDATE {name} SET {set} = {b}{of_a}"), Expect::Refusal),
            attempt("delete", a, format!("DELETE FROM {name}{of_b}"), Expect::NoChange),
            attempt("upsert", a, self.upsert(), Expect::Refusal),
            attempt("duplicate", a, self.duplicate(), Expect::NoCollision(self.table.global_keys.clone())),
            // A statement without a filter is checked against fewer policies: those for SELECT do not apply.
            attempt("update_of_all", empty, update.clone(), Expect::NoChange),
            attempt("delete_of_all", empty, format!("DELETE FROM {name}"), Expect::NoChange),
            attempt("select_without_scope", None, self.select(None), Expect::NoRow),
            attempt("insert_without_scope", None, foreign, Expect::Refusal),
            attempt("update_without_scope", None, update, Expect::NoChange),
            attempt("delete_without_scope", None, format!("DELETE FROM {name}"), Expect::NoChange),
        ];
        attempts.extend(self.table.references.iter().filter_map(|reference| self.reference(reference)));
        attempts
    }

    fn attempt(&self, probe: &'static str, scope: Option<Side>, sql: String, expect: Expect) -> Attempt {
        let (object, tenant) = (self.table.name.clone(), &self.tenant.quoted);
        let fix = match &expect {
            Expect::NoCollision(_) => format!("Put {tenant} into the unique key"),
            Expect::NoReference(name) => {
                format!("ALTER TABLE {object} DROP CONSTRAINT {name}; then write it again with {tenant} on both sides")
            }
            Expect::OwnRow | Expect::NoRow | Expect::Refusal | Expect::NoChange => format!(
                "SELECT kernel.protect('{object}'); and let no other policy of kernel_app be wider; the doctor names it"
            ),
        };
        Attempt { object, probe, scope, sql, expect, fix }
    }

    fn id(&self, side: Side) -> String {
        literal(&self.workspaces.id(side))
    }

    /// Filter for one workspace's rows, if kernel_app may read the tenant column.
    fn only(&self, side: Side) -> String {
        if self.tenant.can_select {
            format!(" WHERE {} = {}", self.tenant.quoted, self.id(side))
        } else {
            String::new()
        }
    }

    fn select(&self, own: Option<Side>) -> String {
        match own {
            Some(side) if self.tenant.can_select => {
                format!("SELECT count(*) FROM {} WHERE {} <> {}", self.table.name, self.tenant.quoted, self.id(side))
            }
            // The workspace has one row.
            Some(_) => format!("SELECT greatest(count(*) - 1, 0) FROM {}", self.table.name),
            None => format!("SELECT count(*) FROM {}", self.table.name),
        }
    }

    /// A new row for `side` that references that workspace's rows.
    fn for_workspace(&self, side: Side) -> Vec<(String, String)> {
        let mut row = self.seed.new.clone();
        for (column, value) in &mut row {
            let parent = self.table.references.iter().find_map(|reference| self.of_parent(reference, column, side));
            if *column == self.tenant.quoted {
                *value = self.id(side);
            } else if let Some(parent) = parent {
                *value = parent;
            }
        }
        row
    }

    fn of_parent(&self, reference: &Reference, column: &str, side: Side) -> Option<String> {
        let place = reference.own.iter().position(|own| own == column)?;
        let parent = self.catalog.get(&reference.parent)?.column(reference.others.get(place)?)?;
        Some(self.seeds.get(&reference.parent)?.value(side, parent))
    }

    /// Inserts only columns that kernel_app may write, so that the policy and not a missing grant refuses; the tenant column
    /// in any case.
    fn insert(&self, row: &[(String, String)]) -> String {
        let may =
            |name: &str| name == self.tenant.quoted || self.table.column(name).is_some_and(|column| column.can_insert);
        let (columns, values): (Vec<_>, Vec<_>) =
            row.iter().filter(|(name, _)| may(name)).map(|(name, value)| (name.as_str(), value.as_str())).unzip();
        format!("INSERT INTO {} ({}) VALUES ({})", self.table.name, columns.join(", "), values.join(", "))
    }

    /// The assignment of an update: a column that may be updated, set to the value in B's row.
    fn change(&self) -> String {
        let may = |column: &&Column| column.can_update && !column.generated && column.name != self.tenant.name;
        let plain = self.table.columns.iter().filter(may).find(|column| !self.table.key.contains(&column.quoted));
        let column = plain.or_else(|| self.table.columns.iter().find(may)).unwrap_or(self.tenant);
        format!("{} = {}", column.quoted, self.seed.value(Side::B, column))
    }

    /// Inserts B's own key, with ON CONFLICT DO UPDATE.
    fn upsert(&self) -> String {
        let wanted = |column: &&Column| {
            self.table.key.contains(&column.quoted) || self.seed.new.iter().any(|(name, _)| *name == column.quoted)
        };
        let row: Vec<_> = self.table.columns.iter().filter(wanted).map(|column| self.stored(column)).collect();
        let change = self.table.columns.iter().find(|column| column.can_update && !column.generated);
        let conflict = match change {
            Some(column) if !self.table.key.is_empty() => {
                format!("({}) DO UPDATE SET {} = excluded.{}", self.table.key.join(", "), column.quoted, column.quoted)
            }
            _ => "DO NOTHING".to_owned(),
        };
        format!("{} ON CONFLICT {conflict}", self.insert(&row))
    }

    fn stored(&self, column: &Column) -> (String, String) {
        (column.quoted.clone(), self.seed.value(Side::B, column))
    }

    /// Inserts a copy of B's row into A's workspace.
    fn duplicate(&self) -> String {
        let columns = self.table.columns.iter().filter(|column| !column.generated);
        let mut row: Vec<_> = columns.map(|column| self.stored(column)).filter(|(_, value)| value != "NULL").collect();
        for (_, value) in row.iter_mut().filter(|(name, _)| *name == self.tenant.quoted) {
            *value = self.id(Side::A);
        }
        self.insert(&row)
    }

    /// Inserts or updates a row of A that references B's row; `None` for a key that only names the workspace, or references a
    /// global table.
    fn reference(&self, reference: &Reference) -> Option<Attempt> {
        self.catalog.get(&reference.parent).filter(|parent| parent.is_tenant())?;
        let own: Vec<_> = reference.own.iter().filter(|own| **own != self.tenant.quoted).collect();
        if own.is_empty() {
            return None;
        }
        let to_b: Vec<_> =
            own.iter().filter_map(|own| Some(((*own).clone(), self.of_parent(reference, own, Side::B)?))).collect();
        let sql = if own.iter().all(|own| self.table.column(own).is_some_and(|column| column.can_insert)) {
            let mut row = self.for_workspace(Side::A);
            row.retain(|(name, _)| !own.contains(&name));
            row.extend(to_b);
            self.insert(&row)
        } else {
            let set: Vec<_> = to_b.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            format!("UPDATE {} SET {}{}", self.table.name, set.join(", "), self.only(Side::A))
        };
        Some(self.attempt("foreign_key", Some(Side::A), sql, Expect::NoReference(reference.name.clone())))
    }
}
