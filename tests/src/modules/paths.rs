//! Collects the imports and paths of a module's code.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, ImplItem, Item, ItemUse, Macro, Meta, UseTree, Visibility};

use super::source::is_compiled;

/// A name that a `use` brings into a module.
pub(super) struct Import {
    /// Under which name; `None` for all names of a glob, and for `as _`.
    pub(super) name: Option<String>,
    /// Whether it is `use …::*`.
    pub(super) glob: bool,
    /// Whether others can use the name through this module.
    pub(super) reexport: bool,
    /// Inside a function, where it names nothing for the rest of the module.
    pub(super) local: bool,
    /// What it names.
    pub(super) mention: Mention,
}

/// A path as it is written.
#[derive(Clone)]
pub(super) struct Mention {
    /// `crate`, `a`, `B` of `crate::a::B`.
    pub(super) segments: Vec<String>,
    /// The line of its first segment.
    pub(super) line: usize,
    /// Whether it calls a macro by its bare name, which may come from any module above it.
    pub(super) bare_macro: bool,
}

/// Gathers what one module's items declare and name.
pub(super) struct Collector<'a> {
    leave_out: &'a [&'a str],
    depth: usize,
    pub(super) items: BTreeSet<String>,
    pub(super) macros: BTreeSet<String>,
    pub(super) imports: Vec<Import>,
    pub(super) mentions: Vec<Mention>,
    pub(super) methods: Vec<(String, usize)>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(leave_out: &'a [&'a str]) -> Self {
        let (items, macros) = (BTreeSet::new(), BTreeSet::new());
        let (imports, mentions, methods) = (Vec::new(), Vec::new(), Vec::new());
        Self { leave_out, depth: 0, items, macros, imports, mentions, methods }
    }

    /// Takes an item of the module itself.
    pub(super) fn item(&mut self, item: &Item) {
        if !is_compiled(attributes(item), self.leave_out) {
            return;
        }
        if let Item::Macro(declared) = item
            && let Some(name) = &declared.ident
        {
            self.macros.insert(name.to_string());
        }
        self.items.extend(name(item).map(ToString::to_string));
        self.visit_item(item);
    }

    fn import(&mut self, tree: &UseTree, prefix: &[&Ident], declaration: &ItemUse) {
        let (last, name, glob) = match tree {
            UseTree::Path(path) => {
                let prefix: Vec<&Ident> = prefix.iter().copied().chain([&path.ident]).collect();
                return self.import(&path.tree, &prefix, declaration);
            }
            UseTree::Group(group) => return group.items.iter().for_each(|tree| self.import(tree, prefix, declaration)),
            UseTree::Name(name) => (Some(&name.ident), Some(&name.ident), false),
            UseTree::Rename(rename) => (Some(&rename.ident), Some(&rename.rename), false),
            UseTree::Glob(_) => (None, None, true),
        };
        let mut segments: Vec<&Ident> = prefix.iter().copied().chain(last).collect();
        let mut name = name.map(ToString::to_string);
        // `use a::b::{self}` names `b`.
        if segments.len() > 1 && segments.last().is_some_and(|last| *last == "self") {
            segments.pop();
            name = name.map(|name| if name == "self" { segments[segments.len() - 1].to_string() } else { name });
        }
        let Some(first) = segments.first() else { return };
        let mention = Mention {
            line: first.span().start().line,
            segments: segments.iter().map(ToString::to_string).collect(),
            bare_macro: false,
        };
        let reexport = !matches!(declaration.vis, Visibility::Inherited);
        let name = name.filter(|name| name != "_");
        self.imports.push(Import { name, glob, reexport, local: self.depth > 0, mention });
    }

    fn mention_macro(&mut self, name: &Ident) {
        let line = name.span().start().line;
        self.mentions.push(Mention { segments: vec![name.to_string()], line, bare_macro: true });
    }

    /// Takes the paths among tokens whose grammar is not known: a macro's arguments or its rules.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is = |at: usize, wanted: char| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == wanted);
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(first) => {
                    let start = at - 1;
                    let mut segments = vec![first.to_string()];
                    while is(at, ':') && is(at + 1, ':') {
                        let Some(TokenTree::Ident(next)) = tokens.get(at + 2) else { break };
                        segments.push(next.to_string());
                        at += 3;
                    }
                    let continues = start > 0 && (is(start - 1, ':') && start > 1 && is(start - 2, ':'));
                    let variable = start > 0 && is(start - 1, '$') && first != "crate";
                    let bare_macro = segments.len() == 1 && is(at, '!') && !is(at + 1, '=');
                    if !continues && !variable && (segments.len() > 1 || bare_macro) {
                        self.mentions.push(Mention { segments, line: first.span().start().line, bare_macro });
                    }
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_compiled(attributes(item), self.leave_out) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => return visit::visit_impl_item(self, item),
        };
        if is_compiled(attributes, self.leave_out) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        self.depth += 1;
        visit::visit_block(self, block);
        self.depth -= 1;
    }

    fn visit_item_use(&mut self, declaration: &'ast ItemUse) {
        if declaration.leading_colon.is_none() {
            self.import(&declaration.tree, &[], declaration);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() && path.segments.len() > 1 {
            let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            let line = path.segments[0].ident.span().start().line;
            self.mentions.push(Mention { segments, line, bare_macro: false });
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.methods.push((call.method.to_string(), call.method.span().start().line));
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        // `crate::name!` names an exported macro, not the module of that name which may stand beside it at the root.
        let segments: Vec<&Ident> = called.path.segments.iter().map(|segment| &segment.ident).collect();
        match segments.as_slice() {
            [name] => self.mention_macro(name),
            [root, name] if *root == "crate" => self.mention_macro(name),
            _ => self.visit_path(&called.path),
        }
        self.tokens(called.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        match &attribute.meta {
            Meta::List(list) => {
                self.visit_path(&list.path);
                self.tokens(list.tokens.clone());
            }
            _ => visit::visit_attribute(self, attribute),
        }
    }

    /// `pub(in crate::a)` uses nothing of `a`.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn name(item: &Item) -> Option<&Ident> {
    Some(match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => return item.ident.as_ref(),
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    })
}
