//! Teammates and keys, through the kernel's own functions; and calls that were let in and go on only later.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use saas_kernel::access::{
    CreateApiKey, DeleteApiKey, EvenReadOnly, InviteMember, ReadWorkspace, RemoveMember, UpdateMember,
};
use saas_kernel::audit;
use saas_kernel::conformance::Backend;
use saas_kernel::id::{ApiKeyId, WorkspaceId};
use saas_kernel::identity::api_keys::{self, NewApiKey};
use saas_kernel::identity::authenticate::Keep;
use saas_kernel::identity::lookups::WorkspaceRef;
use saas_kernel::page::PageRequest;
use saas_kernel::secret::Token;
use saas_kernel::tenancy::invites::{self, Invited};
use saas_kernel::tenancy::members;
use saas_kernel::tenancy::workspaces::Rename;
use saas_kernel::{BoxError, Ctx, Error, Grant, Scope, Store, SystemStore};
use saas_kernel_tests::eventually;

use crate::side::{Side, address, missing};

/// How often the use of a key is noted.
const NOTED_EVERY: TimeDelta = TimeDelta::minutes(5);
const ROLES: [&str; 5] = ["owner", "admin", "member", "viewer", "king"];
const SCOPES: [&str; 3] = ["workspace.read", "api_key.delete", "member.list"];

