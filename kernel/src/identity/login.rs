//! Sign in with e-mail address and password, and sign out.

use std::sync::Arc;

use crate::access::Call;
use crate::audit::AuditEntry;
use crate::base::actor::Actor;
use crate::base::ctx::Ctx;
use crate::base::error::{Error, Refusal};
use crate::base::id::{SessionId, UserId};
use crate::base::secret::Token;
use crate::identity::names::action;
use crate::identity::names::codes::INVALID_CREDENTIALS;
use crate::identity::password::{Password, Passwords};
use crate::identity::sessions::{NewSession, Session, SessionLife};
use crate::identity::users::{Email, User};
use crate::store::seal::Sealed;
use crate::store::{Proof, Reach, Scope, Store, Tx};

/// Proof that a person gave the right password.
#[derive(Debug)]
pub struct VerifiedLogin {
    call: Arc<Call>,
    user: UserId,
}

impl VerifiedLogin {
    /// Id of the person.
    pub fn user(&self) -> UserId {
        self.user
    }
}

impl Sealed for VerifiedLogin {}

/// The person's own rows.
impl Proof for VerifiedLogin {
    fn scope(&self) -> Scope {
        Scope::new(Reach::person(self.user), Actor::User(self.user), self.call.clone())
    }
}

/// Result of signing in.
#[derive(Debug)]
#[non_exhaustive]
pub struct LoggedIn {
    /// The account.
    pub user: User,
    /// Token for the session cookie; shown once.
    pub token: Token,
}

/// Checks e-mail address and password. The connection is returned before the hash is computed, so that many sign-ins at once
/// do not hold connections.
///
/// # Errors
/// `invalid_credentials`, the same for an unknown address and for a wrong password; `busy` if too many people sign in at once.
pub async fn verify(
    store: &dyn Store,
    passwords: &Passwords,
    ctx: Ctx,
    email: &Email,
    password: Password,
) -> Result<VerifiedLogin, Error> {
    let call = Call::new(ctx);
    let found = store.lookups(&call).await?.login(email).await?;
    let (user, stored) = found.map(|found| (found.user, found.password)).unzip();
    let right = passwords.verify(password, stored).await?;
    match user {
        Some(user) if right => Ok(VerifiedLogin { call, user }),
        _ => Err(wrong_credentials().into()),
    }
}

/// The refusal of every login that fails for what the person entered, whatever was wrong with it.
pub(crate) fn wrong_credentials() -> Refusal {
    Refusal::new(&INVALID_CREDENTIALS, "the e-mail address or the password is wrong")
}

/// Creates a session with a new token and ends the session that the browser had, so that a token that an attacker planted
/// before is worthless (OWASP ASVS 7.2.4). The login is in the person's audit log.
pub async fn begin_session(
    login: &VerifiedLogin,
    tx: &mut dyn Tx,
    life: SessionLife,
    replaced: Option<&Token>,
) -> Result<LoggedIn, Error> {
    let now = login.call.ctx().now;
    if let Some(token) = replaced {
        tx.sessions().delete_by_token(&token.hash()).await?;
    }
    let token = Token::generate("");
    let session = NewSession {
        id: SessionId::generate(now),
        user: login.user,
        token: token.hash(),
        created_at: now,
        expires_at: life.expires(now, now),
        ip: login.call.ctx().ip,
        user_agent: login.call.ctx().user_agent.clone(),
    };
    tx.sessions().insert(&session).await?;
    let entry = AuditEntry::new(login.call.ctx(), Actor::User(login.user), login.user, action::USER_LOGIN);
    tx.records().audit(entry.target("session", session.id));
    let user =
        tx.users().find(login.user).await?.ok_or_else(|| Error::broken("the account does not exist any more"))?;
    Ok(LoggedIn { user, token })
}

/// Ends the session, whose token is `token`. The token is refused from the next statement on.
/// Returns whether there was such a session; if not, there is nothing to commit.
pub async fn logout(session: &Session, tx: &mut dyn Tx, token: &Token) -> Result<bool, Error> {
    let ended = tx.sessions().delete_by_token(&token.hash()).await?;
    if ended {
        let user = session.user();
        let entry = AuditEntry::new(session.ctx(), Actor::User(user), user, action::USER_LOGOUT);
        tx.records().audit(entry.target("session", session.id()));
    }
    Ok(ended)
}
