//! Invites, from the text that a person enters to the commit and the mail after it.

use super::Kernel;
use crate::access::Can;
use crate::base::error::{Error, Explained, Fields, Refusal};
use crate::base::id::WorkspaceId;
use crate::base::idempotency::StorableResponse;
use crate::base::secret::Token;
use crate::guard::idempotency;
use crate::identity::sessions::Session;
use crate::identity::users::Email;
use crate::notify::mailer::Mail;
use crate::notify::names::codes::MAIL_UNAVAILABLE;
use crate::store::{Proof, commit_with};
use crate::tenancy::invites::{self, Invite, Invited};
use crate::tenancy::members::Member;
use crate::tenancy::names::InviteMember;

/// Whom to invite, as a member entered it.
#[derive(Clone, Copy, Debug)]
pub struct InviteRequest<'a> {
    /// E-mail address of the person.
    pub email: &'a str,
    /// Name of the role that they will have.
    pub role: &'a str,
    /// The origin at which browsers reach the product; the mail's link is `/accept-invite?token=…` there.
    pub public_url: &'a str,
}

impl Kernel {
    /// Invites a person by mail. `respond` makes the response from the invite; a retry with the same idempotency key gets it
    /// again. The mail is sent after the commit, because a network call inside a transaction would hold its locks.
    ///
    /// # Errors
    /// The errors of [`invites::create`]; `validation_failed` for the address. `mail_unavailable` if the invite was created but
    /// not mailed: the idempotency key is free again, so that a retry creates and mails a new invite.
    pub async fn invite<R: StorableResponse>(
        &self,
        can: &Can<InviteMember>,
        request: InviteRequest<'_>,
        respond: impl FnOnce(Invite) -> R,
    ) -> Result<R, Error> {
        let mut fields = Fields::default();
        let email: Option<Email> = fields.take("email", request.email.parse());
        fields.take("role", can.roles().named(request.role));
        fields.finish()?;
        let email = email.ok_or_else(|| Refusal::field("email", "is missing"))?;
        let mut tx = self.store().begin(can.scope()).await?;
        let settings = &self.config().invites;
        let (invite, token) = invites::create(can, &mut *tx, settings, email.clone(), request.role).await?;
        let workspace = tx.workspaces().find(can.workspace()).await?.map_or_else(String::new, |found| found.name);
        let accept_url = format!("{}/accept-invite?token=", request.public_url);
        let mail = invites::mail(&self.config().brand.name, email, &workspace, &invite, &token, &accept_url);
        let response = commit_with(tx, respond(invite)).await?;
        self.mail_invite(can, mail).await?;
        Ok(response)
    }

    async fn mail_invite(&self, can: &Can<InviteMember>, mail: Mail) -> Result<(), Refusal> {
        let Err(error) = self.mailer().send(mail).await else { return Ok(()) };
        tracing::error!(error = %Explained(&error), "an invite was not mailed");
        if let Err(error) = idempotency::free(&**self.store(), can).await {
            tracing::error!(error = %Explained(&error), "a retry of the invite will be answered as if it had been mailed");
        }
        let text =
            "the invite is made, but its mail could not be sent; repeat the request: it makes and sends a new link";
        Err(Refusal::new(&MAIL_UNAVAILABLE, text))
    }

    /// Accepts the invite of `token`: the person becomes a member of its workspace. `respond` makes the response from the
    /// workspace and the membership; a retry with the same idempotency key gets it again.
    ///
    /// # Errors
    /// The errors of [`Invited::with`] and [`invites::accept`].
    pub async fn accept_invite<R: StorableResponse>(
        &self,
        session: &Session,
        token: &Token,
        respond: impl FnOnce(WorkspaceId, Member) -> R,
    ) -> Result<R, Error> {
        let invited = Invited::with(&**self.store(), session, token).await?;
        let mut tx = self.store().begin(invited.scope()).await?;
        let member = invites::accept(&invited, &mut *tx).await?;
        commit_with(tx, respond(invited.workspace(), member)).await
    }
}
