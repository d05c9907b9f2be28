//! Local clusters, started for real.
//!
//! A test marked `ignore` with the reason "run by another test" is the other process of that test.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io};

use saas_kernel_postgres::testing::local_postgres::{LocalPostgres, LocalPostgresError, LocalPostgresOptions};
use sqlx::{Connection, PgConnection, Row};
use tempfile::TempDir;

/// An account that is not root and exists everywhere.
const NOBODY: u32 = 65534;

/// Passes a data directory to another process.
const DATA_DIR: &str = "LOCAL_POSTGRES_TEST_DATA_DIR";

fn throwaway() -> LocalPostgresOptions {
    LocalPostgresOptions::default()
}

fn kept(data_dir: &Path) -> LocalPostgresOptions {
    throwaway().data_dir(data_dir)
}

/// A directory the account that runs the server can enter.
fn enterable_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn is_root() -> bool {
    fs::metadata(enterable_dir().path()).unwrap().uid() == 0
}

/// The first column of the first row as text, or nothing. Not with `psql`: not every set of server binaries has it.
async fn query(cluster: &LocalPostgres, sql: &'static str) -> String {
    let mut connection = PgConnection::connect(&cluster.superuser_url("postgres")).await.unwrap();
    let row = sqlx::raw_sql(sql).fetch_optional(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    row.map_or_else(String::new, |row| row.try_get_unchecked(0).unwrap())
}

fn postmaster_pid(data_dir: &Path) -> u32 {
    let file = fs::read_to_string(data_dir.join("postmaster.pid")).unwrap();
    file.lines().next().unwrap().parse().unwrap()
}

fn is_alive(pid: u32) -> bool {
    let status = Command::new("kill").args(["-0", &pid.to_string()]).stderr(Stdio::null()).status();
    status.unwrap().success()
}

/// Checks a condition again and again until it holds.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        // Wakes by itself: nobody unparks a test.
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Another process running one of the ignored tests.
struct Other {
    process: Child,
    // Held open: the other process lives until this ends.
    _stdin: ChildStdin,
    said: io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Other {
    fn run(test: &str, adjust: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "--nocapture", test]).stdin(Stdio::piped()).stdout(Stdio::piped());
        adjust(&mut command);
        let mut process = command.spawn().unwrap();
        let stdin = process.stdin.take().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, _stdin: stdin, said }
    }

    /// Returns what the other process says about a name.
    fn hear(&mut self, name: &str) -> String {
        let marker = format!("{name}=");
        let mut lines = self.said.by_ref().map(Result::unwrap);
        lines.find_map(|line| line.split_once(&marker).map(|(_, value)| value.to_owned())).unwrap()
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test]
async fn starts_and_stops() {
    let cluster = LocalPostgres::start(throwaway()).await.unwrap();
    assert_eq!(query(&cluster, "SELECT 1 + 1").await, "2");
    assert_eq!(query(&cluster, "SHOW server_encoding").await, "UTF8");
    assert_eq!(query(&cluster, "SHOW fsync").await, "off");
    assert!(cluster.superuser_url("db").ends_with(&format!("@127.0.0.1:{}/db", cluster.port())));
    let (data_dir, pid) = (cluster.data_dir().to_owned(), postmaster_pid(cluster.data_dir()));
    cluster.stop().await.unwrap();
    assert!(!is_alive(pid));
    assert!(!data_dir.parent().unwrap().exists());
}

#[tokio::test]
async fn drop_stops() {
    let cluster = LocalPostgres::start(throwaway()).await.unwrap();
    let (data_dir, pid) = (cluster.data_dir().to_owned(), postmaster_pid(cluster.data_dir()));
    drop(cluster);
    eventually("server gone", || !is_alive(pid));
    eventually("cluster removed", || !data_dir.parent().unwrap().exists());
}

