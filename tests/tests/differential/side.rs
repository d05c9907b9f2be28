//! One side of the comparison: a kernel over a system of record, and who and what there is on it.

use std::any::Any;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use saas_kernel::audit::{AuditFilter, AuditRecord};
use saas_kernel::clock::{Clock, TestClock};
use saas_kernel::conformance::{Backend, Fresh};
use saas_kernel::guard::idempotency::IdempotencyKey;
use saas_kernel::id::{ApiKeyId, UserId, WorkspaceId};
use saas_kernel::identity::authenticate::{Caller, Keep};
use saas_kernel::identity::lookups::WorkspaceRef;
use saas_kernel::identity::users::Email;
use saas_kernel::memory::MemoryStore;
use saas_kernel::memory::billing::MemoryBilling;
use saas_kernel::page::PageRequest;
use saas_kernel::secret::Token;
use saas_kernel::tenancy::workspaces::Slug;
use saas_kernel::{BoxError, Ctx, Error, Grant, Kernel, ProductConfig, Refusal, SystemStore, Tx};
use saas_kernel_postgres::PgTx;
use serde_json::Value;

use crate::operations::PEOPLE;
use crate::words::Words;

const CONFIG: &str = "
brand: { name: Comparison }
plans:
  - { key: free, name: Free, limits: { projects: 3, members: 3 } }
  - { key: starter, name: Starter, limits: { projects: 5, members: 4 }, prices: [{ amount: 1, currency: usd, interval: month, provider_price: price_1 }] }
  - { key: pro, name: Pro, limits: { projects: unlimited, members: unlimited }, prices: [{ amount: 2, currency: usd, interval: month, provider_price: price_2 }] }
";

/// Whose subscriptions they are.
pub(crate) const PROVIDER: &str = "memory";

pub(crate) struct Side<'b, B: Backend> {
    pub(crate) backend: &'b B,
    pub(crate) kernel: Kernel,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) store: B::Store,
    pub(crate) system: B::System,
    pub(crate) words: Words,
    pub(crate) people: Vec<Option<Person>>,
    pub(crate) workspaces: Vec<WorkspaceId>,
    founders: Vec<u8>,
    /// The invites that were made, and to whom.
    pub(crate) invites: Vec<(u8, Token)>,
    /// The keys that were made, and where.
    pub(crate) keys: Vec<(WorkspaceId, ApiKeyId, Token)>,
    /// Calls that were let in and have done nothing yet.
    pub(crate) let_in: Vec<Arc<Grant>>,
    _keep: Box<dyn Any + Send + Sync>,
}

pub(crate) struct Person {
    pub(crate) user: UserId,
    pub(crate) token: Option<Token>,
}

pub(crate) fn name(index: u8) -> String {
    format!("Name {index}")
}

pub(crate) fn slug(index: u8) -> Slug {
    // Also the slugs that sign-ups derive.
    name(index).to_lowercase().replace(' ', "-").parse().unwrap()
}

pub(crate) fn address(person: u8, shout: bool) -> Email {
    let text = format!("person{person}@example.com");
    if shout { text.to_uppercase() } else { text }.parse().unwrap()
}

