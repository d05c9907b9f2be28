//! The run: the same answers first, then what they ask of Postgres, then how fast they come.

use saas_kernel::BoxError;
use saas_kernel_postgres::testing::LocalPostgres;
use serde_json::Value;

use crate::client::{Client, request};
use crate::counter::Counter;
use crate::load::Load;
use crate::options::{CALLERS, Options, POOL};
use crate::report::{Measured, Sample, table};
use crate::servers::{Servers, load};
use crate::variants::{GROUPS, Group, NEW_PROJECT, Variant};
use crate::{cpu, database, neighbours};

/// # Errors
/// When something does not start, an answer is not 2xx, or two answers that should be the same are not.
pub(crate) async fn run(options: &Options) -> Result<(), BoxError> {
    let groups: Vec<&Group> = GROUPS.iter().filter(|group| options.routes && (options.steps || !group.steps)).collect();
    eprintln!("making {} workspaces with {} projects each …", options.workspaces, options.projects);
    let postgres = database::start(options).await?;
    let mut all = counts(&postgres, &groups, options).await?;
    let servers = Servers::start(&postgres, postgres.port(), POOL).await?;
    let running = Running { postmaster: cpu::postmaster(postgres.data_dir()), servers: &servers, options };
    for (group, measured) in groups.iter().zip(&mut all) {
        eprintln!("{}: {} rounds", group.title, options.rounds);
        running.rounds(group, measured).await?;
    }
    println!(
        "{} workspaces × {} projects, {CALLERS} callers, {POOL} connections, {} rounds of {} s; medians, ratios of paired rounds (lowest–highest)",
        options.workspaces, options.projects, options.rounds, options.seconds
    );
    for (group, measured) in groups.iter().zip(&all) {
        println!("{}", table(group, measured));
    }
    for felt in neighbours::run(&servers.kernel.address, &postgres.superuser_url("postgres"), options).await? {
        println!("{felt}");
    }
    servers.stop().await?;
    Ok(postgres.stop().await?)
}

/// The list must be the same but for the cursor, which the kernel signs; a new project but for its id and time.
async fn same_answers(groups: &[&Group], servers: &Servers) -> Result<(), BoxError> {
    for Group { title, base, variants, .. } in groups {
        let mut answers = Vec::new();
        for variant in *variants {
            let text = request(variant.method, variant.path, variant.by, 7, body(variant));
            let mut client = Client::connect(&servers.of(variant.kind).address).await?;
            let mut answer: Value = serde_json::from_slice(client.call(text.as_bytes()).await?)?;
            blank(&mut answer, &["next_cursor"]);
            if variant.method == "POST" {
                blank(&mut answer, &["id", "created_at", "updated_at"]);
            }
            answers.push(answer);
        }
        let expected = answers.get(*base).ok_or("a group without a base")?;
        for (variant, answer) in variants.iter().zip(&answers) {
            if answer != expected {
                let (answer, expected) = (format!("{answer:#}"), format!("{expected:#}"));
                let differ = answer.lines().zip(expected.lines()).find(|(left, right)| left != right);
                return Err(format!("{title}: `{}` answers differently: {differ:?}", variant.name).into());
            }
        }
    }
    Ok(())
}

/// Only whether it is there counts, and what kind of value it is.
fn blank(answer: &mut Value, fields: &[&str]) {
    for field in fields {
        if let Some(Value::String(text)) = answer.get_mut(field) {
            text.clear();
        }
    }
}

fn body(variant: &Variant) -> &'static str {
    if variant.method == "POST" { NEW_PROJECT } else { "" }
}

/// What one request of each variant asks of Postgres, counted on the wire: one caller, one connection.
async fn counts(
    postgres: &LocalPostgres,
    groups: &[&Group],
    options: &Options,
) -> Result<Vec<Vec<Measured>>, BoxError> {
    const REQUESTS: usize = 50;
    let counter = Counter::before(postgres.port()).await?;
    let servers = Servers::start(postgres, counter.port, 1).await?;
    same_answers(groups, &servers).await?;
    let mut all = Vec::new();
    for group in groups {
        let mut measured = Vec::new();
        for variant in group.variants {
            let mut client = Client::connect(&servers.of(variant.kind).address).await?;
            // The first call prepares the statements; the next begins when its connection is back in the pool.
            let mut before = (0, 0);
            for n in 0..=REQUESTS {
                client
                    .call(
                        request(variant.method, variant.path, variant.by, n % options.workspaces, body(variant))
                            .as_bytes(),
                    )
                    .await?;
                if n == 0 {
                    before = settled(&counter).await;
                }
            }
            let after = settled(&counter).await;
            measured.push(Measured {
                statements: (after.0 - before.0) as f64 / REQUESTS as f64,
                round_trips: (after.1 - before.1) as f64 / REQUESTS as f64,
                samples: Vec::new(),
            });
        }
        all.push(measured);
    }
    servers.stop().await?;
    Ok(all)
}

/// The counts once nothing moves any more: a connection returns to its pool after the answer.
async fn settled(counter: &Counter) -> (usize, usize) {
    let mut every = tokio::time::interval(std::time::Duration::from_millis(50));
    every.tick().await;
    loop {
        let before = counter.read();
        every.tick().await;
        if counter.read() == before {
            return before;
        }
    }
}

struct Running<'a> {
    postmaster: Option<u32>,
    servers: &'a Servers,
    options: &'a Options,
}

impl Running<'_> {
    async fn rounds(&self, group: &Group, measured: &mut [Measured]) -> Result<(), BoxError> {
        for variant in group.variants {
            self.sample(variant, self.options.warm_up).await?;
        }
        let size = group.variants.len();
        for round in 0..self.options.rounds {
            for place in 0..size {
                // Each round begins elsewhere, and every second goes backwards: none always follows the same one.
                let place = if round % 2 == 0 { place } else { size - 1 - place };
                let index = (place + round / 2) % size;
                let (Some(variant), Some(measured)) = (group.variants.get(index), measured.get_mut(index)) else {
                    continue;
                };
                measured.samples.push(self.sample(variant, self.options.seconds).await?);
            }
        }
        Ok(())
    }

    async fn sample(&self, variant: &Variant, seconds: f64) -> Result<Sample, BoxError> {
        let server = self.servers.of(variant.kind);
        let wanted = Load {
            address: server.address.clone(),
            method: variant.method.to_owned(),
            path: variant.path.to_owned(),
            by: variant.by,
            body: body(variant).to_owned(),
            workspaces: self.options.workspaces,
            callers: CALLERS,
            seconds,
        };
        let spent = || (cpu::seconds(server.pid), self.postmaster.and_then(cpu::seconds));
        let before = spent();
        let loaded = load(&wanted).await?;
        let after = spent();
        let each = |after: Option<f64>, before: Option<f64>| Some((after? - before?) * 1e6 / loaded.requests as f64);
        Ok(Sample {
            per_second: loaded.per_second,
            p50_ms: loaded.p50_ms,
            p99_ms: loaded.p99_ms,
            server_us: each(after.0, before.0),
            postgres_us: each(after.1, before.1),
        })
    }
}
