//! Calls of the repositories themselves, in whatever scope: what is refused, and how, and whether the transaction goes on.

use std::collections::BTreeMap;
use std::fmt::Debug;

use chrono::{DateTime, TimeDelta, Utc};
use saas_kernel::audit::{AuditEntry, AuditFilter};
use saas_kernel::billing::catalog::Cap;
use saas_kernel::billing::inbox::{ClaimedEvent, Outcome};
use saas_kernel::billing::provider::ProviderEvent;
use saas_kernel::billing::subscription::{Access, Status, Subscription};
use saas_kernel::conformance::Backend;
use saas_kernel::id::{ApiKeyId, InviteId, SessionId, SubscriptionId, WorkspaceId};
use saas_kernel::identity::api_keys::ApiKey;
use saas_kernel::identity::password::PasswordHash;
use saas_kernel::identity::sessions::{NewSession, SessionLife};
use saas_kernel::identity::users::NewUser;
use saas_kernel::page::PageRequest;
use saas_kernel::secret::Token;
use saas_kernel::tenancy::invites::{Invited, NewInvite};
use saas_kernel::tenancy::members::NewMembership;
use saas_kernel::tenancy::workspaces::{Founding, NewWorkspace, Rename, WorkspaceName};
use saas_kernel::{BoxError, Ctx, Error, Scope, Store, StoreError, SystemStore, Tx};
use serde_json::{Value, json};

use crate::operations::{Call, Whose};
use crate::side::{PROVIDER, Side, address, name, slug};

