//! Refusals: errors that the caller can act on, each with a stable code.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// Category of an error code; an adapter maps it to its protocol (HTTP: a status).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The request is malformed, such as invalid JSON or UTF-8.
    Malformed,
    /// Values are invalid; the refusal names the fields.
    Invalid,
    /// The caller is not signed in, or the credentials are wrong.
    Unauthenticated,
    /// The caller is signed in but lacks the permission.
    Forbidden,
    /// The resource does not exist for this caller.
    NotFound,
    /// The path exists but does not support the method.
    MethodNotAllowed,
    /// The request did not arrive in time.
    RequestTimeout,
    /// The request conflicts with the current state.
    Conflict,
    /// A larger plan or a settled subscription is needed.
    PaymentRequired,
    /// The request body is too large.
    TooLarge,
    /// The media type is not supported.
    MediaType,
    /// Too many calls.
    RateLimited,
    /// Temporarily not possible; the caller can try again later.
    Unavailable,
    /// Internal failure.
    Internal,
}

/// A stable, documented error code. Products declare their own with [`codes!`](macro@crate::codes).
#[derive(PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Code {
    /// Name of the code, as sent to clients. It never changes.
    pub name: &'static str,
    /// Category of the code.
    pub kind: Kind,
    /// What the caller can do about it.
    pub help: &'static str,
}

impl Code {
    /// Declares a code. Use [`codes!`](macro@crate::codes), which also lists it.
    pub const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, kind, help }
    }
}

/// Declares error codes, and a list of all of them.
///
/// ```
/// use saas_kernel::{codes, Refusal};
/// codes! { pub MY_CODES {
///     PROJECT_ARCHIVED = "project_archived", Conflict, "Restore the project first.";
/// } }
/// assert_eq!(Refusal::new(&PROJECT_ARCHIVED, "this project is archived").code(), "project_archived");
/// assert_eq!(MY_CODES.len(), 1);
/// ```
#[macro_export]
macro_rules! codes {
    ($vis:vis $list:ident { $($name:ident = $text:literal, $kind:ident, $help:literal;)* }) => {
        $(#[doc = concat!("`", $text, "`: ", $help)]
        $vis static $name: $crate::base::error::Code =
            $crate::base::error::Code::new($text, $crate::base::error::Kind::$kind, $help);)*
        /// All codes declared here.
        $vis static $list: &[&$crate::base::error::Code] = &[$(&$name),*];
    };
}

/// Error codes that belong to no pillar.
pub mod codes {
    codes! { pub BASE {
        MALFORMED_JSON = "malformed_json", Malformed, "Send one valid JSON document; the message names the position of the error.";
        MALFORMED_TEXT = "malformed_text", Malformed, "Send UTF-8 without NUL characters.";
        VALIDATION_FAILED = "validation_failed", Invalid, "Correct the fields listed in `fields`.";
        INVALID_ID = "invalid_id", Invalid, "Use the id as it was returned, with its own prefix.";
        INVALID_CURSOR = "invalid_cursor", Invalid, "Use `next_cursor` of the previous page unchanged, with the same filters.";
        UNAUTHENTICATED = "unauthenticated", Unauthenticated, "Sign in and send the session cookie, or send an API key that is neither expired nor revoked.";
        FORBIDDEN = "forbidden", Forbidden, "Ask an owner of the workspace for the permission named in the message.";
        CROSS_ORIGIN = "cross_origin", Forbidden, "Call from a page of the same origin.";
        NOT_FOUND = "not_found", NotFound, "Check the address and your access; a resource that you may not see is answered as if it did not exist.";
        BAD_REQUEST = "bad_request", Malformed, "Compare the request with /openapi.json.";
        METHOD_NOT_ALLOWED = "method_not_allowed", MethodNotAllowed, "Use a method listed in the `Allow` header.";
        REQUEST_TIMEOUT = "request_timeout", RequestTimeout, "Send the whole request without pauses.";
        CONFLICT = "conflict", Conflict, "Read the resource again, then repeat the change if it still applies.";
        PAYLOAD_TOO_LARGE = "payload_too_large", TooLarge, "Send a smaller body; the message names the limit.";
        UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type", MediaType, "Send `Content-Type: application/json`.";
        BUSY = "busy", Unavailable, "Repeat the request after the seconds given in `Retry-After`.";
        UNAVAILABLE = "unavailable", Unavailable, "Repeat the request after the seconds given in `Retry-After`.";
        SHUTTING_DOWN = "shutting_down", Unavailable, "Send new connections to another copy of the app; this one still serves those that it has.";
        TIMEOUT = "timeout", Unavailable, "Repeat the request, or request less data at once.";
        INTERNAL = "internal", Internal, "Report the request id to support.";
    } }
}

