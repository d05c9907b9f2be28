//! One side of the comparison: a kernel over a system of record, and who and what there is on it.

use std::any::Any;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use saas_kernel::access::{ReadAudit, ReadWorkspace, UpdateWorkspace};
use saas_kernel::audit::{self, AuditFilter, AuditRecord};
use saas_kernel::billing::provider::{BillingFact, BillingProvider, Headers, ProviderEvent};
use saas_kernel::billing::subscription::{Change, Status, SubscriptionFact, SubscriptionItem};
use saas_kernel::billing::{entitlements, limits};
use saas_kernel::clock::{Clock, TestClock};
use saas_kernel::conformance::{Backend, Fresh, LIMIT};
use saas_kernel::guard::idempotency::{IdempotencyKey, StoredAnswer};
use saas_kernel::id::{UserId, WorkspaceId};
use saas_kernel::identity::authenticate::{Caller, Keep};
use saas_kernel::identity::login::{self, VerifiedLogin};
use saas_kernel::identity::lookups::WorkspaceRef;
use saas_kernel::identity::sign_up::{self, NewAccount, SignUp};
use saas_kernel::identity::users::Email;
use saas_kernel::page::{Page, PageRequest};
use saas_kernel::secret::Token;
use saas_kernel::tenancy::workspaces::{self, Founding, Rename, Slug, WorkspaceName};
use saas_kernel::{BoxError, Ctx, Error, Kernel, ProductConfig, Refusal, Scope, Store, StoreError, SystemStore, Tx};
use serde_json::{Value, json};

use crate::operations::{Call, Operation, PEOPLE, Whose};
use crate::words::Words;

#[path = "probe.rs"]
mod probe;

const CONFIG: &str = "
brand: { name: Comparison }
plans:
  - { key: free, name: Free, limits: { projects: 3 } }
  - { key: starter, name: Starter, limits: { projects: 5 }, prices: [{ amount: 1, currency: usd, interval: month, provider_price: price_1 }] }
  - { key: pro, name: Pro, limits: { projects: unlimited }, prices: [{ amount: 2, currency: usd, interval: month, provider_price: price_2 }] }
";
pub(crate) const PROVIDER: &str = "comparison";

pub(crate) struct Side<'b, B: Backend> {
    backend: &'b B,
    pub(crate) kernel: Kernel,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) store: B::Store,
    pub(crate) system: B::System,
    pub(crate) words: Words,
    people: Vec<Option<Person>>,
    workspaces: Vec<WorkspaceId>,
    founders: Vec<u8>,
    _keep: Box<dyn Any + Send + Sync>,
}

struct Person {
    user: UserId,
    token: Option<Token>,
}

pub(crate) fn name(index: u8) -> String {
    format!("Name {index}")
}

pub(crate) fn slug(index: u8) -> Slug {
    // Also the slugs that sign-ups derive.
    name(index).to_lowercase().replace(' ', "-").parse().unwrap()
}

fn address(person: u8, shout: bool) -> Email {
    let text = format!("person{person}@example.com");
    if shout { text.to_uppercase() } else { text }.parse().unwrap()
}

