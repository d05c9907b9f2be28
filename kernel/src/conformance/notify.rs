//! The suites of `notify`.

pub(super) mod mailer;
