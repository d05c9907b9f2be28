//! Follows each path to the module that defines what it names.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::Mention;
use super::source::Scope;
use super::{ROOT, Use};

/// Which module uses which, of all paths of `scopes`.
pub(super) fn uses(scopes: &[Scope]) -> Vec<Use> {
    let names = Names::of(scopes);
    let mut uses = Vec::new();
    for (at, scope) in scopes.iter().enumerate() {
        let mut add = |mention: &Mention, reexport: bool, text: String| {
            let Found::In(target) = names.target(at, mention) else { return };
            let target = &scopes[target];
            let of_below = reexport && is_below(&target.module, &scope.module);
            if target.module != scope.module && !of_below {
                let (from, to) = (scope.module.clone(), target.module.clone());
                uses.push(Use { from, to, file: scope.file.clone(), line: mention.line, text });
            }
        };
        for import in &scope.imports {
            let (path, star) = (import.mention.segments.join("::"), if import.glob { "::*" } else { "" });
            add(&import.mention, import.reexport, format!("use {path}{star}"));
        }
        for mention in &scope.mentions {
            add(mention, false, mention.segments.join("::") + if mention.bare_macro { "!" } else { "" });
        }
    }
    uses
}

/// Every path that leads to another crate, as seen from outside: a path that begins with an imported name begins with what the
/// import names instead.
pub(super) fn outside(scopes: &[Scope]) -> Vec<Use> {
    let names = Names::of(scopes);
    let mut outside = Vec::new();
    for (at, scope) in scopes.iter().enumerate() {
        let imports = scope.imports.iter().map(|import| &import.mention);
        for mention in imports.chain(scope.mentions.iter().filter(|mention| !mention.bare_macro)) {
            if !matches!(names.target(at, mention), Found::Outside) {
                continue;
            }
            let imported = mention.segments.split_first().and_then(|(first, rest)| {
                let import = scope.imports.iter().find(|import| import.name.as_ref() == Some(first))?;
                Some(import.mention.segments.iter().chain(rest).cloned().collect())
            });
            let path: Vec<String> = imported.unwrap_or_else(|| mention.segments.clone());
            if path.first().is_some_and(|first| !matches!(first.as_str(), "crate" | "self" | "super" | "Self")) {
                let (from, text) = (scope.module.clone(), mention.segments.join("::"));
                outside.push(Use { from, to: path.join("::"), file: scope.file.clone(), line: mention.line, text });
            }
        }
    }
    outside
}

/// Every call of a method.
pub(super) fn methods(scopes: &[Scope]) -> Vec<Use> {
    let calls = |scope: &Scope| {
        let (from, file) = (scope.module.clone(), scope.file.clone());
        let call = move |(name, line): (String, usize)| {
            let text = format!(".{name}(…)");
            Use { from: from.clone(), to: name, file: file.clone(), line, text }
        };
        scope.methods.clone().into_iter().map(call)
    };
    scopes.iter().flat_map(calls).collect()
}

fn is_below(module: &str, above: &str) -> bool {
    above == ROOT || module.strip_prefix(above).is_some_and(|rest| rest.starts_with("::"))
}

/// Where a path leads.
#[derive(Clone, Copy)]
enum Found {
    /// To the scope with this number.
    In(usize),
    /// Out of the crate, or into code that is left out.
    Outside,
    /// To a name that no declaration or import shows, such as one that a macro declares.
    Nowhere,
}

/// What names lead to.
struct Names<'a> {
    scopes: &'a [Scope],
    by_path: BTreeMap<&'a [String], usize>,
    macros: BTreeMap<&'a str, usize>,
}

/// The names that have been looked up on the way, each in its scope: a second time is a cycle of imports.
type Seen = BTreeSet<(usize, String)>;