impl<'b, B: Backend> Side<'b, B> {
    pub(crate) async fn new(backend: &'b B, clock: Arc<TestClock>) -> Result<Self, BoxError> {
        let Fresh { store, system, keep } = backend.fresh().await?;
        let kernel = Kernel::builder(ProductConfig::parse(CONFIG)?)
            .store(store.clone())
            .system(system.clone())
            .billing(MemoryBilling::default())
            .clock(clock.clone())
            .build()?;
        let (people, workspaces, founders) = ((0..PEOPLE).map(|_| None).collect(), Vec::new(), Vec::new());
        Ok(Self {
            backend,
            kernel,
            clock,
            store,
            system,
            words: Words::default(),
            people,
            workspaces,
            founders,
            invites: Vec::new(),
            keys: Vec::new(),
            let_in: Vec::new(),
            _keep: keep,
        })
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// One that exists, or one that nobody has.
    pub(crate) fn workspace(&self, index: u8) -> WorkspaceId {
        self.workspaces.get(usize::from(index)).copied().unwrap_or_else(|| WorkspaceId::generate(self.now()))
    }

    pub(crate) fn user(&self, index: u8) -> UserId {
        self.people[usize::from(index)].as_ref().map_or_else(|| UserId::generate(self.now()), |person| person.user)
    }

    /// Below 4: one of those that the person founded, if any; else one of all.
    pub(crate) fn workspace_for(&self, person: u8, index: u8) -> WorkspaceId {
        let own: Vec<WorkspaceId> =
            self.workspaces.iter().zip(&self.founders).filter(|(_, by)| **by == person).map(|(id, _)| *id).collect();
        match own.len() {
            1.. if index < 4 => own[usize::from(index) % own.len()],
            _ => self.workspace(index),
        }
    }

    pub(crate) fn made(&mut self, founder: u8, workspace: WorkspaceId) {
        self.founders.push(founder);
        self.words.know(workspace, &format!("ws{}", self.workspaces.len()));
        self.workspaces.push(workspace);
    }

    /// The caller as authentication finds them now.
    pub(crate) async fn caller(
        &self,
        person: u8,
        workspace: Option<WorkspaceId>,
        key: Option<u8>,
        body: &str,
    ) -> Result<Caller, Error> {
        let none = || Refusal::new(&saas_kernel::error::codes::UNAUTHENTICATED, "nobody");
        let token = self.people[usize::from(person)].as_ref().and_then(|person| person.token.as_ref());
        let asked = workspace.map(WorkspaceRef::Id);
        let ctx = Ctx::at(self.now());
        let found =
            self.kernel.authenticate(ctx, token.ok_or_else(none)?, asked.as_ref(), Keep::ForTransaction).await?;
        let mut caller = found.ok_or_else(none)?;
        if let Some(key) = key {
            caller.set_idempotency(IdempotencyKey::parse(&format!("key-{key}"), "POST", "/", body.as_bytes())?);
        }
        Ok(caller)
    }

    /// An entry without what differs: its id, its time, and the request's id.
    pub(crate) fn entry(&self, record: &AuditRecord) -> String {
        let AuditRecord { workspace, actor, action, target_type, target_id, meta, ip, .. } = record;
        self.words.of((workspace, actor, action, target_type, target_id, meta.to_string(), ip))
    }

    /// All that is left, as the system sees it.
    pub(crate) async fn everything(&self) -> Result<Vec<String>, BoxError> {
        let (mut tx, mut found) = (self.system.begin("comparison").await?, Vec::new());
        for person in 0..PEOPLE {
            let user = self.user(person);
            found.push(self.words.of(tx.users().find(user).await?));
            found.push(self.words.of(tx.workspaces().of_user(user, &PageRequest::first(100)).await?.items));
        }
        for id in &self.workspaces {
            found.push(self.words.of(tx.workspaces().find(*id).await?));
            found.push(self.words.of(tx.limits().all(*id).await?));
            found.push(self.words.of(tx.subscriptions().of_workspace(*id).await?));
            found.push(self.words.of(tx.members().list(*id, &PageRequest::first(100)).await?.items));
            found.push(self.words.of(tx.invites().list(*id, &PageRequest::first(100)).await?.items));
            found.push(self.words.of(tx.api_keys().list(*id, &PageRequest::first(100)).await?.items));
            let log = tx.audit_log().list(*id, &AuditFilter::default(), &PageRequest::first(100)).await?;
            found.extend(log.items.iter().map(|record| self.entry(record)));
        }
        for id in &self.workspaces {
            found.push(self.words.of(self.outbox(&mut *tx, *id).await?));
        }
        Ok(found)
    }

    /// The subjects and bodies of a workspace's events, in their order. No repository reads them yet.
    async fn outbox(&self, tx: &mut dyn Tx, workspace: WorkspaceId) -> Result<Vec<(String, String)>, BoxError> {
        if let Some(memory) = (&self.store as &dyn Any).downcast_ref::<MemoryStore>() {
            let events = memory.outbox().into_iter().filter(|event| event.workspace == workspace);
            return Ok(events.map(|event| (event.subject.to_owned(), event.body.to_string())).collect());
        }
        let events = "SELECT subject, body FROM kernel.outbox WHERE workspace_id = $1 ORDER BY at, id";
        let events: Vec<(String, Value)> =
            sqlx::query_as(events).bind(workspace.uuid()).fetch_all(PgTx::of(tx)?.conn()).await?;
        Ok(events.into_iter().map(|(subject, body)| (subject, body.to_string())).collect())
    }
}

pub(crate) fn missing() -> Refusal {
    Refusal::new(&saas_kernel::error::codes::NOT_FOUND, "no workspace")
}