/// An invalid field of an input.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[non_exhaustive]
pub struct FieldError {
    /// Path of the field in the input, such as `items[2].name`.
    pub field: Cow<'static, str>,
    /// The rule that the value breaks, and what a valid value looks like.
    pub message: Cow<'static, str>,
}

impl FieldError {
    /// Creates the error of one field.
    pub fn new(field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// An error that the caller can act on, with a stable code and a message.
#[derive(Clone, Debug)]
pub struct Refusal {
    code: &'static Code,
    message: Cow<'static, str>,
    detail: Option<Box<Detail>>,
}

#[derive(Clone, Debug, Default)]
struct Detail {
    fields: Vec<FieldError>,
    plan: Option<String>,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// Creates a refusal. The message says what is wrong, then what to do.
    pub fn new(code: &'static Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), detail: None }
    }

    /// Creates a `validation_failed` refusal for one field.
    pub fn field(field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::fields(vec![FieldError::new(field, message)])
    }

    /// Creates a `validation_failed` refusal for all invalid fields at once.
    pub fn fields(fields: Vec<FieldError>) -> Self {
        let named = fields.iter().map(|f| format!("`{}` {}", f.field, f.message)).collect::<Vec<_>>().join("; ");
        let mut refusal = Self::new(&codes::VALIDATION_FAILED, named);
        refusal.detail_mut().fields = fields;
        refusal
    }

    /// Adds `field` as the field that the refusal is about, unless it names fields already.
    pub fn at(mut self, field: &'static str) -> Self {
        if self.field_errors().is_empty() {
            let message = self.message.clone();
            self.detail_mut().fields.push(FieldError { field: field.into(), message });
        }
        self
    }

    /// Adds the key of the plan that would allow the call.
    pub fn unlocked_by(mut self, plan: &str) -> Self {
        self.detail_mut().plan = Some(plan.to_owned());
        self
    }

    /// Adds the time after which the caller can try again.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.detail_mut().retry_after = Some(wait);
        self
    }

    /// The stable code, such as `limit_reached`.
    pub fn code(&self) -> &'static str {
        self.code.name
    }

    /// Category of the code.
    pub fn kind(&self) -> Kind {
        self.code.kind
    }

    /// Message for people: what is wrong and what to do.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The invalid fields; empty if the refusal is not about fields.
    pub fn field_errors(&self) -> &[FieldError] {
        self.detail.as_deref().map_or(&[], |detail| &detail.fields)
    }

    /// Key of the plan that would allow the call.
    pub fn plan(&self) -> Option<&str> {
        self.detail.as_deref()?.plan.as_deref()
    }

    /// Time after which the caller can try again.
    pub fn wait(&self) -> Option<Duration> {
        self.detail.as_deref()?.retry_after
    }

    fn detail_mut(&mut self) -> &mut Detail {
        self.detail.get_or_insert_default()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// Collects field errors, so that one response names all of them.
///
/// ```
/// use saas_kernel::{Fields, Refusal};
/// fn positive(n: i64) -> Result<i64, Refusal> {
///     if n > 0 { Ok(n) } else { Err(Refusal::field("n", "must be above zero")) }
/// }
/// let mut fields = Fields::default();
/// let (a, b) = (fields.take("a", positive(1)), fields.take("b", positive(-2)));
/// let refusal = fields.finish().unwrap_err();
/// assert_eq!(refusal.field_errors()[0].field, "b");
/// # let _ = (a, b);
/// ```
#[derive(Default, Debug)]
pub struct Fields(Vec<FieldError>);

impl Fields {
    /// Returns the value, or records the error for `field`.
    pub fn take<T>(&mut self, field: &'static str, parsed: Result<T, Refusal>) -> Option<T> {
        parsed
            .map_err(|refusal| {
                let message =
                    refusal.field_errors().first().map_or_else(|| refusal.message.clone(), |f| f.message.clone());
                self.0.push(FieldError { field: field.into(), message });
            })
            .ok()
    }

    /// Returns a refusal if any error was recorded.
    pub fn finish(self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal::fields(self.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_stays_small() {
        assert!(size_of::<Refusal>() <= 48, "{}", size_of::<Refusal>());
    }
}
