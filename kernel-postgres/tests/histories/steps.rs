//! What each step does, through the kernel's own functions; in a world with a planted flow, as somebody in a hurry would
//! have written it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use saas_kernel::access::EvenReadOnly;
use saas_kernel::billing::provider::ProviderEvent;
use saas_kernel::id::WorkspaceId;
use saas_kernel::idempotency::IdempotencyKey;
use saas_kernel::identity::api_keys::{self, NewApiKey};
use saas_kernel::identity::authenticate::Keep;
use saas_kernel::permissions::{CreateApiKey, DeleteApiKey, InviteMember, ReadWorkspace, RemoveMember, UpdateMember};
use saas_kernel::tenancy::{invites, members};
use saas_kernel::{Error, Grant, Tx};
use saas_kernel_postgres::{PgResult, PgTx};

use crate::defects::Flow;
use crate::history::{History, Invited, Key};
use crate::operations::{End, ROLES, Step, What, Who};
use crate::world::{ReadItem, nobody};
use saas_kernel::identity::credential::Credential;

/// How a step ended that was not refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Committed,
    Dropped,
    /// There was nothing to do it to.
    Nothing,
    /// Answered from what is kept under the idempotency key.
    Replayed,
}

pub(crate) type Ended = Result<Outcome, Error>;

/// What authentication said to the task before.
#[derive(Default)]
pub(crate) struct Entered(Option<Arc<Grant>>);

impl History {
    /// Runs the step; `None` if its caller was gone before it ended.
    pub(crate) async fn run_step(&self, step: &Step, entered: &mut Entered) -> Option<Ended> {
        let mut running = pin!(self.step(step, entered));
        let mut polls = 0;
        poll_fn(|cx| {
            if step.end == End::Gone(polls) {
                return Poll::Ready(None);
            }
            polls += 1;
            running.as_mut().poll(cx).map(Some)
        })
        .await
    }

    async fn step(&self, step: &Step, entered: &mut Entered) -> Ended {
        match step.what {
            What::Enter => {
                entered.0 = None;
                let late = Step { late: true, ..*step };
                self.enter(&late, entered).await.map(|_| Outcome::Nothing)
            }
            What::Insert { reserve, rows } => self.insert(step, entered, reserve, rows).await,
            What::Delete => self.delete(step, entered).await,
            What::SoftDelete => self.mark(step, entered, true).await,
            What::Restore => self.mark(step, entered, false).await,
            What::InsertOnce { key } => self.insert_once(step, key).await,
            What::Rename { key } => self.rename(step, entered, key).await,
            What::Invite { whom, role } => self.invite(step, entered, whom, role).await,
            What::RevokeInvite { nth } => self.revoke_invite(step, entered, nth).await,
            What::Accept { nth } => self.accept(step, nth).await,
            What::ChangeRole { whom, role } => self.change_role(step, entered, whom, role).await,
            What::Remove { whom } => self.remove(step, entered, whom).await,
            What::Leave => self.leave(step, entered).await,
            What::CreateKey => self.create_key(step, entered).await,
            What::RevokeKey { nth } => self.revoke_key(step, entered, nth).await,
            What::LogIn => self.log_in(step).await,
            What::SignUp { nth } => self.sign_up(step, nth).await,
            What::Read => self.read(step, entered).await,
            What::Receive { nth } => self.receive(&self.events[nth]).await,
            What::Process { ahead } => {
                let drained = self.world.processors[usize::from(ahead)].drain().await?;
                Ok(if drained == 0 { Outcome::Nothing } else { Outcome::Committed })
            }
        }
    }

    /// Who calls where: a key reaches its own workspace only.
    fn caller(&self, step: &Step) -> Option<(Credential, WorkspaceId)> {
        match step.who {
            Who::Person(person) => Some((self.world.session_of(person), self.workspaces[step.workspace])),
            Who::Key(nth) => {
                self.shared().keys.get(nth).map(|key| (Credential::ApiKey(key.token.clone()), key.workspace))
            }
        }
    }

