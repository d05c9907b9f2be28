//! Who may do what. A permission is a type, a decision is a bit test, and a [`Can`] is the only proof a mutation accepts.

pub mod catalog;
mod grant;
pub mod names;
mod permission;
mod policy;
mod roles;
mod standing;

pub use grant::{Can, Explanation, Grant};
pub use permission::{Bits, EvenReadOnly, Permission, PermissionInfo, intern};
pub use policy::Policy;
pub use roles::{OWNER, Pattern, Role, RoleRules, Roles};
pub use standing::Standing;
