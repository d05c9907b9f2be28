//! The `names!` macro, which declares lists of stable names.

/// Declares stable names, such as audit actions or event subjects, and a list of all of them.
///
/// ```
/// saas_kernel::names! { pub ACTIONS {
///     /// A project was archived.
///     PROJECT_ARCHIVE = "project.archive";
/// } }
/// assert_eq!(ACTIONS, [PROJECT_ARCHIVE]);
/// ```
#[macro_export]
macro_rules! names {
    ($vis:vis $list:ident { $($(#[doc = $doc:literal])* $name:ident = $text:literal;)* }) => {
        $($(#[doc = $doc])* $vis const $name: &str = $text;)*
        /// All names declared here.
        $vis const $list: &[&str] = &[$($name),*];
    };
}