impl<B: Backend> Side<'_, B> {
    /// What the person may do there now.
    pub(crate) async fn grant(&self, person: u8, workspace: u8) -> Result<Arc<Grant>, Error> {
        let asked = Some(self.workspace_for(person, workspace));
        Ok(self.caller(person, asked, None, "").await?.grant.ok_or_else(missing)?)
    }

    /// Below 4: the newest to the person, if any; else one of all, or one that nobody has.
    pub(crate) fn invite_token(&self, person: u8, index: u8) -> Token {
        let own = self.invites.iter().find(|(whom, _)| *whom == person && index < 4);
        let found = own.or_else(|| self.invites.get(usize::from(index)));
        found.map_or_else(|| Token::presented("inv_unknown"), |(_, token)| token.clone())
    }

    pub(crate) async fn invite(&mut self, person: u8, workspace: u8, whom: u8, role: u8) -> String {
        let made = async {
            let grant = self.grant(person, workspace).await?;
            let (can, role) = (grant.allow::<InviteMember>()?, ROLES[usize::from(role)]);
            let mut tx = self.store.begin(Scope::of(&grant)).await?;
            let made = invites::create(&can, &mut *tx, address(whom, whom.is_multiple_of(2)), role).await?;
            tx.commit().await?;
            Ok::<_, Error>(made)
        }
        .await;
        // The newest come first, so that small numbers meet them.
        if let Ok((_, token)) = &made {
            self.invites.insert(0, (whom, token.clone()));
        }
        self.words.result(&made.map(|(invite, _)| invite))
    }

    pub(crate) async fn accept(&self, person: u8, invite: u8, keep: bool) -> String {
        let joined = async {
            let session = self.caller(person, None, None, "").await?.session;
            let invited = Invited::with(&self.kernel, &session, &self.invite_token(person, invite)).await?;
            let mut tx = self.store.begin(Scope::invited(&invited)).await?;
            let member = invites::accept(&self.kernel, &invited, &mut *tx).await?;
            if keep {
                tx.commit().await?;
            }
            Ok::<_, Error>(member)
        }
        .await;
        self.words.result(&joined)
    }

    pub(crate) async fn change_role(&self, person: u8, workspace: u8, whom: u8, role: u8) -> String {
        let changed = async {
            let grant = self.grant(person, workspace).await?;
            let can = grant.allow::<UpdateMember>()?;
            let mut tx = self.store.begin(Scope::of(&grant)).await?;
            let member = members::change_role(&can, &mut *tx, self.user(whom), ROLES[usize::from(role)]).await?;
            tx.commit().await?;
            Ok::<_, Error>(member)
        }
        .await;
        self.words.result(&changed)
    }

    pub(crate) async fn remove(&self, person: u8, workspace: u8, whom: u8) -> String {
        let removed = async {
            let grant = self.grant(person, workspace).await?;
            let mut tx = self.store.begin(Scope::of(&grant)).await?;
            if whom == person {
                members::leave(&grant, &mut *tx).await?;
            } else {
                members::remove(&grant.allow::<EvenReadOnly<RemoveMember>>()?, &mut *tx, self.user(whom)).await?;
            }
            tx.commit().await?;
            Ok::<_, Error>(())
        }
        .await;
        self.words.result(&removed)
    }

    pub(crate) async fn make_key(&mut self, person: u8, workspace: u8, scopes: u8) -> String {
        let made = async {
            let grant = self.grant(person, workspace).await?;
            let can = grant.allow::<CreateApiKey>()?;
            let of = |bit: &usize| scopes >> bit & 1 == 1;
            let scopes = (0..SCOPES.len()).filter(of).map(|bit| SCOPES[bit].to_owned()).collect();
            let mut tx = self.store.begin(Scope::of(&grant)).await?;
            let made = api_keys::create(&can, &mut *tx, NewApiKey { name: "key".to_owned(), scopes, expires_at: None });
            let made = made.await?;
            tx.commit().await?;
            Ok::<_, Error>((grant.workspace(), made))
        }
        .await;
        if let Ok((workspace, (key, token))) = &made {
            self.keys.insert(0, (*workspace, key.id, token.clone()));
        }
        // Its prefix is random.
        self.words.result(&made.map(|(_, (key, _))| (key.name, key.scopes)))
    }

    pub(crate) async fn let_in(&mut self, person: u8, workspace: u8, key: Option<u8>) -> String {
        let let_in = async {
            let Some(key) = key else { return self.grant(person, workspace).await };
            let (workspace, id, token) = self.keys.iter().cycle().nth(usize::from(key)).cloned().ok_or_else(missing)?;
            let (ctx, asked) = (Ctx::at(self.now()), WorkspaceRef::Id(workspace));
            let program = self.kernel.authenticate_key(ctx, &token, Some(&asked), Keep::No).await?;
            let grant = program.and_then(|program| program.grant).ok_or_else(missing)?;
            // Its use is noted beside the call: nothing else must come before that on one side only.
            let noted =
                || async { Ok(self.used_at(workspace, id).await?.is_some_and(|at| self.now() - at < NOTED_EVERY)) };
            eventually("the use of a key is noted", noted).await.map_err(Error::broken)?;
            Ok(grant)
        }
        .await;
        if let Ok(grant) = &let_in {
            self.let_in.insert(0, grant.clone());
        }
        self.words.result(&let_in.map(|grant| grant.role().name.clone()))
    }

    async fn used_at(&self, workspace: WorkspaceId, id: ApiKeyId) -> Result<Option<DateTime<Utc>>, BoxError> {
        let mut tx = self.system.begin("comparison").await?;
        let keys = tx.api_keys().list(workspace, &PageRequest::first(100)).await?.items;
        Ok(keys.into_iter().find(|key| key.id == id).and_then(|key| key.last_used_at))
    }

    pub(crate) async fn late(&self, call: u8, revoke: Option<u8>) -> String {
        let done = async {
            let grant = self.let_in.iter().cycle().nth(usize::from(call)).ok_or_else(missing)?;
            let mut tx = self.store.begin(Scope::of(grant)).await?;
            let rename = Rename { name: Some("Late".parse()?), slug: None };
            tx.workspaces().rename(grant.workspace(), &rename, self.now()).await?;
            if let Ok(can) = grant.allow::<ReadWorkspace>() {
                audit::record(&can, &mut *tx, "test.late", "workspace", can.workspace())?;
            }
            if let Some((_, id, _)) = revoke.and_then(|key| self.keys.get(usize::from(key))) {
                api_keys::revoke(&grant.allow::<EvenReadOnly<DeleteApiKey>>()?, &mut *tx, *id).await?;
            }
            tx.commit().await?;
            Ok::<_, Error>(())
        }
        .await;
        self.words.result(&done)
    }
}
