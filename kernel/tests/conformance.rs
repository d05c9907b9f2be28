//! The public contracts, on the in-process adapters.

use saas_kernel::clock::{SystemClock, TestClock};
use saas_kernel::conformance::{self, Memory, SUITES};
use saas_kernel::memory::billing::MemoryBilling;
use saas_kernel::memory::mailer::MemoryMailer;
use saas_kernel::memory::rate_limit::MemoryRateLimiter;

saas_kernel::conformance_tests!(Memory);

#[tokio::test]
async fn all_of_them_in_one_call() -> conformance::Outcome {
    conformance::all(&Memory).await
}

#[tokio::test]
async fn rate_limiter() -> conformance::Outcome {
    conformance::rate_limiter(&MemoryRateLimiter::default()).await
}

#[tokio::test]
async fn billing_provider() -> conformance::Outcome {
    let billing = MemoryBilling::default();
    conformance::billing_provider(&billing, &billing).await
}

#[tokio::test]
async fn mailer() -> conformance::Outcome {
    let mailer = MemoryMailer::default();
    conformance::mailer(&mailer, &mailer).await
}

#[tokio::test]
async fn clock() -> conformance::Outcome {
    conformance::clock(&SystemClock).await?;
    conformance::clock(&TestClock::at("2026-03-04T05:06:07.123456789Z".parse()?)).await
}

/// A port that is added without a suite of its name fails here; those of the system of record are in `SUITES`.
#[test]
fn every_port_has_a_suite() {
    let (mut ports, mut folders) =
        (Vec::new(), vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            for port in source.split("/// Port: ").skip(1) {
                let name =
                    port.split("pub trait ").nth(1).unwrap().split(|c: char| !c.is_alphanumeric()).next().unwrap();
                ports.push(name.to_owned());
            }
        }
    }
    ports.sort();
    assert_eq!(ports, ["BillingProvider", "Clock", "Mailer", "RateLimiter", "Store", "SystemStore"]);
    let own = include_str!("conformance.rs");
    for port in ports.iter().filter(|port| !port.ends_with("Store")) {
        let suite: String = port.chars().enumerate().fold(String::new(), |mut name, (at, c)| {
            if c.is_uppercase() && at > 0 {
                name.push('_');
            }
            name.extend(c.to_lowercase());
            name
        });
        assert!(own.contains(&format!("conformance::{suite}(")), "there is no suite `{suite}` that runs here");
    }
}

/// A repository that is added to `Tx` without a suite of its name fails here.
#[test]
fn every_accessor_of_a_transaction_has_a_suite() {
    let source = include_str!("../src/store.rs");
    let of_tx = source.split("pub trait Tx:").nth(1).and_then(|rest| rest.split("\n}\n").next()).unwrap();
    let accessors: Vec<&str> = of_tx
        .lines()
        .filter(|line| line.contains("(&mut self) -> &mut dyn "))
        .map(|line| line.trim().trim_start_matches("fn ").split('(').next().unwrap())
        .collect();
    assert!(accessors.len() >= 9 && accessors.contains(&"users"), "{accessors:?}");
    for accessor in accessors {
        assert!(SUITES.contains(&accessor), "kernel/src/conformance.rs declares no suite `{accessor}`");
    }
}
