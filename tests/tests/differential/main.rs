//! The same operations on memory and on Postgres give the same answers and leave the same behind.
//!
//! `DIFFERENTIAL_CASES` says how many random sequences are run (12 by default), `DIFFERENTIAL_LENGTH` how many operations
//! each may have; `DIFFERENTIAL_SHOW` prints them with their answers. What fails is shrunk and printed.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "what is out of range or does not parse fails, as it should"
)]

mod operations;
mod people;
mod perform;
mod probe;
mod side;
mod teammates;
mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::TimeDelta;
use operations::{Operation, operation};
use proptest::collection::vec;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use saas_kernel::BoxError;
use saas_kernel::clock::{Clock, SystemClock, TestClock};
use saas_kernel::conformance::Memory;
use saas_kernel_tests::backends::Postgres;
use side::Side;

/// Two people who are signed in, so that most of what follows has somebody to do it.
const PRELUDE: [Operation; 4] = [
    Operation::SignUp { person: 0, shout: false },
    Operation::LogIn { person: 0, replace: false },
    Operation::SignUp { person: 1, shout: true },
    Operation::LogIn { person: 1, replace: false },
];

static COMPARED: AtomicUsize = AtomicUsize::new(0);

fn setting(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn memory_and_postgres_agree() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let length = setting("DIFFERENTIAL_LENGTH", 100) as usize;
    let config = Config {
        cases: setting("DIFFERENTIAL_CASES", 12),
        max_shrink_iters: 5_000,
        max_shrink_time: 120_000,
        failure_persistence: None,
        ..Config::default()
    };
    let run = TestRunner::new(config).run(&vec(operation(), 1..=length), |operations| {
        let compared = runtime.block_on(compare(&operations));
        compared.map_err(|error| TestCaseError::fail(error.to_string()))
    });
    println!("{} operations compared", COMPARED.load(Ordering::Relaxed));
    if let Err(TestError::Fail(why, operations)) = run {
        let lines: Vec<String> = operations.iter().map(|operation| format!("  {operation:?}")).collect();
        panic!("{why}\nof the operations\n{}", lines.join("\n"));
    }
    run.unwrap();
}

async fn compare(operations: &[Operation]) -> Result<(), BoxError> {
    let clock = Arc::new(TestClock::at(SystemClock.now()));
    let mut memory = Side::new(&Memory, clock.clone()).await?;
    let mut postgres = Side::new(&Postgres, clock.clone()).await?;
    for (index, operation) in PRELUDE.iter().chain(operations).enumerate() {
        clock.advance(TimeDelta::seconds(1));
        if let Operation::Wait(minutes) = operation {
            clock.advance(TimeDelta::minutes(i64::from(*minutes)));
        }
        let (here, there) = (memory.perform(operation).await?, postgres.perform(operation).await?);
        COMPARED.fetch_add(1, Ordering::Relaxed);
        if std::env::var_os("DIFFERENTIAL_SHOW").is_some() {
            println!("{operation:?}\n    {here}");
        }
        if here != there {
            return Err(format!("operation {index} {operation:?}\n  memory:   {here}\n  postgres: {there}").into());
        }
    }
    let (here, there) = (memory.everything().await?, postgres.everything().await?);
    match here.iter().zip(&there).find(|(here, there)| here != there) {
        None if here.len() == there.len() => Ok(()),
        None => Err(format!("{} things here, {} there", here.len(), there.len()).into()),
        Some((here, there)) => Err(format!("what is left\n  memory:   {here}\n  postgres: {there}").into()),
    }
}
