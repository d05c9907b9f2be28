//! Sign-up: an account, its first workspace and whatever the product adds, in one transaction.

use crate::access::catalog::Catalog;
use crate::base::actor::Actor;
use crate::base::checkout::Checkout;
use crate::base::ctx::Ctx;
use crate::base::error::{Error, Fields, Refusal};
use crate::base::id::{UserId, WorkspaceId};
use crate::hooks::{Hooks, SignedUp};
use crate::identity::password::{Password, PasswordHash, Passwords};
use crate::identity::users::{Email, NewUser, PersonName};
use crate::store::seal::Sealed;
use crate::store::{Proof, Reach, Scope, Tx};
use crate::tenancy::workspaces::{self, Creator, NameChoice, Slug, WorkspaceName};

/// What a person gives to sign up.
#[derive(Debug)]
pub struct NewAccount {
    /// Their address.
    pub email: Email,
    /// Their password.
    pub password: Password,
    /// What they want to be called.
    pub name: PersonName,
}

impl NewAccount {
    /// Parses all fields and reports all that are wrong.
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

/// Answers to sign-ups are held back until this long after they began. A sign-up that makes something writes more than one
/// that does not: without the floor, the time would tell who has an account.
pub const ANSWER_FLOOR: std::time::Duration = std::time::Duration::from_millis(150);

/// A sign-up whose password is hashed and whose ids are chosen, ready for its transaction.
#[derive(Debug)]
pub struct SignUp {
    ctx: Ctx,
    user: UserId,
    workspace: WorkspaceId,
    email: Email,
    name: PersonName,
    password: PasswordHash,
}

impl SignUp {
    /// Hashes the password, outside any transaction, whether the address has an account or not.
    pub async fn prepare(ctx: Ctx, account: NewAccount, passwords: &Passwords) -> Result<Self, Error> {
        let password = passwords.hash(account.password).await?;
        let (user, workspace) = (UserId::generate(ctx.now), WorkspaceId::generate(ctx.now));
        Ok(Self { ctx, user, workspace, email: account.email, name: account.name, password })
    }

    /// The account's id to be.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// The first workspace's id to be.
    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }
}

impl Sealed for SignUp {}

/// The new person's own rows and their first workspace.
impl Proof for SignUp {
    fn scope(&self) -> Scope {
        let reach = Reach::both(self.user, self.workspace);
        Scope::new(reach, Actor::User(self.user), &self.ctx, Checkout::default()).unauthenticated()
    }
}

/// Makes account, workspace, membership and what [`Hooks::on_signup`](crate::Hooks::on_signup) adds. `None` when the
/// address has an account: the caller drops the transaction and answers exactly as for success, so that nobody learns
/// who has an account.
pub async fn sign_up(
    sign_up: &SignUp,
    tx: &mut dyn Tx,
    catalog: &Catalog,
    hooks: &dyn Hooks,
) -> Result<Option<SignedUp>, Error> {
    let new = NewUser {
        id: sign_up.user,
        email: &sign_up.email,
        name: &sign_up.name,
        password: &sign_up.password,
        at: sign_up.ctx.now,
    };
    if !tx.users().insert(&new).await? {
        return Ok(None);
    }
    let creator = Creator { ctx: &sign_up.ctx, user: sign_up.user, actor: Actor::User(sign_up.user) };
    let choice = NameChoice {
        name: WorkspaceName::of_person(&sign_up.name),
        slug: Slug::derive(sign_up.name.as_str()),
        exact: false,
    };
    let workspace = workspaces::create_workspace(catalog, &creator, tx, sign_up.workspace, choice).await?;
    let signed_up = SignedUp { at: sign_up.ctx.now, user: sign_up.user, email: sign_up.email.clone(), workspace };
    hooks.on_signup(tx, &signed_up).await?;
    Ok(Some(signed_up))
}
