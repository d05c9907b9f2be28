//! Sample data: five workspaces on different plans and a demo workspace, twenty people, a hundred projects. Running it again
//! changes nothing.

use std::net::SocketAddr;

use chrono::{DateTime, TimeDelta, Utc};
use saas_kernel::access::catalog::Access;
use saas_kernel::actor::Actor;
use saas_kernel::billing::entitlements::set_plan;
use saas_kernel::billing::subscription::{Status, Subscription};
use saas_kernel::id::{SubscriptionId, UserId, WorkspaceId};
use saas_kernel::identity::users::NewUser;
use saas_kernel::store::{BillingRepositories, IdentityRepositories, TenancyRepositories};
use saas_kernel::tenancy::members::NewMembership;
use saas_kernel::tenancy::workspaces::NewWorkspace;
use saas_kernel::{BoxError, Kernel};
use saas_kernel_postgres::{PgSystem, PgTx};

use crate::projects;

/// Password of every seeded account.
const PASSWORD: &str = "correct horse battery";
const ROLES: [&str; 4] = ["owner", "admin", "member", "viewer"];

struct Sample {
    slug: &'static str,
    name: &'static str,
    plan: Option<&'static str>,
    status: Status,
    projects: usize,
}

const fn sample(
    slug: &'static str,
    name: &'static str,
    plan: Option<&'static str>,
    status: Status,
    projects: usize,
) -> Sample {
    Sample { slug, name, plan, status, projects }
}

/// The first one's accounts have no number; the last is the demo workspace, of which the first one's people are members too.
const SAMPLES: [Sample; 6] = [
    sample("acme", "Acme", Some("professional"), Status::Active, 25),
    sample("globex", "Globex", None, Status::Active, 5),
    sample("initech", "Initech", Some("starter"), Status::PastDue, 17),
    sample("umbrella", "Umbrella", Some("enterprise"), Status::Active, 30),
    sample("hooli", "Hooli", Some("starter"), Status::Trialing, 20),
    sample("demo", "Demo", None, Status::Active, 3),
];

/// Inserts the sample data, unless it is there.
pub async fn run(kernel: &Kernel, system: &PgSystem) -> Result<(), BoxError> {
    let mut tx = system.begin_system("seed").await?;
    // If two copies start at once, only one inserts.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('reference.seed'))").execute(tx.conn()).await?;
    let seeded: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM kernel.slugs WHERE slug = 'demo')").fetch_one(tx.conn()).await?;
    if seeded {
        return Ok(());
    }
    let (now, hash) = (kernel.now(), kernel.passwords().hash(PASSWORD.parse()?).await?);
    let mut people = Vec::new();
    for (index, sample) in SAMPLES.iter().enumerate() {
        let at = now - TimeDelta::days(30) + TimeDelta::minutes(i64::try_from(index)?);
        if sample.slug != "demo" {
            for role in ROLES {
                let (id, email, name) =
                    (UserId::generate(at), address(role, index).parse()?, format!("{} {role}", sample.name).parse()?);
                tx.users().insert(&NewUser { id, email: &email, name: &name, password: &hash, at }).await?;
                people.push((index, role, id));
            }
        }
        let home = if sample.slug == "demo" { 0 } else { index };
        let team: Vec<_> = people.iter().filter(|(of, _, _)| *of == home).map(|(_, role, id)| (*role, *id)).collect();
        workspace(&mut tx, sample, &team, at).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn workspace(tx: &mut PgTx, sample: &Sample, team: &[(&str, UserId)], at: DateTime<Utc>) -> Result<(), BoxError> {
    let (id, slug, name) = (WorkspaceId::generate(at), sample.slug.parse()?, sample.name.parse()?);
    let by = Actor::User(team.first().ok_or("a workspace without an owner")?.1);
    tx.workspaces().claim_slug(id, &slug, at).await?;
    tx.workspaces().insert(&NewWorkspace { id, slug: &slug, name: &name, created_by: by, at }).await?;
    if let Some(plan) = sample.plan {
        subscribe(tx, id, plan, sample.status.clone(), at).await?;
    }
    for (role, user) in team {
        tx.members().insert(&NewMembership { workspace: id, user: *user, role, at }).await?;
    }
    for number in 1..=sample.projects {
        let at = at + TimeDelta::hours(i64::try_from(number)?);
        projects::insert(tx.conn(), id, by, at, format!("{} project {number}", sample.name).parse()?).await?;
    }
    Ok(())
}

async fn subscribe(
    tx: &mut PgTx,
    workspace: WorkspaceId,
    plan: &str,
    status: Status,
    at: DateTime<Utc>,
) -> Result<(), BoxError> {
    let access = status.access();
    let subscription = Subscription {
        id: SubscriptionId::generate(at),
        workspace,
        provider: "stripe".to_owned(),
        provider_subscription: format!("sub_seed_{}", workspace.uuid().simple()),
        provider_customer: format!("cus_seed_{}", workspace.uuid().simple()),
        status,
        plan: plan.to_owned(),
        quantity: 1,
        period: (at, at + TimeDelta::days(365)),
        cancel_at: None,
        ended_at: None,
        as_of: at,
    };
    tx.subscriptions().save(&subscription).await?;
    let plan = (access != Access::None).then_some(plan);
    set_plan(tx, workspace, plan, access, at).await?;
    Ok(())
}

fn address(role: &str, index: usize) -> String {
    if index == 0 { format!("{role}@acme.example") } else { format!("{role}{index}@acme.example") }
}

/// Text for the terminal with the accounts and URLs to start with.
pub fn logins(address: SocketAddr) -> String {
    let accounts = ROLES.map(|role| format!("    {role:<8} {role}@acme.example")).join("\n");
    format!(
        "  Password of every seeded account: {PASSWORD}\n{accounts}\n  in the workspaces acme (Professional) and demo (Free, 3 of 5 projects)\n\n  \
         API docs        http://{address}/docs\n  Mail            http://{address}/dev/mail\n  OpenAPI         http://{address}/openapi.json\n  Readiness       http://{address}/readyz\n\n  \
         Try:\n    curl -c jar -H 'content-type: application/json' http://{address}/api/v1/auth/login \\\n      \
         -d '{{\"email\":\"owner@acme.example\",\"password\":\"{PASSWORD}\"}}'\n    \
         curl -b jar http://{address}/api/v1/workspaces/demo/projects\n\n  Ctrl-C stops it; the data stays.\n"
    )
}
