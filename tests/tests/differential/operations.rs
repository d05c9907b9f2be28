//! What can be done, in small numbers: people, workspaces, names and keys are indexes, so that they often meet.

use proptest::prelude::*;

pub(crate) const PEOPLE: u8 = 4;
pub(crate) const WORDS: u8 = 6;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    SignUp {
        person: u8,
        shout: bool,
    },
    LogIn {
        person: u8,
        replace: bool,
    },
    LogOut {
        person: u8,
    },
    Found {
        person: u8,
        slug: Option<u8>,
        key: Option<u8>,
        keep: bool,
    },
    Rename {
        person: u8,
        workspace: u8,
        name: Option<u8>,
        slug: Option<u8>,
        key: Option<u8>,
        keep: bool,
    },
    Rows {
        person: u8,
        workspace: u8,
        reserve: u32,
        insert: u8,
        delete: u8,
        keep: bool,
    },
    Read {
        person: u8,
        workspace: u8,
    },
    Audit {
        person: u8,
        workspace: u8,
        limit: u32,
        filter: u8,
    },
    Workspaces {
        person: u8,
        limit: u32,
    },
    Fact {
        id: u8,
        workspace: u8,
        known: bool,
        plan: u8,
        status: u8,
        change: u8,
        ago: u8,
    },
    Process,
    Wait(u8),
    Invite {
        person: u8,
        workspace: u8,
        whom: u8,
        role: u8,
    },
    Accept {
        person: u8,
        invite: u8,
        keep: bool,
    },
    ChangeRole {
        person: u8,
        workspace: u8,
        whom: u8,
        role: u8,
    },
    /// Themselves: they leave.
    Remove {
        person: u8,
        workspace: u8,
        whom: u8,
    },
    MakeKey {
        person: u8,
        workspace: u8,
        scopes: u8,
    },
    /// A call is let in, by session or by one of the keys, and does nothing yet.
    LetIn {
        person: u8,
        workspace: u8,
        key: Option<u8>,
    },
    /// It goes on: it writes, or revokes a key.
    Late {
        call: u8,
        revoke: Option<u8>,
    },
    Probe {
        scope: Whose,
        calls: [Option<Call>; 3],
        keep: bool,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Whose {
    Tenant { person: u8, workspace: u8 },
    Person(u8),
    Founding(u8),
    Joining { person: u8, invite: u8 },
    System,
}

/// One call of a repository, whatever the scope: mostly one that is refused or finds nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) what: u8,
    pub(crate) person: u8,
    pub(crate) workspace: u8,
    pub(crate) word: u8,
}

/// Every call of every repository; see `Side::call`.
pub(crate) const CALLS: u8 = 45;

/// Below 4: of the person's own; else of all.
fn workspace() -> impl Strategy<Value = u8> {
    0..6u8
}

/// Mostly one of the two who are signed in from the start.
fn person() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(0), 2 => Just(1), 1 => 0..PEOPLE]
}

/// Mostly the other of the two.
fn whom() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(1), 1 => Just(0), 1 => 0..PEOPLE]
}

fn whose() -> impl Strategy<Value = Whose> {
    prop_oneof![
        3 => (person(), workspace()).prop_map(|(person, workspace)| Whose::Tenant { person, workspace }),
        2 => person().prop_map(Whose::Person),
        1 => person().prop_map(Whose::Founding),
        1 => (whom(), 0..6u8).prop_map(|(person, invite)| Whose::Joining { person, invite }),
        3 => Just(Whose::System),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    (0..CALLS, 0..PEOPLE, 0..6u8, 0..WORDS).prop_map(|(what, person, workspace, word)| Call {
        what,
        person,
        workspace,
        word,
    })
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    let word = || 0..WORDS;
    let maybe = move || proptest::option::of(word());
    let key = || proptest::option::weighted(0.4, 0..3u8);
    let keep = || proptest::bool::weighted(0.7);
    prop_oneof![
        3 => (0..PEOPLE, any::<bool>()).prop_map(|(person, shout)| Operation::SignUp { person, shout }),
        2 => (0..PEOPLE, any::<bool>()).prop_map(|(person, replace)| Operation::LogIn { person, replace }),
        1 => person().prop_map(|person| Operation::LogOut { person }),
        4 => (person(), maybe(), key(), keep()).prop_map(|(person, slug, key, keep)| Operation::Found { person, slug, key, keep }),
        5 => (person(), workspace(), maybe(), maybe(), key(), keep()).prop_map(|(person, workspace, name, slug, key, keep)| {
            Operation::Rename { person, workspace, name, slug, key, keep }
        }),
        6 => (person(), workspace(), 0..4u32, 0..4u8, 0..3u8, keep()).prop_map(
            |(person, workspace, reserve, insert, delete, keep)| Operation::Rows { person, workspace, reserve, insert, delete, keep }
        ),
        3 => (person(), workspace()).prop_map(|(person, workspace)| Operation::Read { person, workspace }),
        3 => (person(), workspace(), 1..6u32, 0..8u8)
            .prop_map(|(person, workspace, limit, filter)| Operation::Audit { person, workspace, limit, filter }),
        2 => (person(), 1..4u32).prop_map(|(person, limit)| Operation::Workspaces { person, limit }),
        4 => (0..12u8, workspace(), any::<bool>(), 0..4u8, 0..9u8, 0..3u8, 0..3u8).prop_map(
            |(id, workspace, known, plan, status, change, ago)| Operation::Fact { id, workspace, known, plan, status, change, ago }
        ),
        3 => Just(Operation::Process),
        1 => (0..20u8).prop_map(Operation::Wait),
        6 => (person(), workspace(), whom(), 0..4u8)
            .prop_map(|(person, workspace, whom, role)| Operation::Invite { person, workspace, whom, role }),
        6 => (whom(), 0..6u8, keep()).prop_map(|(person, invite, keep)| Operation::Accept { person, invite, keep }),
        4 => (person(), workspace(), whom(), 0..5u8)
            .prop_map(|(person, workspace, whom, role)| Operation::ChangeRole { person, workspace, whom, role }),
        3 => (person(), workspace(), whom())
            .prop_map(|(person, workspace, whom)| Operation::Remove { person, workspace, whom }),
        3 => (person(), workspace(), 1..8u8)
            .prop_map(|(person, workspace, scopes)| Operation::MakeKey { person, workspace, scopes }),
        6 => (whom(), workspace(), proptest::option::weighted(0.4, 0..4u8))
            .prop_map(|(person, workspace, key)| Operation::LetIn { person, workspace, key }),
        6 => (0..4u8, proptest::option::weighted(0.3, 0..4u8)).prop_map(|(call, revoke)| Operation::Late { call, revoke }),
        18 => (whose(), [proptest::option::of(call()), proptest::option::of(call()), proptest::option::of(call())], keep())
            .prop_map(|(scope, calls, keep)| Operation::Probe { scope, calls, keep }),
    ]
}
