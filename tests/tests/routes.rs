//! Every route is in the OpenAPI document, or on the list here. `routes!` puts a handler into it; whatever else serves an
//! address does not, so the sources are searched for that.

use std::fs;
use std::path::Path;

use reqwest::StatusCode;
use saas_kernel::BoxError;
use saas_kernel_tests::{TestApp, TestResult};

/// Where routes are made.
const SOURCES: [&str; 2] = ["kernel-axum/src", "examples/reference/src"];

/// What the document leaves out on purpose: the file, and the address it serves.
const UNDOCUMENTED: [(&str, &str); 5] = [
    ("kernel-axum/src/dev.rs", "/dev/mail"),
    ("kernel-axum/src/dev.rs", "/dev/mail.json"),
    ("kernel-axum/src/openapi.rs", "/docs"),
    ("kernel-axum/src/openapi.rs", "/docs/errors"),
    ("kernel-axum/src/openapi.rs", "/openapi.json"),
];

/// What serves an address without documenting it; the address is the first argument.
const WAYS: [&str; 7] = [
    ".route(",
    ".route_service(",
    ".nest_service(",
    "SwaggerUi::new(",
    ".url(\"/",
    ".fallback_service(",
    ".nest_axum(",
];

/// The addresses in `source` that are served behind the document's back.
fn behind_the_document(source: &str) -> Vec<String> {
    let code: Vec<&str> = source.lines().map(str::trim_start).filter(|line| !line.starts_with("//")).collect();
    let code = code.join("\n");
    let calls = WAYS.iter().flat_map(|way| {
        code.match_indices(way).map(|(at, way)| code.split_at(at + way.find('(').map_or(0, |open| open + 1)).1)
    });
    let address = |arguments: &str| match arguments.trim_start().strip_prefix('"').and_then(|text| text.split_once('"'))
    {
        Some((address, _)) => address.to_owned(),
        None => format!("an address that is not written out: {}", arguments.lines().next().unwrap_or_default()),
    };
    calls.map(address).collect()
}

/// The sources in which routes are made, each with its file's name.
fn sources() -> Result<Vec<(String, String)>, BoxError> {
    let mut sources = Vec::new();
    for below in SOURCES {
        read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), below, &mut sources)?;
    }
    Ok(sources)
}

fn read(root: &Path, below: &str, sources: &mut Vec<(String, String)>) -> Result<(), BoxError> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = format!("{below}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            read(root, &name, sources)?;
        } else if name.ends_with(".rs") {
            sources.push((name, fs::read_to_string(entry.path())?));
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_route_is_documented_or_left_out_on_purpose() -> TestResult {
    let mut found = Vec::new();
    for (name, source) in sources()? {
        found.extend(behind_the_document(&source).into_iter().map(|address| (name.clone(), address)));
    }
    found.sort();
    let listed = UNDOCUMENTED.map(|(file, address)| (file.to_owned(), address.to_owned()));
    let new: Vec<_> = found.iter().filter(|route| !listed.contains(route)).collect();
    assert!(new.is_empty(), "add these with `routes!`, so that they are documented, or list them here: {new:?}");
    assert_eq!(found, listed, "what is listed is served, once");

    // They are served indeed, and the document indeed does without them.
    let app = TestApp::start().await?;
    let document = app.caller().get("/openapi.json").await?.expect(StatusCode::OK)?;
    for (_, address) in UNDOCUMENTED {
        assert!(app.caller().get(address).await?.status.is_success(), "{address}");
        assert!(document["paths"].get(address).is_none(), "{address} is documented: it need not be listed");
    }
    Ok(())
}

/// A permission written beside a route could differ from the one that its handler requires.
#[test]
fn only_routes_itself_documents_permissions() -> TestResult {
    let by_hand = |source: &str| source.contains("x-permission") || source.contains("utoipa_axum::routes");
    let found: Vec<String> = sources()?.into_iter().filter(|(_, text)| by_hand(text)).map(|(name, _)| name).collect();
    assert_eq!(found, ["kernel-axum/src/routing.rs"], "leave it to `saas_kernel_axum::routes!` and `Allow<P>`");
    Ok(())
}

#[test]
fn a_route_past_the_document_is_found() {
    let source = "
        Router::new().route(\"/secret\", get(secret))
            .route(
                \"/secret/{id}\", post(change))
            .route_service(PATH, files)
        // .route(\"/comment\", get(nothing))
        OpenApiRouter::new().routes(routes!(documented))";
    let found = behind_the_document(source);
    assert_eq!(found, ["/secret", "/secret/{id}", "an address that is not written out: PATH, files)"]);
}
