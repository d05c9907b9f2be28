//! Sign-up: an account, its first workspace and what the product's hook adds, in one transaction.

use std::sync::Arc;
use std::time::Duration;

use crate::access::{Authority, Call, Grant, Policy};
use crate::audit::AuditEntry;
use crate::base::actor::Actor;
use crate::base::ctx::Ctx;
use crate::base::error::{Error, Fields, Refusal};
use crate::base::id::{UserId, WorkspaceId};
use crate::hooks::{Hooks, SignedUp};
use crate::identity::names::action;
use crate::identity::password::{Password, PasswordHash, Passwords};
use crate::identity::users::{Email, NewUser, PersonName};
use crate::store::seal::Sealed;
use crate::store::{Proof, Reach, Scope, Tx};
use crate::tenancy::workspaces::{self, Creator, NameChoice, Slug, WorkspaceName};

/// What a person enters to sign up.
#[derive(Debug)]
pub struct NewAccount {
    /// E-mail address of the account.
    pub email: Email,
    /// Password of the account.
    pub password: Password,
    /// Name of the person.
    pub name: PersonName,
}

impl NewAccount {
    /// Parses all fields and reports all that are invalid.
    pub fn parse(email: &str, password: &str, name: &str) -> Result<Self, Refusal> {
        let mut fields = Fields::default();
        let parsed = (
            fields.take("email", email.parse()),
            fields.take("password", password.parse()),
            fields.take("name", name.parse()),
        );
        fields.finish()?;
        match parsed {
            (Some(email), Some(password), Some(name)) => Ok(Self { email, password, name }),
            _ => Err(Refusal::field("email", "is missing")),
        }
    }
}

/// Time that a sign-up takes at least, from its beginning. A sign-up that creates an account writes more than one that does not;
/// without the floor, the response time would reveal who has an account.
pub const ANSWER_FLOOR: Duration = Duration::from_millis(150);

/// Time that a sign-up takes at least after its password is hashed. Hashing is the same work in both cases, but under load its
/// queue alone can take longer than [`ANSWER_FLOOR`].
pub const TRANSACTION_FLOOR: Duration = Duration::from_millis(100);

/// A sign-up with the password hashed and the ids generated, ready for its transaction.
#[derive(Debug)]
pub struct SignUp {
    call: Arc<Call>,
    user: UserId,
    workspace: WorkspaceId,
    email: Email,
    name: PersonName,
    password: PasswordHash,
}

impl SignUp {
    /// Hashes the password, outside any transaction and whether the address has an account or not.
    pub async fn prepare(ctx: Ctx, account: NewAccount, passwords: &Passwords) -> Result<Self, Error> {
        let password = passwords.hash(account.password).await?;
        let (user, workspace) = (UserId::generate(ctx.now), WorkspaceId::generate(ctx.now));
        Ok(Self { call: Call::new(ctx), user, workspace, email: account.email, name: account.name, password })
    }

    /// Id of the account to be created.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// Id of the first workspace to be created.
    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }
}

impl Sealed for SignUp {}

/// The rows of the new person and of their first workspace.
impl Proof for SignUp {
    fn scope(&self) -> Scope {
        let reach = Reach::both(self.user, self.workspace);
        Scope::new(reach, Actor::User(self.user), self.call.clone()).unauthenticated()
    }
}

/// Creates the account, its workspace and membership, and what [`Hooks::on_signup`] adds. Returns
/// `None` if the address has an account: the caller drops the transaction and answers exactly as for success, so that the
/// response does not reveal who has an account.
pub async fn sign_up(
    sign_up: &SignUp,
    tx: &mut dyn Tx,
    policy: &Arc<Policy>,
    hooks: &[Arc<dyn Hooks>],
) -> Result<Option<SignedUp>, Error> {
    let new = NewUser {
        id: sign_up.user,
        email: &sign_up.email,
        name: &sign_up.name,
        password: &sign_up.password,
        at: sign_up.call.ctx().now,
    };
    if !tx.users().insert(&new).await? {
        return Ok(None);
    }
    let actor = Actor::User(sign_up.user);
    let entry = AuditEntry::new(sign_up.call.ctx(), actor, sign_up.user, action::USER_SIGN_UP);
    tx.records().audit(entry.target("user", sign_up.user));
    let creator = Creator { ctx: sign_up.call.ctx(), user: sign_up.user, actor };
    let choice = NameChoice {
        name: WorkspaceName::of_person(&sign_up.name),
        slug: Slug::derive(sign_up.name.as_str()),
        exact: false,
    };
    let workspace = workspaces::create_workspace(&creator, tx, sign_up.workspace, choice).await?;
    let signed_up =
        SignedUp { at: sign_up.call.ctx().now, user: sign_up.user, email: sign_up.email.clone(), workspace };
    if !hooks.is_empty() {
        let at = sign_up.call.ctx().now;
        let workspace = &signed_up.workspace;
        let entitlements = workspace.entitlements.clone();
        let authority = Authority::system(policy, "sign_up", workspace.id, entitlements, Some(sign_up.user), at);
        let grant = Arc::new(Grant::new(Arc::new(authority), sign_up.call.clone()));
        for hook in hooks {
            hook.on_signup(&grant, tx, &signed_up).await?;
        }
    }
    Ok(Some(signed_up))
}
