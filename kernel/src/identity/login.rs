//! Login and logout.

use crate::ctx::Ctx;
use crate::error::{Error, Refusal, codes};
use crate::id::{SessionId, UserId};
use crate::identity::password::Password;
use crate::identity::sessions::NewSession;
use crate::identity::users::{Email, User};
use crate::kernel::Kernel;
use crate::secret::Token;
use crate::store::{Checkout, Tx};

/// Proof that somebody gave the right password a moment ago.
#[derive(Debug)]
pub struct VerifiedLogin {
    ctx: Ctx,
    user: UserId,
}

impl VerifiedLogin {
    pub(crate) fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    /// Whose password it was.
    pub fn user(&self) -> UserId {
        self.user
    }
}

/// What a login gives.
#[derive(Debug)]
pub struct LoggedIn {
    /// The account.
    pub user: User,
    /// For the cookie; shown once.
    pub token: Token,
}

/// Checks e-mail and password. The connection is given back before the hash is computed: a login storm holds none.
///
/// # Errors
/// `invalid_credentials`, the same for an unknown address and for a wrong password; `busy` in a storm.
pub async fn verify(kernel: &Kernel, ctx: Ctx, email: &Email, password: Password) -> Result<VerifiedLogin, Error> {
    let found = kernel.store().lookups(&Checkout::default()).await?.login(email).await?;
    let (user, stored) = found.map(|found| (found.user, found.password)).unzip();
    let right = kernel.passwords().verify(password, stored).await?;
    match user {
        Some(user) if right => Ok(VerifiedLogin { ctx, user }),
        _ => Err(Refusal::new(&codes::INVALID_CREDENTIALS, "the e-mail address or the password is wrong").into()),
    }
}

/// Begins a session with a new token and ends the one the browser came with, so that a token fixed beforehand is worth
/// nothing (OWASP ASVS 7.2.4).
pub async fn begin_session(
    kernel: &Kernel,
    login: &VerifiedLogin,
    tx: &mut dyn Tx,
    replaced: Option<&Token>,
) -> Result<LoggedIn, Error> {
    let now = login.ctx.now;
    if let Some(token) = replaced {
        tx.sessions().delete_by_token(&token.hash()).await?;
    }
    let token = Token::generate("");
    let session = NewSession {
        id: SessionId::generate(now),
        user: login.user,
        token: token.hash(),
        created_at: now,
        expires_at: kernel.settings().session_life.expires(now, now),
        ip: login.ctx.ip,
        user_agent: login.ctx.user_agent.clone(),
    };
    tx.sessions().insert(&session).await?;
    let user =
        tx.users().find(login.user).await?.ok_or_else(|| Error::broken("an account vanished during its login"))?;
    Ok(LoggedIn { user, token })
}

/// Ends the session of `token`: to present it is proof enough. It is refused from the next statement on.
pub async fn logout(tx: &mut dyn Tx, token: &Token) -> Result<(), Error> {
    tx.sessions().delete_by_token(&token.hash()).await?;
    Ok(())
}
