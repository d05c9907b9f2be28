//! Error messages for people: an error followed by its causes.

use std::error::Error;
use std::fmt;

/// Any error, as used for causes.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Formats an error followed by its causes, each once.
///
/// ```
/// use saas_kernel::error::Explained;
/// let error = saas_kernel::Error::broken("the disk is full");
/// assert_eq!(Explained(&error).to_string(), "the disk is full");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Explained<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        let mut source = self.0.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Many errors already end with the text of their cause.
            if !said.ends_with(&text) {
                said.push_str(": ");
                said.push_str(&text);
            }
            source = cause.source();
        }
        f.write_str(&said)
    }
}

/// Implements `Debug` for an error type so that it shows the error and its causes: `fn main() -> Result<(), BoxError>` prints
/// it.
///
/// It expands to `impl Debug for TheError`, which uses [`Explained`](crate::base::error::Explained).
#[doc(hidden)]
#[macro_export]
macro_rules! debug_explains {
    ($error:ty) => {
        impl ::std::fmt::Debug for $error {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&$crate::base::error::Explained(self), f)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    #[derive(thiserror::Error)]
    #[error("the app cannot start")]
    struct CannotStart(#[source] std::io::Error);
    crate::debug_explains!(CannotStart);

    #[test]
    fn what_main_returns_is_readable() {
        let error: crate::base::error::BoxError = CannotStart(std::io::Error::other("the port is taken")).into();
        assert_eq!(format!("{error:?}"), "the app cannot start: the port is taken");
    }
}