#[tokio::test]
async fn kept_cluster_keeps_its_data() {
    let home = enterable_dir();
    let data_dir = home.path().join("not").join("there yet");
    let durable = || kept(&data_dir).durable(true);

    let first = LocalPostgres::start(durable()).await.unwrap();
    assert_eq!(query(&first, "SHOW fsync").await, "on");
    query(&first, "CREATE TABLE kept AS SELECT 'still here' AS note").await;
    first.stop().await.unwrap();
    assert!(!data_dir.join("postmaster.pid").exists());

    let second = LocalPostgres::start(durable()).await.unwrap();
    assert_eq!(query(&second, "SELECT note FROM kept").await, "still here");
    second.stop().await.unwrap();
    let beside = fs::read_dir(data_dir.parent().unwrap()).unwrap();
    assert_eq!(beside.count(), 1, "something was left beside the data directory");
}

#[tokio::test]
async fn start_right_after_drop_waits_or_tells() {
    let home = enterable_dir();
    let data_dir = home.path().join("data");
    drop(LocalPostgres::start(kept(&data_dir)).await.unwrap());
    let deadline = Instant::now() + Duration::from_secs(20);
    let again = loop {
        match LocalPostgres::start(kept(&data_dir)).await {
            Err(LocalPostgresError::AlreadyRunning { .. }) if Instant::now() < deadline => {}
            other => break other.unwrap(),
        }
    };
    again.stop().await.unwrap();
}

