//! A "no" that the caller can act on, and its stable code.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// What sort of refusal a code is; an adapter maps it to its protocol (HTTP: a status).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    /// The bytes are not what they claim to be: not JSON, not UTF-8.
    Malformed,
    /// The values break a rule; the fields say which.
    Invalid,
    /// Nobody is signed in, or the proof was wrong.
    Unauthenticated,
    /// Signed in, but not allowed.
    Forbidden,
    /// It does not exist for this caller.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The request took too long to arrive.
    RequestTimeout,
    /// It collides with what is there.
    Conflict,
    /// A larger plan allows it.
    PaymentRequired,
    /// Too many bytes.
    TooLarge,
    /// A media type that is not spoken here.
    MediaType,
    /// Too many calls.
    RateLimited,
    /// Not now: try again later.
    Unavailable,
    /// Our fault.
    Internal,
}

/// A stable, documented error code. Products declare their own with [`codes!`](crate::codes).
#[derive(PartialEq, Eq, Debug)]
pub struct Code {
    /// As sent to clients; never changes.
    pub name: &'static str,
    /// What sort of refusal it is.
    pub kind: Kind,
    /// What the reader can do about it.
    pub help: &'static str,
}

/// Declares error codes and a list of all of them.
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
            $crate::base::error::Code { name: $text, kind: $crate::base::error::Kind::$kind, help: $help };)*
        /// Every code declared here.
        $vis static $list: &[&$crate::base::error::Code] = &[$(&$name),*];
    };
}

/// The codes that belong to no pillar.
pub mod codes {
    codes! { pub BASE {
        MALFORMED_JSON = "malformed_json", Malformed, "Send one JSON document; the message says where it stopped being one.";
        MALFORMED_TEXT = "malformed_text", Malformed, "Send UTF-8 without NUL characters.";
        VALIDATION_FAILED = "validation_failed", Invalid, "Correct the fields listed in `fields`.";
        INVALID_ID = "invalid_id", Invalid, "Use the id as it was returned, with its own prefix.";
        INVALID_CURSOR = "invalid_cursor", Invalid, "Use `next_cursor` of the previous page unchanged, with the same filters.";
        UNAUTHENTICATED = "unauthenticated", Unauthenticated, "Sign in and send the session cookie, or send an API key that is in force.";
        FORBIDDEN = "forbidden", Forbidden, "Ask an owner of the workspace for the permission named in the message.";
        CROSS_ORIGIN = "cross_origin", Forbidden, "Call from a page of the same origin.";
        NOT_FOUND = "not_found", NotFound, "Check the address; what you may not see looks like what does not exist.";
        BAD_REQUEST = "bad_request", Malformed, "Compare the request with /openapi.json.";
        METHOD_NOT_ALLOWED = "method_not_allowed", MethodNotAllowed, "Use a method listed in the `Allow` header.";
        REQUEST_TIMEOUT = "request_timeout", RequestTimeout, "Send the whole request without pauses.";
        CONFLICT = "conflict", Conflict, "Read the resource again and decide anew.";
        PAYLOAD_TOO_LARGE = "payload_too_large", TooLarge, "Send a smaller body; the message names the limit.";
        UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type", MediaType, "Send `Content-Type: application/json`.";
        BUSY = "busy", Unavailable, "Repeat the request after the seconds given in `Retry-After`.";
        UNAVAILABLE = "unavailable", Unavailable, "Repeat the request after the seconds given in `Retry-After`.";
        TIMEOUT = "timeout", Unavailable, "Repeat the request, or ask for less at once.";
        INTERNAL = "internal", Internal, "Report the request id to support.";
    } }
}

/// One wrong field of an input.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FieldError {
    /// The field's path in the input, such as `items[2].name`.
    pub field: Cow<'static, str>,
    /// The rule it breaks and what would satisfy it.
    pub message: Cow<'static, str>,
}

/// A "no" that the caller can understand and act on.
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
    /// A refusal with its message: the rule in plain words, then the way out.
    pub fn new(code: &'static Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), detail: None }
    }

    /// One field breaks a rule.
    pub fn field(field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::fields(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// Several fields break rules: all are reported at once.
    pub fn fields(fields: Vec<FieldError>) -> Self {
        let named = fields.iter().map(|f| format!("`{}` {}", f.field, f.message)).collect::<Vec<_>>().join("; ");
        let mut refusal = Self::new(&codes::VALIDATION_FAILED, named);
        refusal.detail_mut().fields = fields;
        refusal
    }

    /// The same refusal, said about `field`.
    pub fn at(mut self, field: &'static str) -> Self {
        if self.field_errors().is_empty() {
            let message = self.message.clone();
            self.detail_mut().fields.push(FieldError { field: field.into(), message });
        }
        self
    }

    /// Names the plan that would allow it.
    pub fn unlocked_by(mut self, plan: &str) -> Self {
        self.detail_mut().plan = Some(plan.to_owned());
        self
    }

    /// Says when to try again.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.detail_mut().retry_after = Some(wait);
        self
    }

    /// The stable code, such as `limit_reached`.
    pub fn code(&self) -> &'static str {
        self.code.name
    }

    /// What sort of refusal it is.
    pub fn kind(&self) -> Kind {
        self.code.kind
    }

    /// For people: the rule and the way out.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The wrong fields, if it is about fields.
    pub fn field_errors(&self) -> &[FieldError] {
        self.detail.as_deref().map_or(&[], |detail| &detail.fields)
    }

    /// The plan that would allow it.
    pub fn plan(&self) -> Option<&str> {
        self.detail.as_deref()?.plan.as_deref()
    }

    /// When to try again.
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

/// Collects field errors, so that one answer names them all.
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
    /// Keeps the value, or notes the refusal under `field`.
    pub fn take<T>(&mut self, field: &'static str, parsed: Result<T, Refusal>) -> Option<T> {
        parsed
            .map_err(|refusal| {
                let message =
                    refusal.field_errors().first().map_or_else(|| refusal.message.clone(), |f| f.message.clone());
                self.0.push(FieldError { field: field.into(), message });
            })
            .ok()
    }

    /// `Err` if anything was noted.
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
