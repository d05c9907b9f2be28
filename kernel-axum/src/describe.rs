//! What an extractor asks of the caller, for the OpenAPI document.

use std::ops::{Deref, DerefMut};

use axum::body::{Body, Bytes};
use axum::extract::{
    ConnectInfo, Extension, FromRequestParts, MatchedPath, NestedPath, RawPathParams, RawQuery, Request, State,
};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, Method, Uri, Version};
use saas_kernel::Permission;

use crate::extract::{Allow, InWorkspace, NoQuery, Path, Query, SignedIn};
use crate::json::Json;
use crate::shutdown::Shutdown;

/// Says which permission an extractor requires. [`routes!`](crate::routes!) puts it into the OpenAPI document, so every
/// argument of a handler needs this.
///
/// An extractor that requires none has an empty implementation:
///
/// ```
/// use axum::extract::FromRequestParts;
/// use axum::http::request::Parts;
/// use saas_kernel_axum::{DescribeExtractor, OpenApiRouter, routes};
///
/// struct Locale(String);
///
/// impl<S: Sync> FromRequestParts<S> for Locale {
///     type Rejection = std::convert::Infallible;
///     async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
///         let language = parts.headers.get("accept-language").and_then(|value| value.to_str().ok());
///         Ok(Self(language.unwrap_or("en").to_owned()))
///     }
/// }
///
/// impl DescribeExtractor for Locale {}
///
/// #[utoipa::path(get, path = "/greeting")]
/// async fn greeting(Locale(locale): Locale) -> String {
///     locale
/// }
///
/// let router: OpenApiRouter = OpenApiRouter::new().routes(routes!(greeting));
/// ```
///
/// Without it the route does not compile:
///
/// ```compile_fail,E0277
/// # use axum::extract::FromRequestParts;
/// # use axum::http::request::Parts;
/// # use saas_kernel_axum::{DescribeExtractor, OpenApiRouter, routes};
/// # struct Locale(String);
/// # impl<S: Sync> FromRequestParts<S> for Locale {
/// #     type Rejection = std::convert::Infallible;
/// #     async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
/// #         Ok(Self("en".to_owned()))
/// #     }
/// # }
/// # #[utoipa::path(get, path = "/greeting")]
/// # async fn greeting(Locale(locale): Locale) -> String {
/// #     locale
/// # }
/// let router: OpenApiRouter = OpenApiRouter::new().routes(routes!(greeting));
/// ```
///
/// An extractor of another crate, which cannot have an implementation here, is taken as [`Foreign`].
#[diagnostic::on_unimplemented(
    message = "`routes!` does not know whether the extractor `{Self}` requires a permission",
    label = "has an argument that does not implement `DescribeExtractor`",
    note = "for an extractor of your own that requires none, add `impl saas_kernel_axum::DescribeExtractor for {Self} {{}}`",
    note = "take an extractor of another crate as `saas_kernel_axum::Foreign<{Self}>`"
)]
pub trait DescribeExtractor {
    /// The name of the permission without which the handler is not called.
    const PERMISSION: Option<&'static str> = None;
}

impl<P: Permission> DescribeExtractor for Allow<P> {
    const PERMISSION: Option<&'static str> = Some(P::NAME);
}

/// Any permission will do, or none: the caller only has to be in the workspace.
impl DescribeExtractor for InWorkspace {
    const PERMISSION: Option<&'static str> = Some("membership");
}

/// Implements [`DescribeExtractor`] for extractors that require no permission.
macro_rules! require_none {
    ($([$($generic:ident)?] $extractor:ty;)*) => {
        $(impl$(<$generic>)? DescribeExtractor for $extractor {})*
    };
}

require_none! {
    [] SignedIn;
    [] Shutdown;
    [] NoQuery;
    [T] Path<T>;
    [T] Query<T>;
    [T] Json<T>;
    [T] Foreign<T>;
    [T] State<T>;
    [T] Extension<T>;
    [T] ConnectInfo<T>;
    [T] axum::extract::Path<T>;
    [T] axum::extract::Query<T>;
    [T] axum::Json<T>;
    // A handler is called also when these refuse.
    [T] Option<T>;
    [] RawPathParams;
    [] RawQuery;
    [] MatchedPath;
    [] NestedPath;
    [] Method;
    [] Uri;
    [] Version;
    [] HeaderMap;
    [] Extensions;
    [] Parts;
    [] Request;
    [] Body;
    [] Bytes;
    [] String;
    [] ();
}

impl<T, E> DescribeExtractor for Result<T, E> {}

/// An extractor of another crate, which requires no permission.
///
/// ```
/// # use axum::extract::RawQuery as CookieJar;
/// use saas_kernel_axum::{Foreign, OpenApiRouter, routes};
///
/// #[utoipa::path(get, path = "/theme")]
/// async fn theme(Foreign(jar): Foreign<CookieJar>) {}
///
/// let router: OpenApiRouter = OpenApiRouter::new().routes(routes!(theme));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Foreign<T>(pub T);

impl<T> Deref for Foreign<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Foreign<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: FromRequestParts<S>, S: Send + Sync> FromRequestParts<S> for Foreign<T> {
    type Rejection = T::Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, T::Rejection> {
        T::from_request_parts(parts, state).await.map(Self)
    }
}

/// The arguments of a handler, as axum's `Handler<T, S>` has them in `T`.
#[doc(hidden)]
pub trait DescribeArguments {
    /// The permissions that they require.
    fn permissions() -> Vec<&'static str>;
}

/// Implements [`DescribeArguments`] for this many arguments and all fewer. `M` is axum's marker of what the last one
/// reads.
macro_rules! describe_arguments {
    ($($first:ident $($rest:ident)*)?) => {
        impl<M, $($first: DescribeExtractor, $($rest: DescribeExtractor),*)?> DescribeArguments for (M, $($first, $($rest),*)?) {
            fn permissions() -> Vec<&'static str> {
                let permissions: &[Option<&'static str>] = &[$($first::PERMISSION, $($rest::PERMISSION),*)?];
                permissions.iter().copied().flatten().collect()
            }
        }
        $(describe_arguments! { $($rest)* })?
    };
}

describe_arguments! { T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11 T12 T13 T14 T15 T16 }