impl<B: Backend> Side<'_, B> {
    pub(crate) async fn probe(&mut self, scope: Whose, calls: &[Option<Call>], keep: bool) -> Result<String, BoxError> {
        let begun = self.begin(scope).await;
        let mut tx = match begun {
            Ok(tx) => tx,
            Err(error) => return Ok(self.words.result(&Err::<(), _>(error))),
        };
        let mut answers = Vec::new();
        for call in calls.iter().flatten() {
            answers.push(self.call(&mut *tx, *call).await);
        }
        if keep {
            let committed = tx.commit().await;
            answers.push(self.words.stored(&committed));
        }
        Ok(answers.join("; "))
    }

    async fn begin(&mut self, scope: Whose) -> Result<Box<dyn Tx>, Error> {
        Ok(match scope {
            Whose::Tenant { person, workspace } => {
                self.store.begin(Scope::of(&*self.grant(person, workspace).await?)).await?
            }
            Whose::Person(person) => {
                self.store.begin(Scope::of_user(&self.caller(person, None, None, "").await?.session)).await?
            }
            Whose::Founding(person) => {
                let founding = Founding::by(&self.caller(person, None, None, "").await?.session);
                self.words.know(founding.workspace(), "probed");
                self.store.begin(Scope::founding(&founding)).await?
            }
            Whose::Joining { person, invite } => {
                let session = self.caller(person, None, None, "").await?.session;
                let invited = Invited::with(&self.kernel, &session, &self.invite_token(person, invite)).await?;
                self.store.begin(Scope::invited(&invited)).await?
            }
            Whose::System => self.system.begin("probe").await?,
        })
    }

    async fn call(&self, tx: &mut dyn Tx, call: Call) -> String {
        let Call { what, person, workspace, word } = call;
        let (user, id, at) = (self.user(person), self.target(tx, workspace), self.now());
        let (slug, name) = (slug(word), name(word).parse::<WorkspaceName>().unwrap());
        let page = PageRequest::first(2);
        let caps = || {
            BTreeMap::from([
                ("projects".to_owned(), Cap::Finite(u64::from(word))),
                ("boards".to_owned(), Cap::Unlimited),
            ])
        };
        match what {
            0 => self.said(tx.users().find(user).await),
            1 => {
                let (email, password) = (address(person, true), PasswordHash::stored("$x".to_owned()));
                let name = "Probe".parse().unwrap();
                self.said(
                    tx.users().insert(&NewUser { id: user, email: &email, name: &name, password: &password, at }).await,
                )
            }
            2 => {
                let (session, token) = (SessionId::generate(at), Token::generate("").hash());
                let new =
                    NewSession { id: session, user, token, created_at: at, expires_at: at, ip: None, user_agent: None };
                self.said(tx.sessions().insert(&new).await)
            }
            3 => self.said(tx.sessions().delete_by_token(&Token::generate("").hash()).await),
            4 => self.said(tx.sessions().touch(user, SessionId::generate(at), at, SessionLife::default()).await),
            5 => self.said(tx.workspaces().claim_slug(id, &slug, at).await),
            6 => {
                let by = saas_kernel::Actor::User(user);
                let new = NewWorkspace { id, slug: &slug, name: &name, created_by: by, at };
                self.said(tx.workspaces().insert(&new).await)
            }
            7 => self.said(tx.workspaces().find(id).await),
            8 => self.said(tx.workspaces().of_user(user, &page).await),
            9 => self.said(tx.workspaces().rename(id, &Rename { name: Some(name), slug: None }, at).await),
            10 => self.said(tx.workspaces().lock(id).await),
            11 => {
                let access = [Access::Full, Access::Grace, Access::ReadOnly, Access::None][usize::from(word % 4)];
                self.said(tx.workspaces().set_plan(id, [None, Some("pro")][usize::from(word % 2)], access, at).await)
            }
            12 | 13 => {
                let role = ["member", "admin", "viewer", "unheard-of"][usize::from(word % 4)];
                self.said(tx.members().insert(&NewMembership { workspace: id, user, role, at }).await)
            }
            14 => self.said(tx.limits().reserve(id, "projects", u32::from(word)).await),
            15 => self.said(tx.limits().usage(id, "projects").await),
            16 => self.said(tx.limits().all(id).await),
            17 => self.said(tx.limits().open(id, &caps()).await),
            18 => self.said(tx.limits().set_caps(id, &caps()).await),
            19 => self.said(tx.subscriptions().of_workspace(id).await),
            20 => self.said(tx.subscriptions().workspace_of_customer(PROVIDER, &format!("cus_{}", word % 3)).await),
            21 => self.said(tx.subscriptions().save(&subscription(id, word, at)).await),
            22 => {
                let (created_at, payload) =
                    (DateTime::UNIX_EPOCH + TimeDelta::minutes(i64::from(word)), json!({ "id": word }));
                let event =
                    ProviderEvent { id: format!("probe_{word}"), kind: "probe".to_owned(), created_at, payload };
                self.said(tx.inbox().receive("probe", &event, at).await)
            }
            23 => {
                let mut claimed = tx.inbox().claim("probe", 100, at, at + TimeDelta::minutes(i64::from(word))).await;
                if let Ok(claimed) = &mut claimed {
                    claimed.events.sort_by(|a, b| (&a.provider, &a.event_id).cmp(&(&b.provider, &b.event_id)));
                }
                self.said(claimed)
            }
            24 => {
                let created_at = DateTime::UNIX_EPOCH + TimeDelta::minutes(i64::from(word));
                let (provider, event_id, kind) = ("probe".to_owned(), format!("probe_{word}"), "probe".to_owned());
                let attempt = i32::from(person);
                let event = ClaimedEvent { provider, event_id, kind, created_at, payload: Value::Null, attempt };
                let failed = Outcome::Failed { error: "probed".to_owned(), retry_at: Some(at + TimeDelta::minutes(1)) };
                self.said(tx.inbox().finish(&event, &failed, at).await)
            }
            25..=43 => self.teammates(tx, call).await,
            _ => {
                let entry = AuditEntry::new(&Ctx::at(at), saas_kernel::Actor::User(user), id, "probe.noted");
                tx.records().audit(entry.target("word", word));
                let log = tx.audit_log().list(id, &AuditFilter::default(), &page).await;
                let entries = log.map(|log| log.items.iter().map(|record| self.entry(record)).collect::<Vec<_>>());
                self.said(entries)
            }
        }
    }

    /// Members, invites and keys. Their ids are made of the word, so that they are the same on both sides.
    async fn teammates(&self, tx: &mut dyn Tx, call: Call) -> String {
        let Call { what, person, workspace, word } = call;
        let (user, id, at) = (self.user(person), self.target(tx, workspace), self.now());
        let page = PageRequest::first(2);
        let role = ["owner", "member", "viewer"][usize::from(word % 3)];
        let uuid = saas_kernel::Uuid::from_u128(u128::from(word));
        let (invite, key) = (InviteId::from(uuid), ApiKeyId::from(uuid));
        let token = Token::presented(&format!("{word}")).hash();
        match what {
            25 => self.said(tx.members().find(id, user).await),
            26 => self.said(tx.members().list(id, &page).await),
            27 => self.said(tx.members().of_user(user, &page).await),
            28 => self.said(tx.members().another(id, role, user).await),
            29 => self.said(tx.members().has_email(id, &address(person, true)).await),
            30 | 31 => self.said(tx.members().set_role(id, user, role, at).await),
            32 => self.said(tx.members().remove(id, user).await),
            33 | 34 => {
                let (email, expires_at) = (address(person, word % 2 == 0), at + TimeDelta::minutes(i64::from(word)));
                let new = NewInvite { id: invite, workspace: id, email: &email, role, token, by: user, at, expires_at };
                self.said(tx.invites().put(&new).await)
            }
            35 => self.said(tx.invites().list(id, &page).await),
            36 => self.said(tx.invites().open(id, &address(person, true), at).await),
            37 => self.said(tx.invites().revoke(id, invite, at).await),
            38 => self.said(tx.invites().consume(id, invite, user, at).await),
            39 => {
                let new = ApiKey {
                    id: key,
                    name: role.to_owned(),
                    prefix: "sk_".to_owned(),
                    scopes: vec![role.to_owned()],
                    created_by: user,
                    created_at: at,
                    expires_at: (word % 2 == 0).then(|| at + TimeDelta::minutes(1)),
                    last_used_at: None,
                };
                self.said(tx.api_keys().insert(id, &new, &token).await)
            }
            40 => self.said(tx.api_keys().list(id, &page).await),
            41 => self.said(tx.api_keys().count(id, at).await),
            42 => self.said(tx.api_keys().revoke(id, key, at).await),
            _ => self.said(tx.api_keys().touch(id, key, at).await),
        }
    }

    /// The workspace of the number, or, beyond those there are, the transaction's own.
    fn target(&self, tx: &dyn Tx, index: u8) -> WorkspaceId {
        let own = saas_kernel::conformance::workspace_of(tx);
        match self.workspaces.get(usize::from(index)) {
            Some(id) => *id,
            None => own.unwrap_or_else(|_| WorkspaceId::generate(self.now())),
        }
    }

    fn said<T: Debug>(&self, result: Result<T, StoreError>) -> String {
        self.words.stored(&result)
    }
}

fn subscription(workspace: WorkspaceId, word: u8, at: DateTime<Utc>) -> Subscription {
    Subscription {
        id: SubscriptionId::generate(at),
        workspace,
        provider: PROVIDER.to_owned(),
        provider_subscription: format!("probed_{}", word % 2),
        provider_customer: format!("cus_{}", word % 3),
        status: Status::Active,
        plan: "pro".to_owned(),
        quantity: u64::from(word),
        period: (at, at),
        cancel_at: None,
        ended_at: None,
        as_of: at,
    }
}
