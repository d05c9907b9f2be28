//! One history: what its tasks share, and what they were told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use saas_kernel::billing::provider::ProviderEvent;
use saas_kernel::id::{ApiKeyId, InviteId, WorkspaceId};
use saas_kernel::identity::sign_up::SignUp;
use saas_kernel::secret::{Token, TokenHash};
use saas_kernel::{Error, StoreError, Uuid};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::invariants::{self, Violation};
use crate::operations::{Plan, Step, WORKSPACES};
use crate::payments;
use crate::steps::{Entered, Outcome};
use crate::world::{Result, World};

pub(crate) struct History {
    pub(crate) world: Arc<World>,
    seed: u64,
    pub(crate) workspaces: Vec<WorkspaceId>,
    /// The journal's last number before the tasks begin.
    pub(crate) start: i64,
    pub(crate) events: Vec<ProviderEvent>,
    pub(crate) sign_ups: Vec<SignUp>,
    shared: Mutex<Shared>,
}

/// What the tasks make for each other, newest first, and what they were told.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) keys: Vec<Key>,
    pub(crate) invites: Vec<Invited>,
    pub(crate) kept: Vec<Uuid>,
    pub(crate) refused: Vec<Uuid>,
    pub(crate) replaced: Vec<TokenHash>,
    pub(crate) received: Vec<String>,
    pub(crate) answers: Vec<Value>,
    pub(crate) violations: Vec<Violation>,
    log: Vec<String>,
    /// How often each kind of step ended in which way.
    pub(crate) outcomes: BTreeMap<String, usize>,
}

#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) workspace: WorkspaceId,
    pub(crate) id: ApiKeyId,
    pub(crate) token: Token,
}

#[derive(Clone)]
pub(crate) struct Invited {
    pub(crate) whom: usize,
    pub(crate) id: InviteId,
    pub(crate) role: String,
    pub(crate) token: Token,
}

impl History {
    async fn begin(world: Arc<World>, seed: u64, plan: &Plan) -> Result<Self> {
        let (mut workspaces, mut shared) = (Vec::new(), Shared::default());
        for number in 0..WORKSPACES {
            let (workspace, key, invites) = world.create_workspace(number).await?;
            workspaces.push(workspace);
            shared.keys.push(key);
            shared.invites.extend(invites);
        }
        let mut sign_ups = Vec::new();
        let address = format!("new-{}@example.com", workspaces[0]).parse()?;
        while plan.sign_ups && sign_ups.len() < 2 {
            sign_ups.push(world.prepare_sign_up(&address, "Somebody New").await?);
        }
        let last = "SELECT coalesce(max(seq), 0) FROM history.journal";
        let start = sqlx::query_scalar(last).fetch_one(&mut *world.admin().await).await?;
        let events =
            plan.events.iter().enumerate().map(|(nth, event)| payments::event(world.since, &workspaces, nth, event));
        let events: Vec<_> = events.collect();
        // Some wait to be processed from the start.
        for event in &events[..2] {
            world.receive(event).await?;
            shared.received.push(event.id.clone());
        }
        let shared = shared.into();
        Ok(Self { world, seed, workspaces, start, events, sign_ups, shared })
    }

    pub(crate) fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    /// Reports something that must never happen.
    pub(crate) fn report_violation(&self, invariant: &str, what: impl std::fmt::Display) {
        self.shared().violations.push(Violation { invariant: invariant.to_owned(), what: what.to_string() });
    }

    fn log_step(&self, task: usize, step: &Step, ended: &Option<Result<Outcome, Error>>) {
        let how = match ended {
            None => "gone".to_owned(),
            Some(Ok(outcome)) => format!("{outcome:?}"),
            Some(Err(Error::Refused(refusal))) => refusal.code().to_owned(),
            Some(Err(Error::Store(error))) => match error {
                StoreError::Backend(source) | StoreError::Unavailable(source) => format!("{error}: {source}"),
                error => format!("{error:?}"),
            },
            Some(Err(Error::Broken(source))) => format!("broken: {source}"),
        };
        // Refusals, and waiting for others in vain, are normal; anything else is not.
        match ended {
            Some(Err(Error::Broken(_))) => self.report_violation("no step breaks", format!("{:?}: {how}", step.what)),
            Some(Err(Error::Store(StoreError::Backend(_) | StoreError::Unavailable(_) | StoreError::Scope))) => {
                self.report_violation("no step breaks", format!("{:?}: {how}", step.what));
            }
            // At READ COMMITTED nothing but a deadlock is answered like this.
            Some(Err(Error::Store(StoreError::Serialization))) => {
                self.report_violation("nobody waits in a circle", format!("{:?}: a deadlock", step.what));
            }
            _ => {}
        }
        let mut shared = self.shared();
        shared.log.push(format!("task {task}: {step:?}\n        {how}"));
        let kind = format!("{:?}", step.what).split([' ', '(']).next().unwrap_or_default().to_owned();
        let how = how.split(['(', ':', ' ']).next().unwrap_or_default().to_owned();
        *shared.outcomes.entry(format!("{kind} {how}")).or_default() += 1;
    }
}

/// What came of a history.
pub(crate) struct Ended {
    pub(crate) violations: Vec<Violation>,
    pub(crate) outcomes: BTreeMap<String, usize>,
    /// The seed, and the steps in the order in which they ended.
    pub(crate) log: String,
}

/// Runs the history of `seed` and checks every invariant after it.
pub(crate) async fn run(world: &Arc<World>, seed: u64) -> Result<Ended> {
    let plan = Plan::of(seed);
    let history = Arc::new(History::begin(world.clone(), seed, &plan).await?);
    let mut tasks = JoinSet::new();
    for (number, steps) in plan.tasks.into_iter().enumerate() {
        let history = history.clone();
        tasks.spawn(async move {
            let mut entered = Entered::default();
            for step in &steps {
                let ended = history.run_step(step, &mut entered).await;
                history.log_step(number, step, &ended);
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    let mut violations = invariants::check(&history).await?;
    let shared = std::mem::take(&mut *history.shared());
    violations.extend(shared.violations);
    let log = format!("HISTORY_SEED={}\n    {}", history.seed, shared.log.join("\n    "));
    Ok(Ended { violations, outcomes: shared.outcomes, log })
}