    /// Lets the caller in, now or, for a late step, as the task was let in before.
    pub(crate) async fn enter(&self, step: &Step, entered: &mut Entered) -> Result<Arc<Grant>, Error> {
        if let (true, Some(grant)) = (step.late, &entered.0) {
            return Ok(grant.clone());
        }
        let (credential, workspace) = self.caller(step).ok_or_else(nobody)?;
        if step.late {
            let grant = self.world.grant(&credential, workspace, None, Keep::No).await?;
            entered.0 = Some(grant.clone());
            return Ok(grant);
        }
        self.world.grant(&credential, workspace, None, Keep::ForTransaction).await
    }

    pub(crate) async fn enter_with_key(&self, step: &Step, key: u8, body: &str) -> Result<Arc<Grant>, Error> {
        let (credential, workspace) = self.caller(step).ok_or_else(nobody)?;
        let key = IdempotencyKey::parse(&key.to_string(), "POST", "/", body.as_bytes())?;
        self.world.grant(&credential, workspace, Some(key), Keep::ForTransaction).await
    }

    /// The transaction stays open for a while.
    pub(crate) async fn pause(&self, step: &Step, tx: &mut dyn Tx) -> Result<(), Error> {
        for _ in 0..step.pause {
            sqlx::query("SELECT 1").execute(PgTx::of(tx)?.conn()).await.store()?;
        }
        Ok(())
    }

    pub(crate) async fn end(&self, step: &Step, mut tx: PgTx) -> Ended {
        self.pause(step, &mut tx).await?;
        match step.end {
            End::Drop => return Ok(Outcome::Dropped),
            End::Commit | End::Gone(_) => tx.commit().await?,
        }
        Ok(Outcome::Committed)
    }

    async fn end_boxed(&self, step: &Step, mut tx: Box<dyn Tx>) -> Ended {
        self.pause(step, &mut *tx).await?;
        match step.end {
            End::Drop => return Ok(Outcome::Dropped),
            End::Commit | End::Gone(_) => tx.commit().await?,
        }
        Ok(Outcome::Committed)
    }

    async fn invite(&self, step: &Step, entered: &mut Entered, whom: usize, role: usize) -> Ended {
        let grant = self.enter(step, entered).await?;
        let can = grant.allow::<InviteMember>()?;
        let mut tx = self.world.begin(&grant).await?;
        let email = self.world.people[whom].email.clone();
        let (invite, token) =
            invites::create(&can, &mut tx, &invites::InviteSettings::default(), email, ROLES[role]).await?;
        let ended = self.end(step, tx).await?;
        if ended == Outcome::Committed {
            self.shared().invites.insert(0, Invited { whom, id: invite.id, role: invite.role, token });
        }
        Ok(ended)
    }

    async fn revoke_invite(&self, step: &Step, entered: &mut Entered, nth: usize) -> Ended {
        let Some(invited) = self.shared().invites.get(nth).cloned() else { return Ok(Outcome::Nothing) };
        let grant = self.enter(step, entered).await?;
        let can = grant.allow::<EvenReadOnly<InviteMember>>()?;
        let mut tx = self.world.begin(&grant).await?;
        invites::revoke(&can, &mut tx, invited.id).await?;
        self.end(step, tx).await
    }

    async fn accept(&self, step: &Step, nth: usize) -> Ended {
        let Some(invited) = self.shared().invites.get(nth).cloned() else { return Ok(Outcome::Nothing) };
        let (invite, mut tx) = self.world.begin_invited(invited.whom, &invited.token).await?;
        if self.world.flow == Some(Flow::AcceptsWhatIsUsed) {
            self.accept_what_is_used(&invited, &invite, &mut *tx).await?;
        } else {
            invites::accept(&invite, &mut *tx).await?;
        }
        self.end_boxed(step, tx).await
    }

    async fn change_role(&self, step: &Step, entered: &mut Entered, whom: usize, role: usize) -> Ended {
        let grant = self.enter(step, entered).await?;
        let can = grant.allow::<UpdateMember>()?;
        let mut tx = self.world.begin(&grant).await?;
        members::change_role(&can, &mut tx, self.world.people[whom].user, ROLES[role]).await?;
        self.end(step, tx).await
    }

    async fn remove(&self, step: &Step, entered: &mut Entered, whom: usize) -> Ended {
        let grant = self.enter(step, entered).await?;
        let can = grant.allow::<EvenReadOnly<RemoveMember>>()?;
        let mut tx = self.world.begin(&grant).await?;
        members::remove(&can, &mut tx, self.world.people[whom].user).await?;
        self.end(step, tx).await
    }

