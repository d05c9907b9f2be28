//! Reads sources into scopes: what each module declares, imports and names.

use std::collections::{BTreeMap, BTreeSet};

use saas_kernel::BoxError;
use syn::punctuated::Punctuated;
use syn::{Attribute, ExprLit, Item, ItemMod, Lit, Meta, Token};

use super::ROOT;
use super::paths::{Collector, Import, Mention};

/// A module, in a file or inline, with what its code says.
#[derive(Default)]
pub(super) struct Scope {
    /// Its path in the crate; the root's is empty.
    pub(super) path: Vec<String>,
    /// The module whose file it stands in.
    pub(super) module: String,
    /// That file, below `src`.
    pub(super) file: String,
    /// The items it declares, modules apart.
    pub(super) items: BTreeSet<String>,
    /// The macros it declares.
    pub(super) macros: BTreeSet<String>,
    /// The modules it declares that are left out.
    pub(super) left_out: BTreeSet<String>,
    /// Its `use` declarations, name by name.
    pub(super) imports: Vec<Import>,
    /// The paths in its code.
    pub(super) mentions: Vec<Mention>,
    /// The methods it calls, each with its line.
    pub(super) methods: Vec<(String, usize)>,
}

/// Every module of the crate, beginning at `lib.rs` or `main.rs`.
pub(super) fn scopes(files: &BTreeMap<String, String>, leave_out: &[&str]) -> Result<Vec<Scope>, BoxError> {
    let root = ["lib.rs", "main.rs"].into_iter().find(|root| files.contains_key(*root));
    let root = root.ok_or("the crate has neither a lib.rs nor a main.rs")?;
    let mut reader = Reader { files, leave_out, scopes: Vec::new() };
    reader.file(Vec::new(), root)?;
    Ok(reader.scopes)
}

struct Reader<'a> {
    files: &'a BTreeMap<String, String>,
    leave_out: &'a [&'a str],
    scopes: Vec<Scope>,
}

impl Reader<'_> {
    fn file(&mut self, path: Vec<String>, file: &str) -> Result<(), BoxError> {
        let text = self.files.get(file).ok_or("a file that is listed")?;
        let parsed = syn::parse_file(text).map_err(|error| format!("{file}:{}: {error}", error.span().start().line))?;
        if self.is_compiled(&parsed.attrs) {
            let module = if path.is_empty() { ROOT.to_owned() } else { path.join("::") };
            self.scope(path, &module, file, &parsed.items)?;
        }
        Ok(())
    }

    fn scope(&mut self, path: Vec<String>, module: &str, file: &str, items: &[Item]) -> Result<(), BoxError> {
        let scope = Scope { path, module: module.to_owned(), file: file.to_owned(), ..Scope::default() };
        let index = self.scopes.len();
        self.scopes.push(scope);
        let mut collector = Collector::new(self.leave_out);
        let mut scope = std::mem::take(&mut self.scopes[index]);
        for item in items {
            if let Item::Mod(child) = item {
                let mut path = scope.path.clone();
                path.push(child.ident.to_string());
                if !self.is_compiled(&child.attrs) || self.leave_out.contains(&path.join("::").as_str()) {
                    scope.left_out.insert(child.ident.to_string());
                } else {
                    self.module(path, child, module, file)?;
                }
            } else {
                collector.item(item);
            }
        }
        (scope.items, scope.macros) = (collector.items, collector.macros);
        (scope.imports, scope.mentions, scope.methods) = (collector.imports, collector.mentions, collector.methods);
        self.scopes[index] = scope;
        Ok(())
    }

    fn module(&mut self, path: Vec<String>, child: &ItemMod, module: &str, file: &str) -> Result<(), BoxError> {
        if let Some((_, items)) = &child.content {
            return self.scope(path, module, file, items);
        }
        if child.attrs.iter().any(|attribute| attribute.path().is_ident("path")) {
            return Err(format!("{file}: `mod {}` has a #[path], which is not supported here", child.ident).into());
        }
        let base = path.join("/");
        let candidates = [format!("{base}.rs"), format!("{base}/mod.rs")];
        let found = candidates.iter().find(|candidate| self.files.contains_key(*candidate));
        let found = found.ok_or_else(|| format!("{file}: `mod {}` has no file {base}.rs", child.ident))?;
        self.file(path, found)
    }

    fn is_compiled(&self, attributes: &[Attribute]) -> bool {
        is_compiled(attributes, self.leave_out)
    }
}

/// Whether code under these attributes counts: `test` is off, and so are the features of `leave_out`.
pub(super) fn is_compiled(attributes: &[Attribute], leave_out: &[&str]) -> bool {
    !attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).any(|attribute| {
        attribute.parse_args::<Meta>().is_ok_and(|condition| holds(&condition, leave_out) == Some(false))
    })
}

/// Whether a `cfg` condition holds; `None` where that depends on the platform or another feature.
fn holds(condition: &Meta, leave_out: &[&str]) -> Option<bool> {
    match condition {
        Meta::Path(name) => name.is_ident("test").then_some(false),
        Meta::NameValue(pair) => match &pair.value {
            syn::Expr::Lit(ExprLit { lit: Lit::Str(value), .. }) if pair.path.is_ident("feature") => {
                leave_out.contains(&value.value().as_str()).then_some(false)
            }
            _ => None,
        },
        Meta::List(list) => {
            let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).ok()?;
            let parts: Vec<Option<bool>> = parts.iter().map(|part| holds(part, leave_out)).collect();
            // One part that is as `decides` makes the whole so; one that is not known leaves it open.
            let combined = |decides: bool| match parts.as_slice() {
                parts if parts.contains(&Some(decides)) => Some(decides),
                parts if parts.contains(&None) => None,
                _ => Some(!decides),
            };
            match list.path.get_ident()?.to_string().as_str() {
                "all" => combined(false),
                "any" => combined(true),
                "not" => parts.first().copied().flatten().map(|holds| !holds),
                _ => None,
            }
        }
    }
}
