//! What counts as a use, on small crates.

use super::*;

/// The crate of these files, each `("a/b.rs", "its source")`.
fn parse(files: &[(&str, &str)]) -> Modules {
    let files = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
    Modules::parse(&files, &["conformance", "skipped"]).unwrap()
}

/// Its uses, as `from -> to`.
fn uses(files: &[(&str, &str)]) -> Vec<String> {
    let mut uses: Vec<String> = parse(files).uses.iter().map(|used| format!("{} -> {}", used.from, used.to)).collect();
    uses.sort();
    uses.dedup();
    uses
}

#[test]
fn a_cycle_is_found_with_file_and_line() {
    let modules = parse(&[
        ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ("a.rs", "use crate::b::B;\npub struct A;"),
        ("b.rs", "use crate::c;\n\npub struct B(c::C);"),
        ("c.rs", "pub struct C;\nfn f() {\n    crate::a::A;\n}"),
        ("d.rs", "use crate::a::A;"),
    ]);
    let cycles: Vec<Vec<String>> =
        modules.cycles().iter().map(|uses| uses.iter().map(ToString::to_string).collect()).collect();
    assert_eq!(
        cycles,
        [["a.rs:1: `use crate::b::B` uses `b`", "b.rs:1: `use crate::c` uses `c`", "c.rs:3: `crate::a::A` uses `a`",]]
    );
}

#[test]
fn a_parent_and_a_child_that_use_each_other_are_a_cycle_too() {
    let parent = "mod child; pub struct P; pub fn f() { child::f() }";
    let files = [("lib.rs", "mod p;"), ("p.rs", parent), ("p/child.rs", "use super::P; pub fn f() {}")];
    assert_eq!(parse(&files).cycles().len(), 1);
}

#[test]
fn every_form_of_use_is_read() {
    let lib = ("lib.rs", "mod a; mod b;");
    let a = ("a.rs", "pub mod c; pub mod d;");
    let (c, d) = (("a/c.rs", "pub struct C; pub struct C2; pub fn f() {}"), ("a/d.rs", "pub fn g() {}"));
    for (code, expect) in [
        ("use crate::a::c::C;", &["b -> a::c"][..]),
        ("use crate::a::{c::{C, C2 as Other}, d};", &["b -> a::c", "b -> a::d"]),
        ("use super::a::c::{self};", &["b -> a::c"]),
        ("use crate::a::c::*;", &["b -> a::c"]),
        ("use super::a::c as other; fn f() { other::f() }", &["b -> a::c"]),
        ("fn f() { use crate::a::c::f; f() }", &["b -> a::c"]),
        ("fn f() -> crate::a::c::C { crate::a::d::g() }", &["b -> a::c", "b -> a::d"]),
        ("impl crate::a::c::T for X {}", &["b -> a::c"]),
        ("fn f(c: &dyn Into<Vec<crate::a::c::C>>) {}", &["b -> a::c"]),
        ("fn f() { print!(\"{}\", crate::a::d::g()) }", &["b -> a::d"]),
        ("macro_rules! m { () => { $crate::a::d::g() } }", &["b -> a::d"]),
        ("#[serde(with(crate::a::d))] struct S;", &["b -> a::d"]),
        ("use crate::a;", &["b -> a"]),
        ("use serde::de::a; use std::fmt; fn f() { a::c::f() }", &[]),
        ("pub(in crate::a) struct S;", &[]),
        ("/// See [`crate::a::c::C`].\nstruct S;", &[]),
        ("const TEXT: &str = \"crate::a::c::C\";", &[]),
        ("fn f() { ::a::c::f() }", &[]),
    ] {
        assert_eq!(uses(&[lib, a, c, d, ("b.rs", code)]), expect, "{code}");
    }
}

#[test]
fn a_reexported_name_is_its_definers() {
    let files = [
        (
            "lib.rs",
            "mod a; mod b; mod other; pub use a::deep::Deep; pub use b::*; pub mod hidden { pub use crate::a::Deep; }",
        ),
        ("a.rs", "mod deep; mod flat; pub use deep::Deep; pub(crate) use self::flat::*; pub use crate::other::Other;"),
        ("a/deep.rs", "pub struct Deep; pub enum Kind { One }"),
        ("a/flat.rs", "pub struct Flat;"),
        ("b.rs", "use crate::a::{Deep, Flat};\nuse crate::Deep as Again;"),
        ("other.rs", "pub struct Other;"),
    ];
    // `a` re-exports what is below it, which is no use, and what is not, which is one.
    assert_eq!(uses(&files), ["a -> other", "b -> a::deep", "b -> a::flat"]);
}

#[test]
fn a_name_that_a_macro_declares_is_the_modules_that_calls_it() {
    let files = [
        ("lib.rs", "#[macro_use] mod m; mod a; mod b;"),
        ("m.rs", "#[macro_export] macro_rules! things { ($name:ident) => { pub struct $name; } }"),
        ("a.rs", "things! { Thing }"),
        ("b.rs", "use crate::a::Thing; crate::things! { Own }"),
    ];
    assert_eq!(uses(&files), ["a -> m", "b -> a", "b -> m"]);
}

