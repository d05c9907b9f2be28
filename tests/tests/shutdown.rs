//! How the app stops: readiness first, then the listener, then what is still running.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, UPGRADE};
use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt, stream};
use hyper_util::rt::TokioIo;
use reqwest::StatusCode;
use saas_kernel::BoxError;
use saas_kernel_axum::{HttpSettings, OpenApiRouter, ServeError, Shutdown, app, routes, serve_until, utoipa};
use saas_kernel_tests::{Answer, TestApp, TestResult, WEBHOOK_SECRET, eventually, test_db};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

/// Longer than any test waits.
const LONG: Duration = Duration::from_secs(3600);

/// What the routes below tell the test, and wait for.
#[derive(Clone)]
struct Steps {
    began: Arc<Semaphore>,
    released: Arc<Semaphore>,
}

impl Steps {
    fn new() -> Self {
        Self { began: Arc::new(Semaphore::new(0)), released: Arc::new(Semaphore::new(0)) }
    }

    /// Waits until a handler has begun.
    async fn began(&self) -> TestResult {
        self.began.acquire().await?.forget();
        Ok(())
    }
}

/// Answers when it is released.
#[utoipa::path(get, path = "/held", responses((status = 200)))]
async fn held(State(steps): State<Steps>) -> Result<&'static str, axum::http::StatusCode> {
    steps.began.add_permits(1);
    let released = steps.released.acquire().await;
    released.map(|_| "done").map_err(|_| axum::http::StatusCode::INTERNAL_SERVER_ERROR)
}

/// A stream that ends when the app stops.
#[utoipa::path(get, path = "/attentive", responses((status = 200)))]
async fn attentive(shutdown: Shutdown) -> Body {
    Body::from_stream(stream::unfold(true, move |first| {
        let shutdown = shutdown.clone();
        async move {
            if !first {
                shutdown.requested().await;
                return None;
            }
            Some((Ok::<_, Infallible>(Bytes::from("line\n")), false))
        }
    }))
}

/// A stream that never ends.
#[utoipa::path(get, path = "/endless", responses((status = 200)))]
async fn endless() -> Body {
    Body::from_stream(stream::unfold(true, |first| async move {
        if !first {
            std::future::pending::<()>().await;
        }
        Some((Ok::<_, Infallible>(Bytes::from("line\n")), false))
    }))
}

/// Repeats what it is sent, and says goodbye when the app stops and it is released.
#[utoipa::path(get, path = "/echo", responses((status = 101)))]
async fn echo(State(steps): State<Steps>, shutdown: Shutdown, mut request: Request) -> Response {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await?);
        let mut buffer = [0; 64];
        loop {
            tokio::select! {
                read = stream.read(&mut buffer) => match read? {
                    0 => return Ok(()),
                    read => stream.write_all(buffer.get(..read).unwrap_or_default()).await?,
                },
                () = shutdown.requested() => break,
            }
        }
        steps.began.add_permits(1);
        steps.released.acquire().await?.forget();
        stream.write_all(b"goodbye").await?;
        stream.shutdown().await?;
        Ok::<(), BoxError>(())
    });
    (axum::http::StatusCode::SWITCHING_PROTOCOLS, [(CONNECTION, "upgrade"), (UPGRADE, "echo")]).into_response()
}

/// The kernel's API and the routes above, until it is stopped.
struct Served {
    reference: TestApp,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), ServeError>>,
    steps: Steps,
}

impl Served {
    async fn start(delay: Duration, drain: Duration) -> Result<Self, BoxError> {
        let (reference, steps) = (TestApp::start().await?, Steps::new());
        let mut settings = HttpSettings::new("http://127.0.0.1")?;
        (settings.shutdown_delay, settings.drain_timeout) = (delay, drain);
        let routes = OpenApiRouter::new()
            .routes(routes!(held))
            .routes(routes!(attentive))
            .routes(routes!(endless))
            .routes(routes!(echo))
            .with_state(steps.clone());
        let app = app(&reference.kernel, settings).public_routes(routes);
        let ((started, address), (stop, stopped)) = (oneshot::channel(), oneshot::channel());
        let server = tokio::spawn(async move {
            let started = |address| {
                let _ = started.send(address);
            };
            serve_until(app, "127.0.0.1:0", started, async { drop(stopped.await) }).await
        });
        Ok(Self { reference, address: address.await?, stop, server, steps })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// A stream whose first line has come.
async fn open(url: &str) -> Result<reqwest::Response, BoxError> {
    let mut stream = reqwest::get(url).await?;
    let line = tokio::time::timeout(Duration::from_secs(20), stream.chunk()).await??;
    assert_eq!(line.as_deref(), Some(&b"line\n"[..]));
    Ok(stream)
}

/// Over a connection of its own.
async fn get(url: &str) -> Result<Answer, BoxError> {
    Answer::of(reqwest::Client::new().get(url)).await
}

async fn refuses_connections(address: SocketAddr) -> Result<bool, BoxError> {
    Ok(TcpStream::connect(address).await.is_err())
}

/// The server's end, which comes soon.
async fn ended(server: JoinHandle<Result<(), ServeError>>) -> TestResult {
    Ok(tokio::time::timeout(Duration::from_secs(20), server).await???)
}

#[tokio::test]
async fn readiness_turns_first_while_everything_is_still_served() -> TestResult {
    let app = Served::start(LONG, LONG).await?;
    let ada = app.reference.sign_up("Ada").await?;
    let ready = get(&app.url("/readyz")).await?;
    assert_eq!(ready.status, StatusCode::OK, "{}", ready.text);
    let mut stream = open(&app.url("/api/v1/attentive")).await?;

    app.stop.send(()).map_err(|()| "it has stopped")?;
    let url = format!("http://{}", app.address);
    eventually("readiness turns", || async { Ok(get(&format!("{url}/readyz")).await?.code() == "shutting_down") })
        .await?;
    let readiness = get(&format!("{url}/readyz")).await?;
    assert_eq!(readiness.status, StatusCode::SERVICE_UNAVAILABLE, "{}", readiness.text);
    assert_eq!(get(&format!("{url}/healthz")).await?.status, StatusCode::OK, "the process is healthy");
    Answer::of(ada.client.get(format!("{url}/api/v1/me"))).await?.expect(StatusCode::OK)?;
    // Streams go on until no more connections are accepted: who reconnected now could come back here.
    assert!(stream.chunk().now_or_never().is_none(), "its stream has not ended");
    app.server.abort();
    Ok(())
}

#[tokio::test]
async fn a_running_request_completes_after_the_listener_has_closed() -> TestResult {
    let app = Served::start(Duration::from_millis(50), LONG).await?;
    let url = app.url("/api/v1/held");
    let request = tokio::spawn(async move { get(&url).await });
    app.steps.began().await?;
    app.stop.send(()).map_err(|()| "it has stopped")?;
    eventually("connections are refused", || refuses_connections(app.address)).await?;
    assert!(!app.server.is_finished(), "it waits for the request");
    app.steps.released.add_permits(1);
    let answer = request.await??;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "done"));
    ended(app.server).await
}

