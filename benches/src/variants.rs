//! What is compared.

use crate::client::By;
use crate::servers::Kind;

/// One route of one server.
pub(crate) struct Variant {
    pub name: &'static str,
    pub kind: Kind,
    pub method: &'static str,
    pub path: &'static str,
    pub by: By,
}

/// Variants that are measured together, round by round, and compared with the one at `base`.
pub(crate) struct Group {
    pub title: &'static str,
    pub base: usize,
    /// Whether it only explains the others.
    pub steps: bool,
    pub variants: &'static [Variant],
}

const PROJECTS: &str = "/api/v1/workspaces/bench-{n}/projects";
/// What is posted.
pub(crate) const NEW_PROJECT: &str = r#"{"name":"Benchmark"}"#;

const fn get(name: &'static str, kind: Kind, path: &'static str) -> Variant {
    Variant { name, kind, method: "GET", path, by: By::Cookie }
}

const fn with_key(name: &'static str, kind: Kind, path: &'static str) -> Variant {
    Variant { name, kind, method: "GET", path, by: By::Key }
}

const fn post(name: &'static str, kind: Kind) -> Variant {
    Variant { name, kind, method: "POST", path: PROJECTS, by: By::Cookie }
}

/// The writes come last: they change the rows on each side, and leave work behind for Postgres. The steps say where the
/// rest goes: each line has what the one before it has, and one thing more.
pub(crate) const GROUPS: [Group; 5] = [
    Group {
        title: "GET …/projects",
        base: 1,
        steps: false,
        variants: &[
            get("bare SELECT, nobody asked who", Kind::Hand, "/bare/{n}"),
            get("by hand", Kind::Hand, PROJECTS),
            get("kernel", Kind::Kernel, PROJECTS),
        ],
    },
    Group {
        title: "GET …/projects, step by step",
        base: 0,
        steps: true,
        variants: &[
            get("by hand", Kind::Hand, PROJECTS),
            get("+ look-up function instead of a join", Kind::Hand, "/step/function/bench-{n}"),
            get("+ BEGIN; SET LOCAL … ROLLBACK", Kind::Hand, "/step/transaction/bench-{n}"),
            get("+ row-level security", Kind::Hand, "/step/policy/bench-{n}"),
            get("+ HTTP layers and ports = kernel", Kind::Kernel, PROJECTS),
        ],
    },
    Group {
        title: "GET …/projects with an API key",
        base: 0,
        steps: false,
        variants: &[with_key("by hand", Kind::Hand, "/key/bench-{n}"), with_key("kernel", Kind::Kernel, PROJECTS)],
    },
    Group {
        title: "GET /healthz: HTTP alone",
        base: 0,
        steps: true,
        variants: &[get("by hand", Kind::Hand, "/healthz"), get("kernel (outer layer only)", Kind::Kernel, "/healthz")],
    },
    Group {
        title: "POST …/projects",
        base: 0,
        steps: false,
        variants: &[post("by hand", Kind::Hand), post("kernel", Kind::Kernel)],
    },
];