impl<'b, B: Backend> Side<'b, B> {
    pub(crate) async fn new(backend: &'b B, clock: Arc<TestClock>) -> Result<Self, BoxError> {
        let Fresh { store, system, keep } = backend.fresh().await?;
        let kernel = Kernel::builder(ProductConfig::parse(CONFIG)?)
            .store(store.clone())
            .system(system.clone())
            .billing(Provider)
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

    fn made(&mut self, founder: u8, workspace: WorkspaceId) {
        self.founders.push(founder);
        self.words.know(workspace, &format!("ws{}", self.workspaces.len()));
        self.workspaces.push(workspace);
    }

    pub(crate) async fn perform(&mut self, operation: &Operation) -> Result<String, BoxError> {
        Ok(match *operation {
            Operation::SignUp { person, shout } => self.sign_up(person, shout).await,
            Operation::LogIn { person, replace } => self.log_in(person, replace).await,
            Operation::LogOut { person } => self.log_out(person).await,
            Operation::Found { person, slug, key, keep } => self.found(person, slug, key, keep).await,
            Operation::Rename { person, workspace, name, slug, key, keep } => {
                let rename =
                    Rename { name: name.map(|n| self::name(n).parse()).transpose()?, slug: slug.map(self::slug) };
                let done = self.rename(person, workspace, rename, key, keep).await;
                self.words.result(&done)
            }
            Operation::Rows { person, workspace, reserve, insert, delete, keep } => {
                let done = self.rows(person, workspace, reserve, insert, delete, keep).await;
                self.words.result(&done)
            }
            Operation::Read { person, workspace } => {
                let read = self.read(person, workspace).await;
                self.words.result(&read)
            }
            Operation::Audit { person, workspace, limit, filter } => {
                let read = self.audit(person, workspace, limit, filter).await;
                self.words.result(&read)
            }
            Operation::Workspaces { person, limit } => {
                let read = self.list(person, limit).await;
                self.words.result(&read)
            }
            Operation::Fact { id, workspace, known, plan, status, change, ago } => {
                let workspace = if known { self.workspace(workspace).to_string() } else { String::new() };
                let payload = json!({ "id": id, "workspace": workspace, "plan": plan, "status": status, "change": change,
                                      "as_of": (self.now() - TimeDelta::seconds(i64::from(ago) * 5)).timestamp() });
                let processor = self.kernel.billing_processor().ok_or("a processor")?;
                // Of equal times nobody says which event comes first.
                let created_at = DateTime::UNIX_EPOCH + TimeDelta::days(i64::from(id));
                let event = ProviderEvent { id: format!("evt_{id}"), kind: "fact".to_owned(), created_at, payload };
                let received = processor.receive(&Ctx::at(self.now()), &event).await;
                self.words.result(&received)
            }
            Operation::Process => {
                let drained = self.kernel.billing_processor().ok_or("a processor")?.drain().await;
                self.words.result(&drained)
            }
            Operation::Wait(_) => String::new(),
            Operation::Probe { scope, calls, keep } => self.probe(scope, &calls, keep).await?,
        })
    }

    async fn sign_up(&mut self, person: u8, shout: bool) -> String {
        let signed_up = async {
            let account = NewAccount::parse(address(person, shout).as_str(), "correct horse battery", &name(person))?;
            let prepared = SignUp::prepare(Ctx::at(self.now()), account, self.kernel.passwords()).await?;
            let mut tx = self.store.begin(Scope::sign_up(&prepared)).await?;
            let done = sign_up::sign_up(&self.kernel, &prepared, &mut *tx).await?;
            if done.is_some() {
                tx.commit().await?;
            }
            Ok::<_, Error>(done)
        }
        .await;
        if let Ok(Some(made)) = &signed_up {
            self.words.know(made.user, &format!("person{person}"));
            self.people[usize::from(person)] = Some(Person { user: made.user, token: None });
            self.made(person, made.workspace.id);
        }
        self.words.result(&signed_up)
    }

    pub(crate) async fn verified(&self, person: u8) -> Result<VerifiedLogin, Error> {
        let password = "correct horse battery".parse()?;
        login::verify(&self.kernel, Ctx::at(self.now()), &address(person, false), password).await
    }

    async fn log_in(&mut self, person: u8, replace: bool) -> String {
        let old = self.people[usize::from(person)].as_ref().and_then(|person| person.token.clone());
        let logged_in = async {
            let verified = self.verified(person).await?;
            let mut tx = self.store.begin(Scope::login(&verified)).await?;
            let replaced = old.as_ref().filter(|_| replace);
            let logged_in = login::begin_session(&self.kernel, &verified, &mut *tx, replaced).await?;
            tx.commit().await?;
            Ok::<_, Error>(logged_in)
        }
        .await;
        if let (Ok(logged_in), Some(person)) = (&logged_in, &mut self.people[usize::from(person)]) {
            person.token = Some(logged_in.token.clone());
        }
        self.words.result(&logged_in.map(|logged_in| logged_in.user))
    }

    async fn log_out(&mut self, person: u8) -> String {
        let done = async {
            let caller = self.caller(person, None, None, "").await?;
            let token = self.people[usize::from(person)].as_ref().and_then(|person| person.token.as_ref());
            let mut tx = self.store.begin(Scope::of_user(&caller.session)).await?;
            if let Some(token) = token {
                login::logout(&mut *tx, token).await?;
            }
            Ok::<_, Error>(tx.commit().await?)
        }
        .await;
        self.words.result(&done)
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

    async fn found(&mut self, person: u8, slug: Option<u8>, key: Option<u8>, keep: bool) -> String {
        let made = async {
            let caller = self.caller(person, None, key, &format!("{slug:?}")).await?;
            let founding = Founding::by(&caller.session);
            let mut tx = self.store.begin(Scope::founding(&founding)).await?;
            let name: WorkspaceName = name(slug.unwrap_or(person)).parse()?;
            let made = workspaces::create(&self.kernel, &founding, &mut *tx, name, slug.map(self::slug)).await?;
            if keep {
                tx.records().answer(StoredAnswer { status: 201, body: made.id.to_string().into_bytes() });
                tx.commit().await?;
            }
            Ok::<_, Error>(made)
        }
        .await;
        match &made {
            Ok(made) if keep => self.made(person, made.id),
            // Rolled back: the end of its slug may still be that of its id.
            Ok(made) => self.words.know(made.id, "rolled-back"),
            Err(_) => {}
        }
        self.words.result(&made)
    }

    async fn rename(
        &self,
        person: u8,
        workspace: u8,
        rename: Rename,
        key: Option<u8>,
        keep: bool,
    ) -> Result<workspaces::Workspace, Error> {
        let caller =
            self.caller(person, Some(self.workspace_for(person, workspace)), key, &format!("{rename:?}")).await?;
        let grant = caller.grant.ok_or_else(missing)?;
        let can = grant.allow::<UpdateWorkspace>()?;
        let mut tx = self.store.begin(Scope::of(&grant)).await?;
        let done = workspaces::rename(&can, &mut *tx, rename).await?;
        if keep {
            if person.is_multiple_of(2) {
                tx.records().answer(StoredAnswer { status: 200, body: done.slug.clone().into_bytes() });
            }
            tx.commit().await?;
        }
        Ok(done)
    }

    async fn rows(
        &self,
        person: u8,
        workspace: u8,
        reserve: u32,
        insert: u8,
        delete: u8,
        keep: bool,
    ) -> Result<(limits::LimitCheck, limits::LimitCheck), Error> {
        let grant = self
            .caller(person, Some(self.workspace_for(person, workspace)), None, "")
            .await?
            .grant
            .ok_or_else(missing)?;
        let can = grant.allow::<ReadWorkspace>()?;
        let mut tx = self.store.begin(Scope::of(&grant)).await?;
        let before = limits::check_limit(&can, &mut *tx, LIMIT).await?;
        if reserve > 0 {
            limits::reserve(&can, &mut *tx, LIMIT, reserve).await?;
        }
        for _ in 0..insert {
            self.backend.insert_row(&mut *tx).await?;
        }
        // Never more than there are: what a delete finds is the product's affair.
        for _ in 0..u64::from(delete).min(before.usage) {
            self.backend.delete_row(&mut *tx).await?;
        }
        let after = limits::check_limit(&can, &mut *tx, LIMIT).await?;
        if keep {
            tx.commit().await?;
        }
        Ok((before, after))
    }

    async fn read(&self, person: u8, workspace: u8) -> Result<impl std::fmt::Debug, Error> {
        let grant = self
            .caller(person, Some(self.workspace_for(person, workspace)), None, "")
            .await?
            .grant
            .ok_or_else(missing)?;
        let can = grant.allow::<ReadWorkspace>()?;
        let mut tx = self.store.begin(Scope::of(&grant)).await?;
        let found = workspaces::get(&can, &mut *tx).await?;
        let entitled = entitlements::list(&can, &mut *tx).await?;
        Ok((grant.role().name.clone(), found, entitled))
    }

    async fn audit(&self, person: u8, workspace: u8, limit: u32, filter: u8) -> Result<Vec<String>, Error> {
        let grant = self
            .caller(person, Some(self.workspace_for(person, workspace)), None, "")
            .await?
            .grant
            .ok_or_else(missing)?;
        let can = grant.allow::<ReadAudit>()?;
        let mut tx = self.store.begin(Scope::of(&grant)).await?;
        let all = audit::list(&can, &mut *tx, &AuditFilter::default(), &PageRequest::first(100)).await?.items;
        let at = |n: usize| all.get(n).map(|record| record.at);
        let text = |text: &str| Some(text.to_owned());
        let any = AuditFilter::default();
        let filter = match filter {
            1 => AuditFilter { action: text("workspace.update"), ..any },
            2 => AuditFilter { actor_type: text("user"), actor_id: Some(self.user(person).uuid()), ..any },
            3 => AuditFilter { target_type: text("subscription"), ..any },
            4 => AuditFilter { target_id: text(&grant.workspace().to_string()), ..any },
            5 => AuditFilter { from: at(2), ..any },
            6 => AuditFilter { until: at(1), ..any },
            7 => AuditFilter { from: at(4), until: at(0), actor_type: text("system"), ..any },
            _ => any,
        };
        let (mut page, mut found) = (PageRequest::first(limit), Vec::new());
        loop {
            let Page { items, next } = audit::list(&can, &mut *tx, &filter, &page).await?;
            found.push(format!("page of {}", items.len()));
            found.extend(items.iter().map(|record| self.entry(record)));
            page.after = next;
            if page.after.is_none() {
                return Ok(found);
            }
        }
    }

    /// An entry without what differs: its id, its time, and the request's id.
    pub(crate) fn entry(&self, record: &AuditRecord) -> String {
        let AuditRecord { workspace, actor, action, target_type, target_id, meta, ip, .. } = record;
        self.words.of((workspace, actor, action, target_type, target_id, meta.to_string(), ip))
    }

    async fn list(&self, person: u8, limit: u32) -> Result<Vec<workspaces::Workspace>, Error> {
        let caller = self.caller(person, None, None, "").await?;
        let mut tx = self.store.begin(Scope::of_user(&caller.session)).await?;
        let (mut page, mut found) = (PageRequest::first(limit), Vec::new());
        loop {
            let Page { items, next } = workspaces::of_user(&caller.session, &mut *tx, &page).await?;
            found.extend(items);
            page.after = next;
            if page.after.is_none() {
                return Ok(found);
            }
        }
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
            let log = tx.audit_log().list(*id, &AuditFilter::default(), &PageRequest::first(100)).await?;
            found.extend(log.items.iter().map(|record| self.entry(record)));
        }
        Ok(found)
    }
}

fn missing() -> Refusal {
    Refusal::new(&saas_kernel::error::codes::NOT_FOUND, "no workspace")
}

/// A provider whose payloads are this test's own.
struct Provider;

impl BillingProvider for Provider {
    fn name(&self) -> &'static str {
        PROVIDER
    }

