//! Handlers with their description, and the place below which they are served.

use axum::handler::Handler;
use serde_json::Value;
use utoipa::openapi::PathItem;
use utoipa::openapi::path::Operation;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::describe::DescribeArguments;
use crate::state::Api;

/// A pillar's routes, by where [`App`](crate::App) serves them.
#[derive(Default)]
pub(crate) struct Routes {
    /// Below `/api/v1`, behind the whole middleware chain.
    pub(crate) api: OpenApiRouter<Api>,
    /// Below `/api/v1/workspaces/{ws}`, behind the whole middleware chain.
    pub(crate) workspace: OpenApiRouter<Api>,
    /// At the root, behind the outermost middleware only: nobody is authenticated.
    pub(crate) root: OpenApiRouter<Api>,
}

impl Routes {
    /// Adds handlers below `/api/v1`.
    pub(crate) fn api(mut self, handlers: UtoipaMethodRouter<Api>) -> Self {
        self.api = self.api.routes(handlers);
        self
    }

    /// Adds handlers below `/api/v1/workspaces/{ws}`.
    pub(crate) fn workspace(mut self, handlers: UtoipaMethodRouter<Api>) -> Self {
        self.workspace = self.workspace.routes(handlers);
        self
    }

    /// Adds handlers at the root.
    pub(crate) fn root(mut self, handlers: UtoipaMethodRouter<Api>) -> Self {
        self.root = self.root.routes(handlers);
        self
    }

    /// Adds all routes of `other`, each where it is.
    pub(crate) fn merge(self, other: Self) -> Self {
        Self {
            api: self.api.merge(other.api),
            workspace: self.workspace.merge(other.workspace),
            root: self.root.merge(other.root),
        }
    }
}

/// Collects handlers that have `#[utoipa::path]` and serve one address, for
/// [`OpenApiRouter::routes`](crate::OpenApiRouter::routes). The OpenAPI document shows the permission that a handler's
/// [`Allow<P>`](crate::Allow) requires as `x-permission`.
///
/// ```
/// use saas_kernel::permissions::{ReadWorkspace, UpdateWorkspace};
/// use saas_kernel_axum::{Allow, OpenApiRouter, routes};
///
/// #[utoipa::path(get, path = "/motto")]
/// async fn read(can: Allow<ReadWorkspace>) {}
///
/// #[utoipa::path(patch, path = "/motto")]
/// async fn change(can: Allow<UpdateWorkspace>) {}
///
/// let router: OpenApiRouter = OpenApiRouter::new().routes(routes!(read, change));
/// let document = serde_json::to_value(router.get_openapi()).unwrap();
/// assert_eq!(document["paths"]["/motto"]["get"]["x-permission"], "workspace.read");
/// assert_eq!(document["paths"]["/motto"]["patch"]["x-permission"], "workspace.update");
/// ```
///
/// Each argument of a handler needs [`DescribeExtractor`](crate::DescribeExtractor).
#[macro_export]
macro_rules! routes {
    ($handler:path $(,)?) => {{
        // What `utoipa_axum::routes!` names, so that the product need not depend on it.
        use $crate::{axum, utoipa};
        $crate::__private::describe($crate::utoipa_axum::routes!($handler), $handler)
    }};
    ($handler:path, $($more:path),+ $(,)?) => {
        $crate::__private::merge($crate::routes!($handler), $crate::routes!($($more),+))
    };
}

/// Adds to the description of `routes` what the arguments of their one handler require.
#[doc(hidden)]
pub fn describe<H, T, S>((schemas, mut paths, router): UtoipaMethodRouter<S>, _: H) -> UtoipaMethodRouter<S>
where
    H: Handler<T, S>,
    T: DescribeArguments,
{
    let required = T::permissions();
    let value = match required.as_slice() {
        [] => return (schemas, paths, router),
        [one] => Value::from(*one),
        all => Value::from(all),
    };
    for operation in paths.paths.values_mut().flat_map(operations) {
        operation.extensions.get_or_insert_default().insert("x-permission".to_owned(), value.clone());
    }
    (schemas, paths, router)
}

/// The routes of both.
#[doc(hidden)]
pub fn merge<S>(mut routes: UtoipaMethodRouter<S>, more: UtoipaMethodRouter<S>) -> UtoipaMethodRouter<S>
where
    S: Clone,
{
    routes.0.extend(more.0);
    routes.1.merge(more.1);
    (routes.0, routes.1, routes.2.merge(more.2))
}

/// The operations of an address, whatever their method.
pub(crate) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.options,
        &mut item.head,
        &mut item.patch,
        &mut item.trace,
    ]
    .into_iter()
    .filter_map(Option::as_mut)
}

#[cfg(test)]
mod tests {
    use saas_kernel::access::EvenReadOnly;
    use saas_kernel::permissions::{InviteMember, ReadWorkspace, UpdateWorkspace};
    use utoipa_axum::router::UtoipaMethodRouter;

    use crate::{Allow, InWorkspace, Json, SignedIn};

    #[utoipa::path(get, path = "/thing")]
    async fn get(_: Allow<ReadWorkspace>) {}

    #[utoipa::path(patch, path = "/thing")]
    async fn update(_: axum::http::Method, _: Allow<UpdateWorkspace>, _: Json<()>) {}

    #[utoipa::path(post, path = "/thing")]
    async fn invite(_: Allow<EvenReadOnly<InviteMember>>) {}

    #[utoipa::path(delete, path = "/thing")]
    async fn leave(_: InWorkspace) {}

    #[utoipa::path(put, path = "/thing")]
    async fn mine(_: SignedIn) {}

    #[utoipa::path(get, path = "/open")]
    async fn open() {}

    #[utoipa::path(get, path = "/both")]
    async fn both(_: Allow<ReadWorkspace>, _: Allow<UpdateWorkspace>) {}

    /// Each operation of `routes` with its permission.
    fn permissions((_, paths, _): UtoipaMethodRouter) -> Vec<(&'static str, String)> {
        let permission = |operation: utoipa::openapi::path::Operation| {
            let extensions = operation.extensions.unwrap_or_default();
            extensions.get("x-permission").map_or_else(String::new, ToString::to_string)
        };
        let of_item = |item: utoipa::openapi::PathItem| {
            [("get", item.get), ("patch", item.patch), ("post", item.post), ("put", item.put), ("delete", item.delete)]
        };
        let operations = paths.paths.into_values().flat_map(of_item);
        operations.filter_map(|(method, operation)| Some((method, permission(operation?)))).collect()
    }

    #[test]
    fn a_route_documents_the_permission_that_its_handler_requires() {
        let expect = [
            ("get", r#""workspace.read""#),
            ("patch", r#""workspace.update""#),
            ("post", r#""member.invite""#),
            ("put", ""),
            ("delete", r#""membership""#),
        ];
        let documented = permissions(routes!(get, update, invite, leave, mine));
        assert_eq!(documented, expect.map(|(method, name)| (method, name.to_owned())));
        assert_eq!(permissions(routes!(open)), [("get", String::new())]);
        assert_eq!(permissions(routes!(both)), [("get", r#"["workspace.read","workspace.update"]"#.to_owned())]);
    }
}