#[tokio::test]
async fn two_at_once() {
    let (first, second) = tokio::join!(LocalPostgres::start(throwaway()), LocalPostgres::start(throwaway()));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_ne!(first.port(), second.port());
    assert_ne!(first.data_dir(), second.data_dir());
    first.stop().await.unwrap();
    assert_eq!(query(&second, "SELECT 1").await, "1");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn two_starts_of_the_same_cluster_give_one_server() {
    let home = enterable_dir();
    let data_dir = home.path().join("data");
    let (one, other) = tokio::join!(LocalPostgres::start(kept(&data_dir)), LocalPostgres::start(kept(&data_dir)));
    let (cluster, refused) = match (one, other) {
        (Ok(cluster), Err(refused)) | (Err(refused), Ok(cluster)) => (cluster, refused),
        (one, other) => panic!("{one:?} {other:?}"),
    };
    assert!(matches!(refused, LocalPostgresError::AlreadyRunning { .. }), "{refused}");
    assert_eq!(query(&cluster, "SELECT 1").await, "1");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn settings_reach_the_server() {
    let options = throwaway()
        .max_connections(7)
        .setting("work_mem", "12MB")
        .setting("application_name", "it's quoted")
        .setting("jit", "on");
    let cluster = LocalPostgres::start(options).await.unwrap();
    assert_eq!(query(&cluster, "SHOW work_mem").await, "12MB");
    assert_eq!(query(&cluster, "SHOW jit").await, "on");
    assert_eq!(query(&cluster, "SHOW max_connections").await, "7");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn failed_start_shows_the_log() {
    let error = LocalPostgres::start(throwaway().setting("no_such_setting", "1")).await;
    let error = error.unwrap_err();
    assert!(matches!(error, LocalPostgresError::StartFailed { .. }));
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[tokio::test]
async fn slow_start_is_given_up() {
    let options = throwaway().start_timeout(Duration::ZERO);
    let error = LocalPostgres::start(options).await.unwrap_err();
    assert!(matches!(error, LocalPostgresError::StartTimedOut { .. }), "{error}");
}

#[tokio::test]
async fn port_in_use_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = LocalPostgres::start(throwaway().port(port)).await;
    let error = error.unwrap_err();
    assert!(matches!(error, LocalPostgresError::PortInUse { port: told } if told == port), "{error}");
}

#[tokio::test]
async fn running_cluster_is_told() {
    let home = enterable_dir();
    let data_dir = home.path().join("data");
    let cluster = LocalPostgres::start(kept(&data_dir)).await.unwrap();
    let pid = postmaster_pid(&data_dir);
    match LocalPostgres::start(kept(&data_dir)).await.unwrap_err() {
        LocalPostgresError::AlreadyRunning { pid: told, port } => {
            assert_eq!((told, port), (pid, cluster.port()));
        }
        other => panic!("{other}"),
    }
    assert_eq!(query(&cluster, "SELECT 1").await, "1");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn crashed_server_is_told_and_recovered() {
    let home = enterable_dir();
    let options = kept(&home.path().join("data"));
    let cluster = LocalPostgres::start(options.clone()).await.unwrap();
    let pid = postmaster_pid(cluster.data_dir());
    Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
    eventually("server gone", || !is_alive(pid));
    let error = cluster.stop().await.unwrap_err();
    assert!(matches!(error, LocalPostgresError::StopFailed { .. }), "{error}");

    // Its `postmaster.pid` is still there. The workers of the crashed server may be, for a moment.
    let deadline = Instant::now() + Duration::from_secs(20);
    let again = loop {
        match LocalPostgres::start(options.clone()).await {
            Err(LocalPostgresError::StartFailed { log })
                if log.contains("shared memory") && Instant::now() < deadline => {}
            other => break other.unwrap(),
        }
    };
    again.stop().await.unwrap();
}

#[tokio::test]
async fn files_of_others_are_left_alone() {
    let home = enterable_dir();
    fs::write(home.path().join("thesis.txt"), "years of work").unwrap();
    let error = LocalPostgres::start(kept(home.path())).await.unwrap_err();
    assert!(matches!(error, LocalPostgresError::NotACluster { .. }), "{error}");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn empty_directory_becomes_a_cluster() {
    let home = enterable_dir();
    let data_dir = home.path().join("data");
    fs::create_dir(&data_dir).unwrap();
    LocalPostgres::start(kept(&data_dir)).await.unwrap().stop().await.unwrap();
    assert!(data_dir.join("PG_VERSION").exists());
}

#[tokio::test]
async fn initdb_cut_short_is_redone() {
    let home = enterable_dir();
    let data_dir = home.path().join("data");
    // What a power cut leaves.
    let abandoned = home.path().join(".data.initdb-1-0-1");
    fs::create_dir_all(abandoned.join("data")).unwrap();
    fs::write(abandoned.join("data").join("PG_VERSION"), "15").unwrap();

    let owner = Other::run("owner", |command| command.env(DATA_DIR, &data_dir));
    let begun = || {
        let entries = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| *path != abandoned).any(|path| path.join("data/base").exists())
    };
    eventually("initdb at work", begun);
    owner.kill();
    assert!(!data_dir.exists());

    let cluster = LocalPostgres::start(kept(&data_dir)).await.unwrap();
    assert_eq!(query(&cluster, "SELECT 1").await, "1");
    assert!(!abandoned.exists());
    cluster.stop().await.unwrap();
}

#[test]
fn killed_owner_takes_a_throwaway_cluster_along() {
    let mut owner = Other::run("owner", |command| command);
    let data_dir = PathBuf::from(owner.hear("data_dir"));
    let pid = postmaster_pid(&data_dir);
    assert!(is_alive(pid));
    // `owner` has started a process that outlives it here, and must not keep the cluster alive.
    let heir: u32 = owner.hear("heir").parse().unwrap();
    let began = Instant::now();
    let stdin = {
        let Other { mut process, _stdin, .. } = owner;
        process.kill().unwrap();
        process.wait().unwrap();
        _stdin
    };
    eventually("server gone", || !is_alive(pid));
    eventually("cluster removed", || !data_dir.parent().unwrap().exists());
    println!("gone {:?} after the kill", began.elapsed());
    assert!(is_alive(heir));
    drop(stdin);
}

#[tokio::test]
async fn killed_owner_leaves_a_kept_cluster_shut_down() {
    let home = enterable_dir();
    let data_dir = home.path().join("data");
    let mut owner = Other::run("owner", |command| command.env(DATA_DIR, &data_dir));
    owner.hear("heir");
    let pid = postmaster_pid(&data_dir);
    owner.kill();
    eventually("server gone", || !is_alive(pid));
    assert!(!data_dir.join("postmaster.pid").exists());
    LocalPostgres::start(kept(&data_dir)).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
#[ignore = "run by another test"]
#[expect(clippy::zombie_processes, reason = "the heir is to outlive this process")]
async fn owner() {
    let mut options = throwaway();
    options.data_dir = env::var_os(DATA_DIR).map(PathBuf::from);
    let cluster = LocalPostgres::start(options).await.unwrap();
    let heir = Command::new("cat").stdout(Stdio::null()).spawn().unwrap();
    println!("data_dir={}", cluster.data_dir().display());
    println!("heir={}", heir.id());
    io::stdin().lines().for_each(drop);
}

#[test]
fn ordinary_user_runs_the_server_directly() {
    if !is_root() {
        return; // Every other test does that already.
    }
    let home = enterable_dir();
    let program = home.path().join("tests");
    fs::copy(env::current_exe().unwrap(), &program).unwrap();
    let mut process = Command::new(program)
        .args(["--exact", "--include-ignored", "--nocapture"])
        .args(["ordinary_user", "starts_and_stops", "drop_stops", "kept_cluster_keeps_its_data"])
        .args(["killed_owner_takes_a_throwaway_cluster_along", "initdb_cut_short_is_redone"])
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .spawn()
        .unwrap();
    assert!(process.wait().unwrap().success());
}

#[tokio::test]
#[ignore = "run by another test"]
async fn ordinary_user() {
    let cluster = LocalPostgres::start(throwaway()).await.unwrap();
    assert_eq!(fs::metadata(cluster.data_dir()).unwrap().uid(), NOBODY);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn root_runs_the_server_as_another() {
    if !is_root() {
        return;
    }
    let cluster = LocalPostgres::start(throwaway()).await.unwrap();
    assert_ne!(fs::metadata(cluster.data_dir()).unwrap().uid(), 0);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn closed_directory_on_the_way_is_named() {
    if !is_root() {
        return;
    }
    let closed = tempfile::tempdir().unwrap();
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let error = LocalPostgres::start(kept(&closed.path().join("a/b"))).await.unwrap_err();
    match error {
        LocalPostgresError::Untraversable { directory, .. } => assert_eq!(directory, closed.path()),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn cluster_of_another_user_is_refused() {
    if !is_root() {
        return;
    }
    let home = enterable_dir();
    fs::write(home.path().join("PG_VERSION"), "15").unwrap();
    let error = LocalPostgres::start(kept(home.path())).await.unwrap_err();
    assert!(matches!(error, LocalPostgresError::WrongOwner { .. }), "{error}");
}

#[test]
fn missing_binaries_are_told() {
    let mut other = Other::run("without_binaries", |command| command.env("POSTGRES_BIN_DIR", "/nowhere"));
    let error = other.hear("error");
    for expected in ["/nowhere", "apt-get install postgresql", "POSTGRES_BIN_DIR"] {
        assert!(error.contains(expected), "{error}");
    }
    other.process.wait().unwrap();
}

#[tokio::test]
#[ignore = "run by another test"]
async fn without_binaries() {
    println!("error={}", LocalPostgres::start(throwaway()).await.unwrap_err());
}

#[test]
fn closed_temp_dir_is_passed_over() {
    let closed = tempfile::tempdir().unwrap();
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let mut other = Other::run("owner", |command| command.env("TMPDIR", closed.path()));
    let data_dir = PathBuf::from(other.hear("data_dir"));
    assert!(!data_dir.starts_with(closed.path()));
    other.kill();
    eventually("cluster removed", || !data_dir.parent().unwrap().exists());
}

#[test]
fn clusters_can_be_shared_between_threads() {
    fn shareable<T: Send + Sync + 'static>() {}
    shareable::<LocalPostgres>();
}