    fn verify(&self, _: &Headers<'_>, _: &[u8], _: DateTime<Utc>) -> Result<ProviderEvent, Refusal> {
        Err(Refusal::field("body", "is not read here"))
    }

    fn read(&self, _: &str, payload: &Value) -> Result<BillingFact, String> {
        let number = |field: &str| payload[field].as_u64().unwrap_or_default();
        let as_of = DateTime::from_timestamp(payload["as_of"].as_i64().unwrap_or_default(), 0).ok_or("a time")?;
        let statuses = [
            "active",
            "trialing",
            "past_due",
            "unpaid",
            "paused",
            "incomplete",
            "incomplete_expired",
            "canceled",
            "new_word",
        ];
        let item = SubscriptionItem {
            price: format!("price_{}", number("plan")),
            lookup_key: None,
            quantity: Some(number("id")),
            period: (as_of, as_of + TimeDelta::days(30)),
        };
        Ok(BillingFact::Subscription(Box::new(SubscriptionFact {
            provider_subscription: format!("sub_{}", number("id") % 5),
            provider_customer: format!("cus_{}", number("id") % 3),
            workspace: payload["workspace"].as_str().and_then(|text| text.parse().ok()),
            status: Status::parse(statuses[number("status") as usize]),
            items: vec![item],
            cancel_at: None,
            ended_at: (number("status") == 7).then_some(as_of),
            as_of,
            change: [Change::Began, Change::Changed, Change::Ended][number("change") as usize],
        })))
    }
}
