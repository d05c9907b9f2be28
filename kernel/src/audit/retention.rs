//! How long entries of the audit log are kept: each has a class, and a class is dropped month by month.

/// Class of an audit entry that decides how long it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RetentionClass {
    /// What happened to the product's data and to the workspace.
    Standard,
    /// Who got in and what they may do: accounts, logins, members, roles and API keys. Kept longer.
    Security,
}

/// Types of resources whose actions are of the class [`RetentionClass::Security`].
const SECURITY: &[&str] = &["api_key", "member", "role", "session", "user"];

impl RetentionClass {
    /// All classes.
    pub const ALL: [Self; 2] = [Self::Standard, Self::Security];

    /// The class of an action, by the type of resource that its name begins with: `member.invite` is about security.
    pub fn of(action: &str) -> Self {
        let resource = action.split_once('.').map_or(action, |(resource, _)| resource);
        if SECURITY.contains(&resource) { Self::Security } else { Self::Standard }
    }

    /// Name of the class, as stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Security => "security",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RetentionClass::{self, Security, Standard};

    #[test]
    fn the_first_part_of_an_action_decides() {
        for (action, class) in [
            ("user.login", Security),
            ("member.role_change", Security),
            ("member.invite", Security),
            ("api_key.revoke", Security),
            ("role.update", Security),
            ("workspace.create", Standard),
            ("billing.subscription_created", Standard),
            ("resource.delete", Standard),
            ("members_list.export", Standard),
            ("user", Security),
            ("", Standard),
        ] {
            assert_eq!(RetentionClass::of(action), class, "{action}");
        }
    }
}
