//! Permissions as types, and sets of permissions as bits.

use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

/// A permission. Declare permissions with [`permissions!`](macro@crate::permissions), never by hand.
pub trait Permission: Send + Sync + 'static {
    /// Name in the form `resource.action`, as stored in roles and keys and shown to clients.
    const NAME: &'static str;
    /// In which states of a workspace the permission can be used.
    const MODE: Mode;
    /// Position of the permission's bit in [`Bits`], in this process.
    fn bit() -> u16;
}

/// In which states of a workspace a permission can be used. Every permission declares it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Only shows something: also in a read-only workspace.
    Read,
    /// Changes something: refused in a read-only workspace.
    Write,
    /// Also in a suspended workspace: what is needed to end that state, such as settling the bill.
    Always,
}

impl Mode {
    pub(super) const fn bit(self) -> u8 {
        match self {
            Self::Read => 1,
            Self::Write => 2,
            Self::Always => 4,
        }
    }
}

/// The permission `P`, also granted while the workspace is read-only: for calls that only show what `P` is about, or that take
/// access away.
///
/// ```
/// use saas_kernel::Permission;
/// use saas_kernel::access::{EvenReadOnly, Mode};
/// use saas_kernel::permissions::InviteMember;
/// assert_eq!((InviteMember::MODE, EvenReadOnly::<InviteMember>::MODE), (Mode::Write, Mode::Read));
/// assert_eq!(EvenReadOnly::<InviteMember>::NAME, "member.invite");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct EvenReadOnly<P>(PhantomData<fn() -> P>);

impl<P: Permission> Permission for EvenReadOnly<P> {
    const NAME: &'static str = P::NAME;
    const MODE: Mode = match P::MODE {
        Mode::Always => Mode::Always,
        Mode::Read | Mode::Write => Mode::Read,
    };
    fn bit() -> u16 {
        P::bit()
    }
}

/// A permission as data, for lists of permissions and for checking configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PermissionInfo {
    /// Name of the permission; see [`Permission::NAME`].
    pub name: &'static str,
    /// What the permission allows, in one sentence.
    pub description: &'static str,
}

/// Declares permissions: one unit type each, and the list `PERMISSIONS` for
/// [`KernelBuilder::permissions`](crate::KernelBuilder::permissions).
///
/// ```
/// mod projects {
///     saas_kernel::permissions! {
///         /// See projects.
///         pub ReadProject = read "project.read";
///         /// Start projects.
///         pub CreateProject = write "project.create";
///     }
/// }
/// assert_eq!(projects::PERMISSIONS.len(), 2);
/// assert_eq!(<projects::CreateProject as saas_kernel::Permission>::NAME, "project.create");
/// ```
///
/// The word before the name says in which states of a workspace the permission can be used: `read` (also while it is read-only),
/// `write` (not then) or `always` (also while it is suspended). See [`Mode`](crate::access::Mode).
///
/// Each line expands to `pub struct ReadProject;` and an `impl Permission` whose bit is interned once per process.
#[macro_export]
macro_rules! permissions {
    (@mode read) => { $crate::access::Mode::Read };
    (@mode write) => { $crate::access::Mode::Write };
    (@mode always) => { $crate::access::Mode::Always };
    ($($(#[doc = $doc:literal])* $vis:vis $name:ident = $mode:ident $text:literal;)*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, Copy, Debug)]
            $vis struct $name;
            impl $crate::Permission for $name {
                const NAME: &'static str = $text;
                const MODE: $crate::access::Mode = $crate::permissions!(@mode $mode);
                fn bit() -> u16 {
                    static BIT: ::std::sync::OnceLock<u16> = ::std::sync::OnceLock::new();
                    *BIT.get_or_init(|| $crate::access::intern($text))
                }
            }
        )*
        /// Every permission declared here.
        pub const PERMISSIONS: &[$crate::access::PermissionInfo] = &[$(
            $crate::access::PermissionInfo { name: $text, description: concat!($($doc),*).trim_ascii_start() }
        ),*];
    };
}

/// Returns the bit of a permission's name. It is the same for every kernel in this process, so that several kernels in one
/// test agree.
pub fn intern(name: &'static str) -> u16 {
    static NAMES: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let index = names.iter().position(|known| *known == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    });
    u16::try_from(index).unwrap_or(u16::MAX)
}

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Bits([u64; Self::WORDS]);

impl Bits {
    const WORDS: usize = 4;
    /// Maximum number of permissions in one process.
    pub const CAPACITY: u16 = 64 * Self::WORDS as u16;

    /// Returns the set with `bit` added. A bit beyond the capacity is ignored.
    #[must_use]
    pub fn with(mut self, bit: u16) -> Self {
        if let Some(word) = self.0.get_mut(usize::from(bit / 64)) {
            *word |= 1 << (bit % 64);
        }
        self
    }

    /// Whether the set contains every permission of `other`.
    pub fn contains(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).all(|(mine, theirs)| theirs & !mine == 0)
    }

    /// Whether the set contains `bit`.
    #[inline]
    pub fn has(&self, bit: u16) -> bool {
        self.0.get(usize::from(bit / 64)).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_is_in_its_own_set_only() {
        for bit in [0, 1, 63, 64, 255] {
            let set = Bits::default().with(bit);
            assert!((0..Bits::CAPACITY).all(|other| set.has(other) == (other == bit)));
        }
        let (one, both) = (Bits::default().with(70), Bits::default().with(70).with(3));
        assert!(both.contains(&one) && both.contains(&both) && !one.contains(&both));
        assert!(!Bits::default().with(256).has(256));
        assert_eq!(intern("test.same"), intern("test.same"));
        assert_ne!(intern("test.same"), intern("test.other"));
    }
}
