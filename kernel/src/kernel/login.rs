//! Login and logout, from the text that a person enters to the commit.

use super::Kernel;
use crate::base::ctx::Ctx;
use crate::base::error::Error;
use crate::base::secret::Token;
use crate::guard::rate_limit::Bucket;
use crate::identity::login::{self, LoggedIn, wrong_credentials};
use crate::identity::sessions::Session;
use crate::identity::users::Email;
use crate::store::Proof;

impl Kernel {
    /// Signs a person in: counts the attempt for the client and for the account, checks the password, begins a session and
    /// ends the one of `replaced`, the token that the browser had.
    ///
    /// # Errors
    /// `rate_limited`; `invalid_credentials`, the same for an unknown address, for a wrong password and for text that can be
    /// neither, so that it reveals neither accounts nor rules; `busy` if too many people sign in at once.
    pub async fn log_in(
        &self,
        ctx: Ctx,
        email: &str,
        password: &str,
        replaced: Option<&Token>,
    ) -> Result<LoggedIn, Error> {
        self.limit_client(Bucket::LoginIp, &ctx).await?;
        let email: Email = email.parse().map_err(|_| wrong_credentials())?;
        self.limit(Bucket::LoginEmail, || email.lower().to_owned()).await?;
        let password = password.parse().map_err(|_| wrong_credentials())?;
        let verified = self.verify_login(ctx, &email, password).await?;
        let mut tx = self.store().begin(verified.scope()).await?;
        let logged_in = self.begin_session(&verified, &mut *tx, replaced).await?;
        tx.commit().await?;
        Ok(logged_in)
    }

    /// Signs a person out: ends the session of `token`, which the caller presented. The token is refused from the next call on.
    ///
    /// # Errors
    /// The errors of the database.
    pub async fn log_out(&self, session: &Session, token: &Token) -> Result<(), Error> {
        let mut tx = self.store().begin(session.scope()).await?;
        // Somebody who signs out twice at once is signed out: the second commit would be refused, as its session has ended.
        if login::logout(session, &mut *tx, token).await? {
            tx.commit().await?;
        }
        Ok(())
    }
}
