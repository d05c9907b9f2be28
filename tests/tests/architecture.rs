//! The crates, and the modules in them, depend on each other as the architecture says.

use std::path::Path;

use cargo_metadata::{DependencyKind, MetadataCommand};
use saas_kernel_tests::TestResult;
use saas_kernel_tests::modules::{assert_floors, assert_no_cycles};

/// The crate for products' tests, which may use several adapters.
const TESTING: &str = "saas-kernel-testing";

/// What the pure crate must never reach, directly or through others.
const IO: &[&str] = &["sqlx", "sqlx-core", "axum", "hyper", "reqwest", "redis", "async-nats", "lettre", "rustls"];

#[test]
fn the_kernel_does_no_io_and_adapters_depend_on_it_alone() -> TestResult {
    let metadata =
        MetadataCommand::new().manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")).exec()?;
    let ours = metadata.workspace_packages();
    let version = ours.iter().map(|package| &package.version).max();
    for package in &ours {
        assert_eq!(Some(&package.version), version, "one version: {}", package.name);
        assert_eq!(package.license.as_deref(), Some("MIT OR Apache-2.0"), "{}", package.name);
        let inner: Vec<&str> = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind == DependencyKind::Normal && dependency.path.is_some())
            .map(|dependency| dependency.name.as_str())
            .collect();
        match package.name.as_str() {
            "saas-kernel" => assert!(inner.is_empty(), "{inner:?}"),
            TESTING => {}
            name if name.starts_with("saas-kernel-") && package.publish.is_none() => {
                assert_eq!(inner, ["saas-kernel"], "{name}: adapters are a fan");
            }
            _ => {}
        }
    }
    // The resolved graph, not only the manifest: nothing may bring I/O in through the back door.
    let resolve = metadata.resolve.as_ref().ok_or("a resolved graph")?;
    let kernel = ours.iter().find(|package| package.name.as_str() == "saas-kernel").ok_or("the kernel")?;
    let (mut reached, mut next) = (std::collections::BTreeSet::new(), vec![&kernel.id]);
    while let Some(id) = next.pop() {
        if reached.insert(id) {
            let node = resolve.nodes.iter().find(|node| node.id == *id).ok_or("a node")?;
            let normal =
                node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal));
            next.extend(normal.map(|dep| &dep.pkg));
        }
    }
    for id in reached {
        let name = metadata[id].name.as_str();
        assert!(!IO.contains(&name), "saas-kernel reaches {name}");
    }
    Ok(())
}

const HTTP_ADAPTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../kernel-axum/src");

#[test]
fn no_module_of_the_http_adapter_takes_part_in_a_cycle() -> TestResult {
    assert_no_cycles(Path::new(HTTP_ADAPTER), &[])
}

#[test]
fn the_http_adapter_uses_lower_floors_only() -> TestResult {
    let floors = [
        // What all share.
        ("settings", 1),
        ("shutdown", 1),
        ("state", 1),
        ("error", 1),
        // What requests and responses are made of.
        ("headers", 1),
        ("body", 2),
        ("json", 2),
        ("extract", 2),
        ("response", 2),
        ("views", 2),
        ("describe", 3),
        ("routing", 3),
        // What a request passes, and where it ends: one module for each pillar, the documents and the development pages.
        ("middleware", 4),
        ("access", 5),
        ("audit", 5),
        ("billing", 5),
        ("dev", 5),
        ("health", 5),
        ("identity", 5),
        ("openapi", 5),
        ("tenancy", 5),
        // The whole.
        ("app", 6),
        ("serve", 7),
    ];
    assert_floors(Path::new(HTTP_ADAPTER), &floors, &[])
}

/// The kernel's floors, lowest first. A pillar is on floor 3, its flows on floor 5.
const FLOORS: &[(&str, u8)] = &[
    ("base", 1),
    ("access", 2),
    ("audit", 3),
    ("billing", 3),
    ("events", 3),
    ("guard", 3),
    ("identity", 3),
    ("notify", 3),
    ("tenancy", 3),
    ("failure", 4),
    ("records", 4),
    ("store", 4),
    ("audit::flow", 5),
    ("billing::entitlements", 5),
    ("billing::limits::flow", 5),
    ("billing::processor", 5),
    ("billing::subscription::flow", 5),
    ("events::flow", 5),
    ("guard::idempotency", 5),
    ("hooks", 5),
    ("identity::api_keys::flow", 5),
    ("identity::authenticate", 5),
    ("identity::login", 5),
    ("identity::sign_up", 5),
    ("identity::users::flow", 5),
    ("memory", 5),
    ("tenancy::invites::flow", 5),
    ("tenancy::members::flow", 5),
    ("tenancy::workspaces::flow", 5),
    ("config", 6),
    ("kernel", 6),
    ("names", 6),
];

#[test]
fn no_floor_of_the_kernel_looks_up_and_no_modules_form_a_cycle() -> TestResult {
    let src = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../kernel/src"));
    assert_floors(src, FLOORS, &["conformance"])?;
    assert_no_cycles(src, &["conformance"])
}
