//! Roles: which role has which permission, as configured data.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use super::permission::{Bits, PermissionInfo, intern};
use crate::base::error::Refusal;

/// A role as configured: a name and permission patterns (`project.create`, `project.*`, `*`). A list of roles is ordered
/// highest rank first.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleRules {
    /// Name of the role, as stored with memberships.
    pub name: String,
    /// Patterns of the permissions that the role has.
    #[serde(rename = "permissions")]
    pub patterns: Vec<Pattern>,
}

/// A pattern that matches permissions: `project.create`, `project.*` or `*`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    /// Text of the pattern.
    pub text: String,
    /// Line in the configuration file, for error messages.
    pub line: Option<u64>,
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pattern = Spanned::<String>::deserialize(deserializer)?;
        Ok(Self { line: Some(pattern.referenced.line()), text: pattern.value })
    }
}

/// A role with its patterns resolved to permissions.
#[derive(PartialEq, Eq, Debug)]
pub struct Role {
    /// Name of the role.
    pub name: String,
    /// Rank of the role; 0 is the highest. Nobody can assign or remove a role above their own.
    pub rank: usize,
    /// The configured patterns.
    pub patterns: Vec<String>,
    /// The permissions of the role.
    pub bits: Bits,
}

impl Role {
    /// The pattern that gives the role `permission`; `None` if the role does not have it.
    pub fn gives(&self, permission: &'static str) -> Option<&str> {
        let held = self.bits.has(intern(permission));
        self.patterns.iter().map(String::as_str).find(|pattern| held && matches(pattern, permission))
    }
}

/// All roles of a kernel.
#[derive(Clone, Debug)]
pub struct Roles {
    by_name: BTreeMap<String, Arc<Role>>,
    registry: Vec<PermissionInfo>,
    stranger: Arc<Role>,
}

/// Name of the role that the creator of a workspace gets, and that at least one member always has.
pub const OWNER: &str = "owner";

impl Roles {
    /// The default roles, for the kernel's own permissions. A `roles` section in `product.config.yaml` replaces them.
    pub fn defaults() -> Vec<RoleRules> {
        let role = |name: &str, patterns: &[&str]| RoleRules {
            name: name.to_owned(),
            patterns: patterns.iter().map(|p| Pattern { text: (*p).to_owned(), line: None }).collect(),
        };
        vec![
            role(OWNER, &["*"]),
            role("admin", &["workspace.read", "workspace.update", "member.*", "audit.read"]),
            role("member", &["workspace.read", "member.list"]),
            role("viewer", &["workspace.read"]),
        ]
    }

    /// Resolves the patterns of `rules` to the permissions in `registry`.
    ///
    /// # Errors
    /// All errors that were found: a permission declared twice, a pattern that matches no permission, no role `owner`, too many
    /// permissions.
    pub fn resolve(rules: &[RoleRules], registry: Vec<PermissionInfo>) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        for (index, permission) in registry.iter().enumerate() {
            if registry.iter().take(index).any(|earlier| earlier.name == permission.name) {
                problems.push(format!("permission `{}` is declared twice; rename one", permission.name));
            }
            if intern(permission.name) >= Bits::CAPACITY {
                problems.push(format!(
                    "permission `{}` is beyond the maximum of {} permissions; remove some",
                    permission.name,
                    Bits::CAPACITY
                ));
            }
        }
        let mut by_name = BTreeMap::new();
        for (rank, rule) in rules.iter().enumerate() {
            let mut bits = Bits::default();
            for pattern in &rule.patterns {
                let mut matched = registry.iter().filter(|p| matches(&pattern.text, p.name)).peekable();
                if matched.peek().is_none() {
                    let at = pattern.line.map_or_else(String::new, |line| format!("line {line}: "));
                    let (role, text, declared) = (&rule.name, &pattern.text, names(&registry));
                    problems.push(format!(
                        "{at}role `{role}`: no permission matches `{text}`; the declared ones are {declared}"
                    ));
                }
                bits = matched.fold(bits, |bits, permission| bits.with(intern(permission.name)));
            }
            let patterns = rule.patterns.iter().map(|pattern| pattern.text.clone()).collect();
            let role = Role { name: rule.name.clone(), rank, patterns, bits };
            if by_name.insert(rule.name.clone(), Arc::new(role)).is_some() {
                problems.push(format!("role `{}` is defined twice; merge them", rule.name));
            }
        }
        if !by_name.contains_key(OWNER) {
            problems.push("there is no role `owner`; add it, every workspace needs an owner".to_owned());
        }
        let stranger =
            Arc::new(Role { name: "none".to_owned(), rank: usize::MAX, patterns: Vec::new(), bits: Bits::default() });
        if problems.is_empty() { Ok(Self { by_name, registry, stranger }) } else { Err(problems) }
    }

    /// The role called `name`. A name that is not configured gives a role without permissions.
    pub fn get(&self, name: &str) -> &Arc<Role> {
        self.by_name.get(name).unwrap_or(&self.stranger)
    }

    /// Finds the role that a caller wants to assign.
    ///
    /// # Errors
    /// `validation_failed` at `role`, with the names of the configured roles.
    pub fn named(&self, name: &str) -> Result<&Arc<Role>, Refusal> {
        self.by_name.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.ranked().iter().map(|role| role.name.as_str()).collect();
            Refusal::field("role", format!("must be one of {}", names.join(", ")))
        })
    }

    /// All roles, highest rank first.
    pub fn ranked(&self) -> Vec<&Role> {
        let mut roles: Vec<&Role> = self.by_name.values().map(|role| &**role).collect();
        roles.sort_by_key(|role| role.rank);
        roles
    }

    /// All permissions of the kernel and the product.
    pub fn registry(&self) -> &[PermissionInfo] {
        &self.registry
    }

    /// The permissions of all roles as a Markdown table: one row per permission, one column per role.
    pub fn table(&self) -> String {
        let roles = self.ranked();
        let mut out = format!(
            "| permission | {} |\n|---|",
            roles.iter().map(|r| r.name.as_str()).collect::<Vec<_>>().join(" | ")
        );
        out.push_str(&"---|".repeat(roles.len()));
        for permission in &self.registry {
            let cells = roles.iter().map(|role| if role.bits.has(intern(permission.name)) { "yes" } else { "" });
            out.push_str(&format!("\n| `{}` | {} |", permission.name, cells.collect::<Vec<_>>().join(" | ")));
        }
        out.push('\n');
        out
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(prefix) => prefix.ends_with('.') && name.starts_with(prefix),
        None => pattern == name,
    }
}

fn names(registry: &[PermissionInfo]) -> String {
    registry.iter().map(|p| p.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::permissions::all;

    #[test]
    fn mistakes_are_named() {
        let twice = [all(), all()[..1].to_vec()].concat();
        let problems = Roles::resolve(&Roles::defaults(), twice).unwrap_err();
        assert_eq!(problems, ["permission `workspace.read` is declared twice; rename one"]);
        let pattern = |text: &str, line| Pattern { text: text.to_owned(), line };
        let patterns = vec![pattern("projct.read", Some(7)), pattern("member*", None)];
        let rules = [RoleRules { name: "member".to_owned(), patterns }];
        let problems = Roles::resolve(&rules, all()).unwrap_err();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].starts_with("line 7: role `member`: no permission matches `projct.read`"));
        assert!(problems[2].contains("no role `owner`"));
    }

    #[test]
    fn a_role_that_was_removed_from_the_configuration_holds_nothing() {
        let roles = Roles::resolve(&Roles::defaults(), all()).unwrap();
        assert_eq!(roles.get("superking").bits, Bits::default());
    }
}
