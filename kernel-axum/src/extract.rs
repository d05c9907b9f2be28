//! Extractors: what a handler names, it has proof of.

use std::ops::Deref;
use std::sync::Arc;

use axum::RequestPartsExt;
use axum::extract::FromRequestParts;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::http::request::Parts;
use saas_kernel::id::ApiKeyId;
use saas_kernel::identity::sessions::Session;
use saas_kernel::{Can, Grant, Permission, Refusal, codes};
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// The caller is signed in, belongs to the workspace of the address and holds `P`. Derefs to [`Can<P>`].
///
/// Nobody signed in: 401. A stranger, or no such workspace: 404, the same. Without the permission: 403 that names it.
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

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Ok(Self(Belongs::from_request_parts(parts, state).await?.allow::<P>()?))
    }
}

/// The caller is signed in and belongs to the workspace of the address, as whatever. Derefs to [`Grant`].
#[derive(Debug)]
pub struct Belongs(Arc<Grant>);

impl Deref for Belongs {
    type Target = Arc<Grant>;
    fn deref(&self) -> &Arc<Grant> {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Belongs {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(grant) = parts.extensions.get::<Arc<Grant>>() else {
            // Somebody, but a stranger here; a program's key is good in its own workspace only.
            if parts.extensions.get::<ApiKeyId>().is_none() {
                session(parts)?;
            }
            return Err(Refusal::new(&codes::NOT_FOUND, "there is no such workspace").into());
        };
        Ok(Self(grant.clone()))
    }
}

/// The caller is signed in. Derefs to [`Session`].
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
        Ok(Self(session(parts)?.clone()))
    }
}

fn session(parts: &Parts) -> Result<&Session, Refusal> {
    if parts.extensions.get::<ApiKeyId>().is_some() {
        let text = "this address is a person's; an API key acts below its workspace's address only";
        return Err(Refusal::new(&codes::FORBIDDEN, text));
    }
    let missing = || {
        Refusal::new(
            &codes::UNAUTHENTICATED,
            "nobody is signed in, or the session has ended; log in and send its cookie",
        )
    };
    parts.extensions.get::<Session>().ok_or_else(missing)
}

/// The variable parts of the address. Use a struct with a field for each part that is wanted.
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
                other => ApiError::Broken(other.to_string().into()),
            }),
            Err(other) => Err(ApiError::Broken(other.body_text().into())),
        }
    }
}

/// The query. Give `T` `#[serde(deny_unknown_fields)]`: a misspelt filter must not be "no filter".
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

/// For addresses that take no query: `Query(NoQuery {}): Query<NoQuery>` refuses any parameter by name.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoQuery {}

fn form_urlencoded(query: &str) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(query.as_bytes())
}
