//! The modules of a crate and which of them uses which, read from its sources, so that a test can hold them to floors.
//!
//! A module is a file; a module inside a file counts as part of it. Module `a` uses module `b` when a path in `a` (in a
//! `use`, in code or in a macro's arguments) leads to an item that `b` defines. Re-exports are followed to the
//! definition. These make no use: a `mod` declaration, a module's `pub use` of what lies below it, a path's way through
//! other modules, code under `#[cfg(test)]`, and calls of methods, which name no path and are listed by themselves.

mod paths;
mod resolve;
mod source;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use saas_kernel::BoxError;

use crate::TestResult;

/// The name of the crate's root in the list of modules.
const ROOT: &str = "crate";

/// A crate's modules and what they use.
pub struct Modules {
    /// Each module's path in the crate, such as `billing::limits`; `crate` is the root.
    pub modules: BTreeSet<String>,
    /// Every place in which one uses another.
    pub uses: Vec<Use>,
    /// Every place in which one names an item of another crate by a path; `to` is that path, with the crate's name.
    pub outside: Vec<Use>,
    /// Every call of a method; `to` is its name.
    pub methods: Vec<Use>,
}

/// A place in one module that uses another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Use {
    /// The module that uses.
    pub from: String,
    /// The module that is used.
    pub to: String,
    /// The file, below the crate's `src`.
    pub file: String,
    /// The line in it.
    pub line: usize,
    /// As it is written there, without the other names of its braces.
    pub text: String,
}

impl std::fmt::Display for Use {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: `{}` uses `{}`", self.file, self.line, self.text, self.to)
    }
}

impl Modules {
    /// Reads the crate whose sources are in `src`. `leave_out` names features, and modules with all below them, whose
    /// code is not looked at.
    ///
    /// # Errors
    /// When a file cannot be read or is not Rust.
    pub fn read(src: &Path, leave_out: &[&str]) -> Result<Self, BoxError> {
        let mut files = BTreeMap::new();
        collect(src, "", &mut files)?;
        Self::parse(&files, leave_out)
    }

    /// The same, of sources by their path below `src`.
    ///
    /// # Errors
    /// When a source is not Rust, or a module has no source.
    pub fn parse(files: &BTreeMap<String, String>, leave_out: &[&str]) -> Result<Self, BoxError> {
        let scopes = source::scopes(files, leave_out)?;
        let (uses, outside, methods) = (resolve::uses(&scopes), resolve::outside(&scopes), resolve::methods(&scopes));
        Ok(Self { modules: scopes.into_iter().map(|scope| scope.module).collect(), uses, outside, methods })
    }

    /// The cycles among the modules, each as the uses that make it.
    pub fn cycles(&self) -> Vec<Vec<&Use>> {
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            self.modules.iter().map(|module| (module.as_str(), self.reached_from(module))).collect();
        let reaches = |from: &str, to: &str| reached.get(from).is_some_and(|reached| reached.contains(to));
        let (mut cycles, mut seen) = (Vec::new(), BTreeSet::new());
        for module in &self.modules {
            if reaches(module, module) && !seen.contains(module.as_str()) {
                let group: BTreeSet<&str> = self
                    .modules
                    .iter()
                    .map(String::as_str)
                    .filter(|other| reaches(module, other) && reaches(other, module))
                    .collect();
                cycles.push(self.uses_within(&group));
                seen.extend(group);
            }
        }
        cycles
    }

    /// What is wrong with `floors`, a floor for each prefix of modules of which the longest counts: a module that no
    /// prefix covers, a prefix that covers no module, and the first use of each module on a higher floor. A module may
    /// use its own floor.
    pub fn floor_violations(&self, floors: &[(&str, u8)]) -> Vec<String> {
        let covers = |prefix: &str, module: &str| {
            module.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let floor_of = |module: &str| {
            floors
                .iter()
                .filter(|(prefix, _)| covers(prefix, module))
                .max_by_key(|(prefix, _)| prefix.len())
                .map(|floor| floor.1)
        };
        let mut wrong = Vec::new();
        for module in &self.modules {
            // A root that only declares and re-exports needs no floor.
            let idle = module == ROOT && !self.uses.iter().any(|used| used.from == ROOT || used.to == ROOT);
            if floor_of(module).is_none() && !idle {
                wrong.push(format!("`{module}` has no floor; add it, or a prefix of it, to the table"));
            }
        }
        for (prefix, _) in floors {
            if !self.modules.iter().any(|module| covers(prefix, module)) {
                wrong.push(format!("there is no module `{prefix}`; take it off the table"));
            }
        }
        let mut pairs = BTreeSet::new();
        for used in &self.uses {
            if let (Some(from), Some(to)) = (floor_of(&used.from), floor_of(&used.to))
                && to > from
                && pairs.insert((&used.from, &used.to))
            {
                wrong.push(format!("{used} on floor {to}, which is above floor {from} of `{}`", used.from));
            }
        }
        wrong
    }

    fn reached_from(&self, module: &str) -> BTreeSet<&str> {
        let (mut reached, mut next) = (BTreeSet::new(), vec![module]);
        while let Some(module) = next.pop() {
            for used in self.uses.iter().filter(|used| used.from == module) {
                if reached.insert(used.to.as_str()) {
                    next.push(&used.to);
                }
            }
        }
        reached
    }

    /// The first use of each module of `group` by each other one.
    fn uses_within(&self, group: &BTreeSet<&str>) -> Vec<&Use> {
        let mut pairs = BTreeSet::new();
        let within = |used: &&Use| group.contains(used.from.as_str()) && group.contains(used.to.as_str());
        self.uses.iter().filter(within).filter(|used| pairs.insert((&used.from, &used.to))).collect()
    }
}

/// Fails when modules of the crate in `src` form a cycle; see [`Modules::read`] for `leave_out`.
///
/// # Errors
/// See [`Modules::read`].
///
/// # Panics
/// With the uses of every cycle, file and line.
#[track_caller]
pub fn assert_no_cycles(src: &Path, leave_out: &[&str]) -> TestResult {
    let modules = Modules::read(src, leave_out)?;
    let cycles: Vec<String> = modules.cycles().iter().map(|uses| lines(uses)).collect();
    assert!(cycles.is_empty(), "modules of {} form a cycle:\n{}", src.display(), cycles.join("\n\n"));
    Ok(())
}

/// Fails when a module of the crate in `src` uses one on a higher floor, or has no floor: see
/// [`Modules::floor_violations`] for `floors` and [`Modules::read`] for `leave_out`.
///
/// # Errors
/// See [`Modules::read`].
///
/// # Panics
/// With every module without a floor, and file, line and both floors of every use of a higher one.
#[track_caller]
pub fn assert_floors(src: &Path, floors: &[(&str, u8)], leave_out: &[&str]) -> TestResult {
    let wrong = Modules::read(src, leave_out)?.floor_violations(floors);
    assert!(wrong.is_empty(), "the floors of {} do not hold:\n{}", src.display(), lines(&wrong));
    Ok(())
}

fn lines(items: &[impl ToString]) -> String {
    items.iter().map(|item| format!("  {}", item.to_string())).collect::<Vec<_>>().join("\n")
}

fn collect(src: &Path, below: &str, files: &mut BTreeMap<String, String>) -> TestResult {
    for entry in fs::read_dir(src.join(below))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let name = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.file_type()?.is_dir() {
            collect(src, &name, files)?;
        } else if name.ends_with(".rs") {
            files.insert(name, fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}