impl<'a> Names<'a> {
    fn of(scopes: &'a [Scope]) -> Self {
        let by_path = scopes.iter().enumerate().map(|(at, scope)| (scope.path.as_slice(), at)).collect();
        let declared = |(at, scope): (usize, &'a Scope)| scope.macros.iter().map(move |name| (name.as_str(), at));
        Self { scopes, by_path, macros: scopes.iter().enumerate().flat_map(declared).collect() }
    }

    fn target(&self, at: usize, mention: &Mention) -> Found {
        if mention.bare_macro {
            let name = &mention.segments[0];
            // An import of that name is a use already.
            let imported = self.scopes[at].imports.iter().any(|import| import.name.as_ref() == Some(name));
            let declared = self.macros.get(name.as_str()).filter(|_| !imported);
            return declared.map_or(Found::Outside, |at| Found::In(*at));
        }
        self.path(at, &mention.segments, &mut Seen::new())
    }

    /// A path as written in the scope `at`.
    fn path(&self, at: usize, segments: &[String], seen: &mut Seen) -> Found {
        let own = &self.scopes[at].path;
        let (base, rest) = match segments.split_first() {
            Some((first, rest)) if first == "crate" => (&[][..], rest),
            Some((first, rest)) if first == "self" => (&own[..], rest),
            Some((first, _)) if first == "super" => {
                let up = segments.iter().take_while(|segment| *segment == "super").count();
                (&own[..own.len().saturating_sub(up)], &segments[up..])
            }
            Some((first, rest)) => {
                return match self.child(at, first) {
                    Some(child) => self.walk(child, rest, seen),
                    // What this module neither declares nor imports is another crate's, or std's.
                    None => match self.name(at, first, rest, seen) {
                        Found::Nowhere => Found::Outside,
                        found => found,
                    },
                };
            }
            None => return Found::In(at),
        };
        self.by_path.get(base).map_or(Found::Outside, |base| self.walk(*base, rest, seen))
    }

    /// A path that begins in the scope `at`.
    fn walk(&self, mut at: usize, segments: &[String], seen: &mut Seen) -> Found {
        for (index, segment) in segments.iter().enumerate() {
            match self.child(at, segment) {
                Some(child) => at = child,
                None => {
                    return match self.name(at, segment, &segments[index + 1..], seen) {
                        Found::Nowhere => Found::In(at),
                        found => found,
                    };
                }
            }
        }
        Found::In(at)
    }

    fn child(&self, at: usize, name: &str) -> Option<usize> {
        let path: Vec<String> = self.scopes[at].path.iter().cloned().chain([name.to_owned()]).collect();
        self.by_path.get(path.as_slice()).copied()
    }

    /// `name::rest`, where `name` is no module below the scope `at`.
    fn name(&self, at: usize, name: &str, rest: &[String], seen: &mut Seen) -> Found {
        let scope = &self.scopes[at];
        if scope.items.contains(name) {
            return Found::In(at);
        }
        if scope.left_out.contains(name) || !seen.insert((at, name.to_owned())) {
            return Found::Outside;
        }
        let mut imports: Vec<_> = scope.imports.iter().filter(|import| import.name.as_deref() == Some(name)).collect();
        imports.sort_by_key(|import| import.local);
        if let Some(import) = imports.first() {
            let path: Vec<String> = import.mention.segments.iter().chain(rest).cloned().collect();
            return self.path(at, &path, seen);
        }
        for glob in scope.imports.iter().filter(|import| import.glob) {
            if let Found::In(target) = self.path(at, &glob.mention.segments, seen) {
                let found = match self.child(target, name) {
                    Some(child) => self.walk(child, rest, seen),
                    None => self.name(target, name, rest, seen),
                };
                if let Found::In(_) = found {
                    return found;
                }
            }
        }
        // Exported macros are named at the root, wherever they are declared.
        match self.macros.get(name) {
            Some(declared) if scope.path.is_empty() => Found::In(*declared),
            _ => Found::Nowhere,
        }
    }
}
