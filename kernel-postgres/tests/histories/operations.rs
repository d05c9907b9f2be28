//! What can happen in a history, drawn from its seed. Small numbers, so that the tasks often meet.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub(crate) const PEOPLE: usize = 6;
pub(crate) const WORKSPACES: usize = 2;
/// Who belongs to each workspace from the start; the founder first, who is an owner. One seat is left.
pub(crate) const MEMBERS: [[(usize, &str); 3]; WORKSPACES] =
    [[(0, "owner"), (1, "owner"), (2, "admin")], [(1, "owner"), (0, "owner"), (3, "member")]];
/// Who is invited to each from the start.
pub(crate) const INVITED: [[(usize, &str); 2]; WORKSPACES] =
    [[(3, "admin"), (4, "owner")], [(2, "admin"), (4, "owner")]];
pub(crate) const ROLES: [&str; 4] = ["owner", "admin", "member", "viewer"];
const EVENTS: usize = 6;

/// A history before it happens: what each task does, one step after the other.
pub(crate) struct Plan {
    pub(crate) tasks: Vec<Vec<Step>>,
    pub(crate) events: Vec<Event>,
    /// Whether two of the tasks sign up with one address.
    pub(crate) sign_ups: bool,
}

/// What the provider says of a workspace's subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) workspace: usize,
    pub(crate) price: &'static str,
    pub(crate) status: &'static str,
    /// When, in seconds since the first; several are of one second.
    pub(crate) second: i64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) who: Who,
    pub(crate) workspace: usize,
    /// With what authentication said when the task was let in before, if it was.
    pub(crate) late: bool,
    /// For how many round trips the transaction stays open before it ends.
    pub(crate) pause: u8,
    pub(crate) end: End,
    pub(crate) what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    Person(usize),
    /// The key of this number, newest first.
    Key(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Commit,
    /// The transaction is dropped.
    Drop,
    /// The caller is gone after so many polls, wherever they are then.
    Gone(u16),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// Authenticates, and does nothing yet.
    Enter,
    Insert {
        reserve: u32,
        rows: u32,
    },
    Delete,
    SoftDelete,
    Restore,
    /// An insert under an idempotency key.
    InsertOnce {
        key: u8,
    },
    /// A rename, under an idempotency key if there is one.
    Rename {
        key: Option<u8>,
    },
    Invite {
        whom: usize,
        role: usize,
    },
    RevokeInvite {
        nth: usize,
    },
    Accept {
        nth: usize,
    },
    ChangeRole {
        whom: usize,
        role: usize,
    },
    Remove {
        whom: usize,
    },
    Leave,
    CreateKey,
    RevokeKey {
        nth: usize,
    },
    LogIn,
    SignUp {
        nth: usize,
    },
    Read,
    Receive {
        nth: usize,
    },
    Process {
        ahead: bool,
    },
    /// One of two versions of the plans comes into force.
    ApplyPlans {
        version: usize,
    },
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let sign_ups = rng.random_bool(0.05);
        let place = rng.random_range(0..WORKSPACES);
        let rush = if rng.random_bool(0.7) { rush(&mut rng, place) } else { Vec::new() };
        let mut tasks = Vec::new();
        for number in 0..rng.random_range(4..=8) {
            let mut steps: Vec<Step> = (0..rng.random_range(4..=8)).map(|_| step(&mut rng)).collect();
            for step in steps.iter_mut().take(2).filter(|_| !rush.is_empty()) {
                let ((who, what), pause) = (rush[rng.random_range(0..rush.len())], rng.random_range(0..20));
                *step = Step { who, workspace: place, late: false, pause, end: End::Commit, what };
            }
            if sign_ups && number < 2 {
                steps[0].what = What::SignUp { nth: number };
            }
            if let What::Process { ahead } = &mut steps[0].what {
                *ahead = number % 2 == 1;
            }
            tasks.push(steps);
        }
        let events = (0..EVENTS).map(|_| event(&mut rng)).collect();
        Self { tasks, events, sign_ups }
    }
}

