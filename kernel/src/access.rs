//! Access control: permissions as types, roles, plans, and [`Can`], the proof of a permission that every mutation takes.

mod authority;
mod call;
pub mod catalog;
mod grant;
pub mod names;
mod permission;
mod policy;
mod roles;
mod standing;

pub use authority::{Authority, Credentials};
pub use call::Call;
pub use grant::{Can, Explanation, Grant};
pub use permission::{Bits, EvenReadOnly, Mode, Permission, PermissionInfo, intern};
pub use policy::Policy;
pub use roles::{OWNER, Pattern, Role, RoleRules, Roles};
pub use standing::{Standing, WorkspaceState, WorkspaceStatus};