#[tokio::test]
async fn a_stream_that_watches_the_shutdown_ends_promptly() -> TestResult {
    let app = Served::start(Duration::ZERO, LONG).await?;
    let stream = open(&app.url("/api/v1/attentive")).await?;
    app.stop.send(()).map_err(|()| "it has stopped")?;
    let rest = tokio::time::timeout(Duration::from_secs(20), stream.text()).await??;
    assert_eq!(rest, "", "it ends, and as it should");
    ended(app.server).await
}

#[tokio::test]
async fn a_stream_that_does_not_end_is_cut_when_the_time_is_over() -> TestResult {
    let app = Served::start(Duration::ZERO, Duration::from_millis(100)).await?;
    let stream = open(&app.url("/api/v1/endless")).await?;
    app.stop.send(()).map_err(|()| "it has stopped")?;
    ended(app.server).await?;
    assert!(stream.text().await.is_err(), "its connection is closed");
    Ok(())
}

#[tokio::test]
async fn a_connection_is_upgraded_through_the_whole_app_and_drained_like_the_others() -> TestResult {
    let app = Served::start(Duration::ZERO, LONG).await?;
    let mut client = BufReader::new(TcpStream::connect(app.address).await?);
    let request = "GET /api/v1/echo HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    client.write_all(request.as_bytes()).await?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(client.read_line(&mut head).await? > 0, "{head}");
    }
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("x-request-id: req_"), "{head}");
    client.write_all(b"hello").await?;
    let mut echoed = [0; 5];
    client.read_exact(&mut echoed).await?;
    assert_eq!(&echoed, b"hello");

    app.stop.send(()).map_err(|()| "it has stopped")?;
    app.steps.began().await?;
    assert!(!app.server.is_finished(), "it waits for the upgraded connection");
    app.steps.released.add_permits(1);
    let mut rest = String::new();
    client.read_to_string(&mut rest).await?;
    assert_eq!(rest, "goodbye");
    ended(app.server).await
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once() -> TestResult {
    let db = test_db().await?;
    let mut child = Command::new(env!("CARGO_BIN_EXE_reference-under-test"))
        .arg("serve")
        .env("DATABASE_URL", db.app_url())
        .env("SYSTEM_DATABASE_URL", db.system_url())
        .env("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET)
        .env("APP_URL", "http://127.0.0.1")
        .env("KERNEL_SECRETS", "0123456789abcdef0123456789abcdef")
        .env("SHUTDOWN_DELAY", LONG.as_secs().to_string())
        .env("APP_ADDR", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = tokio::io::BufReader::new(child.stdout.take().ok_or("its output")?).lines();
    let base = loop {
        let line = lines.next_line().await?.ok_or("an address")?;
        if let Some((_, at)) = line.split_once("is running at ") {
            break at.trim().to_owned();
        }
    };
    let pid = child.id().ok_or("a running process")?.to_string();
    let terminate = async || Command::new("kill").args(["-TERM", &pid]).status().await;
    assert_eq!(get(&format!("{base}/readyz")).await?.status, StatusCode::OK);
    terminate().await?;
    eventually("readiness turns", || async { Ok(get(&format!("{base}/readyz")).await?.code() == "shutting_down") })
        .await?;
    get(&format!("{base}/api/v1/project-templates")).await?.expect(StatusCode::OK)?;
    terminate().await?;
    let ended = tokio::time::timeout(Duration::from_secs(20), child.wait()).await??;
    assert!(ended.success(), "{ended}");
    Ok(())
}