/// Steps that check before they act and collide with each other; tasks begin with one of them.
fn rush(rng: &mut StdRng, workspace: usize) -> Vec<(Who, What)> {
    let [owner, other, teammate] = MEMBERS[workspace].map(|(person, _)| person);
    let all = |what| [owner, other, teammate].map(|person| (Who::Person(person), what)).to_vec();
    match rng.random_range(0..15) {
        0 => all(What::Insert { reserve: 0, rows: 1 }),
        1 => all(What::Insert { reserve: 1, rows: 1 }),
        2 => all(What::InsertOnce { key: 0 })[..1].to_vec(),
        3 => all(What::Accept { nth: rng.random_range(0..4) }),
        // Both owners at once.
        4 => all(What::Leave)[..2].to_vec(),
        5 => vec![
            (Who::Person(owner), What::Remove { whom: other }),
            (Who::Person(other), What::ChangeRole { whom: owner, role: 3 }),
            (Who::Person(other), What::Leave),
        ],
        // Whoever loses their standing, and what they do meanwhile.
        6 | 7 => vec![
            (Who::Person(teammate), What::Insert { reserve: 0, rows: 1 }),
            (Who::Person(owner), What::Remove { whom: teammate }),
            (Who::Person(owner), What::ChangeRole { whom: teammate, role: 3 }),
        ],
        8 => vec![
            (Who::Person(owner), What::Insert { reserve: 0, rows: 1 }),
            (Who::Person(other), What::Delete),
            (Who::Person(teammate), What::SoftDelete),
        ],
        // A link is replaced while it is followed, or followed again.
        9 | 10 => vec![
            (Who::Person(owner), What::Accept { nth: 2 * workspace }),
            (Who::Person(owner), What::Invite { whom: INVITED[workspace][0].0, role: 3 }),
            (Who::Person(other), What::Remove { whom: INVITED[workspace][0].0 }),
        ],
        11 | 12 => all(What::Process { ahead: false }),
        _ => vec![
            (Who::Key(workspace), What::Insert { reserve: 0, rows: 1 }),
            (Who::Person(owner), What::RevokeKey { nth: workspace }),
        ],
    }
}

fn event(rng: &mut StdRng) -> Event {
    Event {
        workspace: rng.random_range(0..WORKSPACES),
        price: ["starter", "pro"][rng.random_range(0..2)],
        status: ["active", "active", "past_due", "canceled", "canceled", "unpaid"][rng.random_range(0..6)],
        second: rng.random_range(0..3),
    }
}

/// Mostly of those who belong to the workspace from the start.
fn person(rng: &mut StdRng, workspace: usize) -> usize {
    if rng.random_bool(0.9) { MEMBERS[workspace][rng.random_range(0..3)].0 } else { rng.random_range(0..PEOPLE) }
}

fn step(rng: &mut StdRng) -> Step {
    let workspace = rng.random_range(0..WORKSPACES);
    let who =
        if rng.random_bool(0.15) { Who::Key(rng.random_range(0..2)) } else { Who::Person(person(rng, workspace)) };
    let what = what(rng, workspace);
    let end = match rng.random_range(0..20) {
        0..15 => End::Commit,
        15..18 => End::Drop,
        // Whoever logs in keeps what they are answered: their next step needs it.
        _ if what == What::LogIn => End::Commit,
        _ => End::Gone(rng.random_range(1..40)),
    };
    Step {
        who,
        workspace,
        late: rng.random_bool(0.3),
        pause: if rng.random_bool(0.5) { 0 } else { rng.random_range(1..10) },
        end,
        what,
    }
}

fn what(rng: &mut StdRng, workspace: usize) -> What {
    match rng.random_range(0..100) {
        0..5 => What::Enter,
        5..19 => What::Insert { reserve: rng.random_range(0..=3), rows: rng.random_range(0..=2) },
        19..24 => What::Delete,
        24..28 => What::SoftDelete,
        28..32 => What::Restore,
        32..41 => What::InsertOnce { key: rng.random_range(0..2) },
        41..47 => What::Rename { key: rng.random_bool(0.5).then(|| rng.random_range(0..2)) },
        47..53 => What::Invite { whom: rng.random_range(0..PEOPLE), role: rng.random_range(0..4) },
        53..56 => What::RevokeInvite { nth: rng.random_range(0..4) },
        56..66 => What::Accept { nth: rng.random_range(0..5) },
        66..72 => What::ChangeRole { whom: person(rng, workspace), role: rng.random_range(0..4) },
        72..77 => What::Remove { whom: rng.random_range(0..PEOPLE) },
        77..80 => What::Leave,
        80..82 => What::CreateKey,
        82..85 => What::RevokeKey { nth: rng.random_range(0..2) },
        85..87 => What::LogIn,
        87..89 => What::Read,
        89 => What::ApplyPlans { version: rng.random_range(0..2) },
        90..96 => What::Receive { nth: rng.random_range(0..EVENTS) },
        _ => What::Process { ahead: rng.random_bool(0.5) },
    }
}