    async fn leave(&self, step: &Step, entered: &mut Entered) -> Ended {
        let grant = self.enter(step, entered).await?;
        let mut tx = self.world.begin(&grant).await?;
        if self.world.flow == Some(Flow::LeavesWithoutTheLock) {
            self.leave_without_the_lock(&grant, &mut tx).await?;
        } else {
            members::leave(&grant, &mut tx).await?;
        }
        self.end(step, tx).await
    }

    async fn create_key(&self, step: &Step, entered: &mut Entered) -> Ended {
        let grant = self.enter(step, entered).await?;
        let can = grant.allow::<CreateApiKey>()?;
        let mut tx = self.world.begin(&grant).await?;
        let scopes = vec!["item.write".to_owned(), "api_key.delete".to_owned()];
        let new = NewApiKey { name: "New".to_owned(), scopes, expires_at: None };
        let (key, token) = api_keys::create(&can, &mut tx, &api_keys::ApiKeySettings::default(), new).await?;
        let ended = self.end(step, tx).await?;
        if ended == Outcome::Committed {
            self.shared().keys.insert(0, Key { workspace: grant.workspace(), id: key.id, token });
        }
        Ok(ended)
    }

    async fn revoke_key(&self, step: &Step, entered: &mut Entered, nth: usize) -> Ended {
        let Some(key) = self.shared().keys.get(nth).cloned() else { return Ok(Outcome::Nothing) };
        let grant = self.enter(step, entered).await?;
        let can = grant.allow::<EvenReadOnly<DeleteApiKey>>()?;
        let mut tx = self.world.begin(&grant).await?;
        api_keys::revoke(&can, &mut tx, key.id).await?;
        self.end(step, tx).await
    }

    async fn log_in(&self, step: &Step) -> Ended {
        let Who::Person(person) = step.who else { return Ok(Outcome::Nothing) };
        let replaced = self.world.log_in_again(person).await?;
        self.shared().replaced.push(replaced.hash());
        Ok(Outcome::Committed)
    }

    async fn sign_up(&self, step: &Step, nth: usize) -> Ended {
        let prepared = &self.sign_ups[nth];
        let mut tx = self.world.begin_sign_up(prepared).await?;
        match self.world.kernel.sign_up(prepared, &mut *tx).await? {
            Some(_) => self.end_boxed(step, tx).await,
            None => Ok(Outcome::Nothing),
        }
    }

    async fn receive(&self, event: &ProviderEvent) -> Ended {
        self.world.receive(event).await?;
        self.shared().received.push(event.id.clone());
        Ok(Outcome::Committed)
    }

    /// Statements that do not name the workspace: the scope alone keeps the others' rows away.
    async fn read(&self, step: &Step, entered: &mut Entered) -> Ended {
        let grant = self.enter(step, entered).await?;
        grant.allow::<ReadItem>()?;
        let mut tx = self.world.begin(&grant).await?;
        for table in FOREIGN {
            let foreign = sqlx::query_scalar(table).bind(grant.workspace().uuid());
            let foreign: i64 = foreign.fetch_one(tx.conn()).await.store()?;
            if foreign > 0 {
                self.report_violation("no row of another workspace is seen", format!("{foreign} rows by {table}"));
            }
        }
        if let Ok(can) = grant.allow::<ReadWorkspace>() {
            saas_kernel::tenancy::workspaces::get(&can, &mut tx).await?;
        }
        self.end(step, tx).await
    }
}

const FOREIGN: [&str; 7] = [
    "SELECT count(*) FROM app.items WHERE workspace_id <> $1",
    "SELECT count(*) FROM kernel.memberships WHERE workspace_id <> $1",
    "SELECT count(*) FROM kernel.invites WHERE workspace_id <> $1",
    "SELECT count(*) FROM kernel.api_keys WHERE workspace_id <> $1",
    "SELECT count(*) FROM kernel.audit_log WHERE workspace_id <> $1",
    "SELECT count(*) FROM kernel.usage WHERE workspace_id <> $1",
    "SELECT count(*) FROM kernel.workspaces WHERE id <> $1",
];
