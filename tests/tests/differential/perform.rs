//! What each operation does, through the kernel's own functions.

use chrono::{DateTime, SubsecRound, TimeDelta};
use saas_kernel::access::{ReadAudit, ReadWorkspace, UpdateWorkspace};
use saas_kernel::audit::{self, AuditFilter};
use saas_kernel::billing::provider::ProviderEvent;
use saas_kernel::billing::subscription::{Change, Status, SubscriptionFact, SubscriptionItem};
use saas_kernel::billing::{entitlements, limits};
use saas_kernel::conformance::{Backend, LIMIT};
use saas_kernel::guard::idempotency::StoredAnswer;
use saas_kernel::id::WorkspaceId;
use saas_kernel::memory::billing::MemoryBilling;
use saas_kernel::page::{Page, PageRequest};
use saas_kernel::tenancy::workspaces::{self, Founding, Rename, WorkspaceName};
use saas_kernel::{BoxError, Ctx, Error, Scope, Store};

use crate::operations::Operation;
use crate::side::{Side, missing, name, slug};

const STATUSES: [&str; 9] =
    ["active", "trialing", "past_due", "unpaid", "paused", "incomplete", "incomplete_expired", "canceled", "new_word"];

impl<B: Backend> Side<'_, B> {
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
                let fact = self.fact(id, known.then(|| self.workspace(workspace)), plan, status, change, ago);
                let processor = self.kernel.billing_processor().ok_or("a processor")?;
                // Of equal times nobody says which event comes first.
                let created_at = DateTime::UNIX_EPOCH + TimeDelta::days(i64::from(id));
                let event = ProviderEvent { created_at, ..MemoryBilling::event(&format!("evt_{id}"), &fact) };
                let received = processor.receive(&Ctx::at(self.now()), &event).await;
                self.words.result(&received)
            }
            Operation::Process => {
                let drained = self.kernel.billing_processor().ok_or("a processor")?.drain().await;
                self.words.result(&drained)
            }
            Operation::Wait(_) => String::new(),
            Operation::Invite { person, workspace, whom, role } => self.invite(person, workspace, whom, role).await,
            Operation::Accept { person, invite, keep } => self.accept(person, invite, keep).await,
            Operation::ChangeRole { person, workspace, whom, role } => {
                self.change_role(person, workspace, whom, role).await
            }
            Operation::Remove { person, workspace, whom } => self.remove(person, workspace, whom).await,
            Operation::MakeKey { person, workspace, scopes } => self.make_key(person, workspace, scopes).await,
            Operation::LetIn { person, workspace, key } => self.let_in(person, workspace, key).await,
            Operation::Late { call, revoke } => self.late(call, revoke).await,
            Operation::Probe { scope, calls, keep } => self.probe(scope, &calls, keep).await?,
        })
    }

    fn fact(
        &self,
        id: u8,
        workspace: Option<WorkspaceId>,
        plan: u8,
        status: u8,
        change: u8,
        ago: u8,
    ) -> SubscriptionFact {
        let as_of = (self.now() - TimeDelta::seconds(i64::from(ago) * 5)).trunc_subsecs(0);
        let word = STATUSES[usize::from(status)];
        let item = SubscriptionItem {
            price: format!("price_{plan}"),
            lookup_key: None,
            quantity: Some(u64::from(id)),
            period: (as_of, as_of + TimeDelta::days(30)),
        };
        SubscriptionFact {
            provider_subscription: format!("sub_{}", id % 5),
            provider_customer: format!("cus_{}", id % 3),
            workspace,
            status: Status::parse(word),
            items: vec![item],
            cancel_at: None,
            ended_at: (word == "canceled").then_some(as_of),
            as_of,
            change: [Change::Began, Change::Changed, Change::Ended][usize::from(change)],
        }
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
        let grant = self.grant(person, workspace).await?;
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
        let grant = self.grant(person, workspace).await?;
        let can = grant.allow::<ReadWorkspace>()?;
        let mut tx = self.store.begin(Scope::of(&grant)).await?;
        let found = workspaces::get(&can, &mut *tx).await?;
        let entitled = entitlements::list(&can, &mut *tx).await?;
        Ok((grant.role().name.clone(), found, entitled))
    }

    async fn audit(&self, person: u8, workspace: u8, limit: u32, filter: u8) -> Result<Vec<String>, Error> {
        let grant = self.grant(person, workspace).await?;
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
}