#[test]
fn a_module_in_a_file_is_part_of_it() {
    let files = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "pub mod inner { use super::A; pub fn f() { crate::b::f() } } pub struct A; fn g() { inner::f() }"),
        ("b.rs", "pub fn f() {} fn g() { let _ = super::a::inner::f; }"),
    ];
    assert_eq!(uses(&files), ["a -> b", "b -> a"]);
    assert_eq!(Vec::from_iter(parse(&files).modules), ["a", "b", "crate"]);
}

#[test]
fn tests_and_what_is_left_out_do_not_count() {
    let a = "
        #[cfg(test)] mod tests { use crate::b::B; }
        #[cfg(test)] mod more;
        #[cfg(any(test, feature = \"conformance\"))] use crate::b::B;
        #[cfg(all(unix, feature = \"conformance\"))] mod suite { use crate::b::B; }
        impl A { #[cfg(test)] fn f() { crate::b::f() } }
        fn f() { crate::conformance::run(); crate::skipped::f() }
        #[cfg(not(test))] use crate::c::C;
        #[cfg(unix)] use crate::d::D;";
    let lib = "mod a; mod b; mod c; mod d; #[cfg(feature = \"conformance\")] pub mod conformance; mod skipped;";
    let files = [
        ("lib.rs", lib),
        ("a.rs", a),
        ("a/more.rs", "use crate::b::B;"),
        ("b.rs", "pub struct B;"),
        ("c.rs", "pub struct C;"),
        ("d.rs", "pub struct D;"),
        ("conformance.rs", "use crate::b::B;"),
        ("skipped.rs", "use crate::b::B;"),
    ];
    assert_eq!(uses(&files), ["a -> c", "a -> d"]);
    assert_eq!(Vec::from_iter(parse(&files).modules), ["a", "b", "c", "crate", "d"]);
}

#[test]
fn the_longest_prefix_decides_the_floor() {
    let files = [
        ("lib.rs", "mod base; mod tenancy; mod tenancy_rules;"),
        ("base.rs", "pub struct Id;"),
        ("tenancy.rs", "pub mod flow; pub mod members;"),
        ("tenancy/flow.rs", "use super::members::Member; use crate::base::Id;"),
        ("tenancy/members.rs", "use crate::base::Id; pub struct Member;"),
        ("tenancy_rules.rs", "use crate::tenancy::members::Member;"),
    ];
    let floors = [("base", 1), ("tenancy", 2), ("tenancy::flow", 3), ("tenancy_rules", 2)];
    assert_eq!(parse(&files).floor_violations(&floors), Vec::<String>::new());
    let wrong =
        parse(&files).floor_violations(&[("base", 1), ("tenancy", 2), ("tenancy::members", 3), ("tenancy_rules", 3)]);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(
        wrong[0].contains("uses `tenancy::members` on floor 3, which is above floor 2 of `tenancy::flow`"),
        "{wrong:?}"
    );
    // A prefix ends where a name ends, and a table lists no more than there is.
    assert_eq!(
        parse(&files).floor_violations(&[("base", 1), ("tenancy", 2), ("gone", 2)]),
        [
            "`tenancy_rules` has no floor; add it, or a prefix of it, to the table",
            "there is no module `gone`; take it off the table",
        ]
    );
}

#[test]
fn a_use_of_a_higher_floor_is_named_with_both_floors() {
    let files = [
        ("lib.rs", "mod base; mod flow; pub use flow::run;"),
        ("base.rs", "\nuse crate::run;"),
        ("flow.rs", "pub fn run() {}"),
    ];
    assert_eq!(
        parse(&files).floor_violations(&[("base", 1), ("flow", 3)]),
        ["base.rs:2: `use crate::run` uses `flow` on floor 3, which is above floor 1 of `base`"]
    );
    // Where the root does more than declare, it needs a floor as well.
    let busy = [("lib.rs", "mod a; fn f() { a::g() }"), ("a.rs", "pub fn g() {}")];
    let wrong = parse(&busy).floor_violations(&[("a", 2)]);
    assert_eq!(wrong, ["`crate` has no floor; add it, or a prefix of it, to the table"]);
    assert_eq!(parse(&busy).floor_violations(&[("a", 2), ("crate", 1)]).len(), 1);
}

#[test]
fn what_leads_out_of_the_crate_is_listed_as_seen_from_outside() {
    let a = "use other::deep::{self, Thing as Known};\nuse crate::b::B;\nfn f() {\n    Known::new(deep::call(), third::call(), B::new());\n    x.method(Known);\n}\n#[cfg(test)]\nmod tests { use skipped::Test; }";
    let modules = parse(&[("lib.rs", "mod a; mod b;"), ("a.rs", a), ("b.rs", "pub struct B;")]);
    let paths: Vec<&str> = modules.outside.iter().map(|used| used.to.as_str()).collect();
    let expect = ["other::deep", "other::deep::Thing", "other::deep::Thing::new", "other::deep::call", "third::call"];
    assert_eq!(paths, expect);
    let called: Vec<String> = modules.methods.iter().map(ToString::to_string).collect();
    assert_eq!(called, ["a.rs:5: `.method(…)` uses `method`"]);
}
