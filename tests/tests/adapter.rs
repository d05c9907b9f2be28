//! The HTTP adapter only translates: what it takes from the kernel is committed as a table, and holds no port, no ready-made
//! adapter of one, and nothing that waits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use saas_kernel::BoxError;
use saas_kernel_tests::TestResult;
use saas_kernel_tests::modules::{Modules, Use};

const ADAPTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../kernel-axum/src");
const KERNEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../kernel/src");

/// What a port's trait is not called by, and an adapter of HTTP must not name all the same: the database, and what comes with
/// the kernel to stand in for a port.
const FORBIDDEN: &[&str] = &["Store", "SystemStore", "Tx", "Lookups", "SystemClock", "NoMailer", "NoHooks", "memory"];

/// The kernel's methods that hand a port out. `store` is not among them: a handler begins its transaction with it.
const FORBIDDEN_METHODS: &[&str] = &["mailer", "lookups", "passwords", "hooks"];

/// What is allowed all the same, in these files.
const EXCEPTIONS: &[(&str, &str)] = &[
    // The page that shows the mails of development reads them from the mailer that keeps them.
    ("app.rs", "saas_kernel::memory::mailer::MemoryMailer"),
    ("dev.rs", "saas_kernel::memory::mailer::MemoryMailer"),
    // Between two attempts to accept a connection, when all file descriptors are in use.
    ("serve.rs", "tokio::time::sleep"),
];

fn is_exception(used: &Use) -> bool {
    EXCEPTIONS.iter().any(|(file, path)| used.file == *file && used.to.starts_with(path))
}

/// The traits whose documentation begins with `Port:`.
fn ports(below: &Path, found: &mut BTreeSet<String>) -> TestResult {
    for entry in fs::read_dir(below)? {
        let path = entry?.path();
        if path.is_dir() {
            ports(&path, found)?;
            continue;
        }
        let text = fs::read_to_string(&path)?;
        for documented in text.split("/// Port:").skip(1) {
            let declared = documented.split_once("pub trait ").ok_or("a port is a public trait")?.1;
            found.extend(declared.split(|c: char| !c.is_alphanumeric()).next().map(str::to_owned));
        }
    }
    Ok(())
}

fn adapter() -> Result<Modules, BoxError> {
    Modules::read(Path::new(ADAPTER), &[])
}

fn lines<'a>(uses: impl Iterator<Item = &'a Use>) -> String {
    uses.map(|used| format!("  {used}")).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_http_adapter_names_no_port_and_never_waits() -> TestResult {
    let mut forbidden: BTreeSet<String> = FORBIDDEN.iter().map(|name| (*name).to_owned()).collect();
    ports(Path::new(KERNEL), &mut forbidden)?;
    for port in ["Mailer", "RateLimiter", "BillingProvider", "Clock"] {
        assert!(forbidden.contains(port), "`{port}` is a port, and its documentation does not say so");
    }
    let modules = adapter()?;
    let names_port = |used: &&Use| used.to.split("::").skip(1).any(|segment| forbidden.contains(segment));
    let of_kernel = modules.outside.iter().filter(|used| used.to.starts_with("saas_kernel::"));
    let ports = lines(of_kernel.filter(names_port).filter(|used| !is_exception(used)));
    assert!(ports.is_empty(), "leave it to a flow of the kernel:\n{ports}");
    let waits =
        |used: &&Use| ["tokio::time::sleep", "std::thread::sleep"].iter().any(|sleep| used.to.starts_with(sleep));
    let sleeps = lines(modules.outside.iter().filter(waits).filter(|used| !is_exception(used)));
    assert!(sleeps.is_empty(), "a floor of time belongs to the flow that it protects:\n{sleeps}");
    let hands_out = |used: &&Use| FORBIDDEN_METHODS.contains(&used.to.as_str());
    let methods = lines(modules.methods.iter().filter(hands_out));
    assert!(methods.is_empty(), "leave it to a flow of the kernel:\n{methods}");
    for (file, path) in EXCEPTIONS {
        let used = modules.outside.iter().any(|used| used.file == *file && used.to.starts_with(path));
        assert!(used, "{file} no longer uses `{path}`; take the exception off the list");
    }
    Ok(())
}

/// An item's path without the crate, up to its type, as `(module, item)`.
fn item(path: &str) -> (String, String) {
    let segments: Vec<&str> = path.split("::").skip(1).collect();
    let is_type = |segment: &&str| segment.starts_with(char::is_uppercase);
    let end = segments.iter().position(is_type).map_or(segments.len(), |at| at + 1);
    let (item, module) = segments.get(..end).and_then(<[&str]>::split_last).unwrap_or((&"", &[]));
    (module.join("::"), (*item).to_owned())
}

#[test]
fn what_the_http_adapter_takes_from_the_kernel_is_committed() -> TestResult {
    let modules = adapter()?;
    let paths = modules.outside.iter().map(|used| used.to.as_str()).filter(|path| path.starts_with("saas_kernel::"));
    let mut taken: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, item) in paths.map(item) {
        taken.entry(module).or_default().insert(item);
    }
    // A module that is imported whole is in the table by what is named in it.
    let whole: Vec<String> = taken.keys().cloned().collect();
    for (module, items) in &mut taken {
        let path = |item: &str| if module.is_empty() { item.to_owned() } else { format!("{module}::{item}") };
        items.retain(|item| !whole.contains(&path(item)));
    }
    let mut text = "# What `saas-kernel-axum` takes from the kernel\n\nGenerated by `tests/tests/adapter.rs` from the paths in \
                    `kernel-axum/src`. No port is among them: the flows that need one are in the kernel.\n\n| module | items |\n|---|---|\n"
        .to_owned();
    for (module, items) in taken.iter().filter(|(_, items)| !items.is_empty()) {
        let module = if module.is_empty() { "saas_kernel" } else { module.as_str() };
        let items: Vec<String> = items.iter().map(|item| format!("`{item}`")).collect();
        writeln!(text, "| `{module}` | {} |", items.join(", "))?;
    }
    let committed = fs::read_to_string(Path::new(ADAPTER).join("../imports.md")).unwrap_or_default();
    assert!(committed == text, "the table has changed; write this to kernel-axum/imports.md:\n{text}");
    Ok(())
}
