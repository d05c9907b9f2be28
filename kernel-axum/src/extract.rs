//! Extractors that prove who calls and what they may do, and that refuse malformed input by name.

use std::ops::Deref;
use std::sync::Arc;

use axum::RequestPartsExt;
use axum::extract::FromRequestParts;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::http::request::Parts;
use saas_kernel::identity::authenticate::Caller;
use saas_kernel::identity::sessions::Session;
use saas_kernel::{Can, Grant, Permission, Refusal, codes};
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// Proof that the caller may act in the workspace of the address and holds the permission `P`. Derefs to [`Can<P>`].
///
/// Without authentication the answer is 401. A caller who is not in the workspace, and one who names a workspace that
/// does not exist, get the same 404. Without the permission it is 403 with the permission's name.
#[derive(Debug)]
pub struct Allow<P>(Can<P>);

impl<P> Deref for Allow<P> {
    type Target = Can<P>;
    fn deref(&self) -> &Can<P> {
        &self.0
    }
}

impl<P: Permission, S: Send + Sync> FromRequestParts<S> for Allow<P> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(caller(parts)?.member_for(P::MODE)?.allow::<P>()?))
    }
}

/// Proof that the caller, a member or an API key, may act in the workspace of the address, whatever their permissions.
/// Derefs to [`Grant`]. The answers without it are those of [`Allow`].
#[derive(Debug)]
pub struct InWorkspace(Arc<Grant>);

impl Deref for InWorkspace {
    type Target = Arc<Grant>;
    fn deref(&self) -> &Arc<Grant> {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InWorkspace {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(caller(parts)?.member()?.clone()))
    }
}

fn caller(parts: &Parts) -> Result<&Caller, Refusal> {
    Caller::required(parts.extensions.get())
}

/// Proof that a user is signed in. Derefs to [`Session`]. Nobody signed in is 401, an API key 403.
#[derive(Debug)]
pub struct SignedIn(Session);

impl Deref for SignedIn {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(caller(parts)?.person()?.clone()))
    }
}

/// The parameters of the address, such as `{project}`. `T` is a struct with a field for each parameter that is needed.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send + 'static, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match parts.extract::<axum::extract::Path<T>>().await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(failed)) => Err(match failed.into_kind() {
                ErrorKind::Message(text) => Refusal::new(&codes::INVALID_ID, text).into(),
                ErrorKind::ParseErrorAtKey { key, value, .. } | ErrorKind::DeserializeError { key, value, .. } => {
                    Refusal::new(&codes::INVALID_ID, format!("`{key}` cannot be `{value}`")).into()
                }
                ErrorKind::InvalidUtf8InPathParam { key } => {
                    Refusal::new(&codes::MALFORMED_TEXT, format!("`{key}` in the address is not UTF-8")).into()
                }
                other => ApiError::broken(other.to_string()),
            }),
            Err(other) => Err(ApiError::broken(other.body_text())),
        }
    }
}

/// The query parameters. Give `T` `#[serde(deny_unknown_fields)]`, so that a misspelt filter is refused instead of
/// ignored.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        if query.contains("%00") {
            return Err(Refusal::new(&codes::MALFORMED_TEXT, "the query has a NUL character; leave it out").into());
        }
        if form_urlencoded(query).any(|(key, value)| key.contains('\u{fffd}') || value.contains('\u{fffd}')) {
            return Err(Refusal::new(&codes::MALFORMED_TEXT, "the query is not UTF-8 once it is decoded").into());
        }
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded(query));
        serde_path_to_error::deserialize(pairs).map(Self).map_err(|error| {
            let path = error.path().to_string();
            let text = error.into_inner().to_string();
            let named = text.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next()).map(str::to_owned);
            let field = named.unwrap_or(if path == "." { "query".to_owned() } else { path });
            Refusal::field(field, text).into()
        })
    }
}

/// For handlers without query parameters: refuses any parameter by name.
#[derive(Clone, Copy, Debug)]
pub struct NoQuery;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParams {}

impl<S: Send + Sync> FromRequestParts<S> for NoQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Query::<NoParams>::from_request_parts(parts, state).await.map(|_| Self)
    }
}

fn form_urlencoded(query: &str) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(query.as_bytes())
}
