//! Lets a request in: from its credential to the caller, with the checks in their order.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::Kernel;
use crate::access::Call;
use crate::base::ctx::Ctx;
use crate::base::error::{Error, Refusal, codes};
use crate::base::request::RequestHead;
use crate::guard::client_address::client_address;
use crate::guard::csrf::{self, OwnOrigins};
use crate::identity::authenticate::{Caller, Entry, Keep};
use crate::identity::cookie::SessionCookie;
use crate::identity::credential::Credential;
use crate::identity::lookups::WorkspaceRef;

impl Kernel {
    /// Context of the request `head`, which came over a connection from `peer`: its time, its id and the client's address behind
    /// the `trusted` proxies.
    pub fn ctx_of_request(&self, peer: IpAddr, head: &RequestHead<'_>, trusted: &[IpNet]) -> Ctx {
        Ctx::of_request(self.now(), client_address(peer, head, trusted), head)
    }

    /// Authenticates the caller of the request `head` and their entry into `workspace`, as the address names it once it is
    /// percent-decoded, counts the call against the quota of that workspace, and refuses writes from pages of other origins than
    /// `own`. `None` if there is no credential, or a session that has ended: the caller is then not signed in.
    ///
    /// # Errors
    /// `unauthenticated` for an API key that is not valid; `rate_limited`; `cross_origin`; the errors of the database.
    pub async fn admit(
        &self,
        call: &Arc<Call>,
        head: &RequestHead<'_>,
        workspace: Option<&str>,
        own: &OwnOrigins<'_>,
        keep: Keep,
    ) -> Result<Option<Caller>, Error> {
        let credential = Credential::of_request(head, SessionCookie::of(own.public_url))?;
        let caller = match &credential {
            Some(credential) => self.caller(call, credential, workspace, keep).await?,
            None => None,
        };
        // Without a credential too: a page of another origin must not sign its visitor in.
        if credential.as_ref().is_none_or(Credential::is_sent_by_browsers) {
            csrf::check(head, own)?;
        }
        Ok(caller)
    }

    async fn caller(
        &self,
        call: &Arc<Call>,
        credential: &Credential,
        workspace: Option<&str>,
        keep: Keep,
    ) -> Result<Option<Caller>, Error> {
        let named = workspace.and_then(WorkspaceRef::in_url);
        match (self.authenticate(call, credential, named.as_ref(), keep).await?, credential) {
            (Some(mut caller), _) => {
                // Text that cannot name a workspace is answered like a workspace that does not exist.
                if workspace.is_some() && caller.entry.is_none() {
                    caller.entry = Some(Entry::Stranger);
                }
                Ok(Some(caller))
            }
            (None, Credential::ApiKey(_)) => {
                let text = "this API key is unknown, revoked or has expired";
                Err(Refusal::new(&codes::UNAUTHENTICATED, text).into())
            }
            (None, Credential::Session(_)) => Ok(None),
        }
    }
}
