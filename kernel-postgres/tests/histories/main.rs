//! Random concurrent histories on real Postgres: a few tasks do what callers do, all at once, and afterwards every invariant
//! holds. Each invariant is also broken on purpose, and the histories have to find that.
//!
//! A failure prints its seed and its steps. `HISTORY_SEED` runs the history of that seed again, many times, because the seed
//! does not decide how the tasks interleave; `HISTORIES` sets how many histories are run.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "what is out of range or does not parse fails, as it should"
)]

mod defects;
mod history;
mod invariants;
mod items;
mod operations;
mod payments;
mod steps;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use defects::Planted;
use saas_kernel::identity::authenticate::Keep;
use saas_kernel::permissions::InviteMember;
use saas_kernel::{Error, tenancy};
use world::{Result, World};

/// How many histories are run, and within how many a planted defect is found.
const HISTORIES: u64 = 200;
/// How often the history of `HISTORY_SEED` is run.
const AGAIN: usize = 100;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_invariant_holds_after_every_history() -> Result {
    let world = Arc::new(World::new(None).await?);
    let seeds: Vec<u64> = match setting("HISTORY_SEED") {
        Some(seed) => vec![seed; AGAIN],
        None => (0..setting("HISTORIES").unwrap_or(HISTORIES)).collect(),
    };
    let (began, mut outcomes) = (Instant::now(), BTreeMap::<String, usize>::new());
    for seed in &seeds {
        let ended = history::run(&world, *seed).await?;
        if let [first, ..] = &*ended.violations {
            panic!("{}: {}\n{:#?}\n{}", first.invariant, first.what, ended.violations, ended.log);
        }
        for (outcome, count) in ended.outcomes {
            *outcomes.entry(outcome).or_default() += count;
        }
    }
    println!("{} histories in {:?}: {outcomes:#?}", seeds.len(), began.elapsed());
    Ok(())
}

/// Found by the histories: whoever looked a link up before it was replaced joined with the role that was taken back.
#[tokio::test]
async fn a_link_that_was_looked_up_before_it_was_replaced_admits_nobody() -> Result {
    let world = World::new(None).await?;
    let (workspace, _, invites) = world.create_workspace(0).await?;
    let link = &invites[0];
    let (proof, mut tx) = world.begin_invited(link.whom, &link.token).await?;
    let owner = world.grant(&world.session_of(0), workspace, None, Keep::No).await?;
    let mut replacing = world.begin(&owner).await?;
    let email = world.people[link.whom].email.clone();
    tenancy::invites::create(
        &owner.allow::<InviteMember>()?,
        &mut replacing,
        &tenancy::invites::InviteSettings::default(),
        email,
        "viewer",
    )
    .await?;
    replacing.commit().await?;
    let accepted = tenancy::invites::accept(&proof, &mut *tx).await;
    assert_eq!(accepted.as_ref().map_err(Error::code), Err(Some("invite_unusable")), "invited as {}", link.role);
    Ok(())
}

/// Runs histories until one breaks the invariant that the defect breaks; fails if none does.
async fn assert_found(name: &str, planted: Planted) -> Result {
    let world = Arc::new(World::new(Some(&planted)).await?);
    for seed in 0..HISTORIES {
        let ended = history::run(&world, seed).await?;
        if let Some(found) = ended.violations.iter().find(|violation| violation.invariant == planted.breaks) {
            println!("{name}: after {} histories: {}: {}", seed + 1, found.invariant, found.what);
            return Ok(());
        }
    }
    Err(format!("{name}: {HISTORIES} histories did not break `{}`", planted.breaks).into())
}
