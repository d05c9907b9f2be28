//! The command line.

use saas_kernel::BoxError;

/// How much is measured.
pub(crate) struct Options {
    /// Paired rounds; each runs every variant once, in another order.
    pub rounds: usize,
    /// How long each variant is loaded in a round.
    pub seconds: f64,
    /// How long each variant is loaded before the first round.
    pub warm_up: f64,
    /// Tenants, each with one person, who has one session.
    pub workspaces: usize,
    /// Rows of each workspace.
    pub projects: usize,
    /// Postgres' cache.
    pub shared_buffers: &'static str,
    /// How often thirty people join a workspace at once.
    pub rushes: usize,
    /// Whether to measure the routes at all, and not the rushes alone.
    pub routes: bool,
    /// Whether also to measure the steps between the hand-written route and the kernel's.
    pub steps: bool,
}

/// Callers at once, each with one connection.
pub(crate) const CALLERS: usize = 32;
/// Connections of each server to Postgres.
pub(crate) const POOL: usize = 16;

impl Options {
    /// # Errors
    /// Names the argument that is none.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, BoxError> {
        let mut options = Self {
            rounds: 5,
            seconds: 4.0,
            warm_up: 2.0,
            workspaces: 1000,
            projects: 100,
            shared_buffers: "1GB",
            rushes: 40,
            routes: true,
            steps: true,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                // Shows that the benchmark works, and nothing about speed.
                "--quick" => {
                    options = Self {
                        rounds: 1,
                        seconds: 0.3,
                        warm_up: 0.1,
                        workspaces: 64,
                        projects: 30,
                        shared_buffers: "64MB",
                        rushes: 2,
                        ..options
                    }
                }
                "--rounds" => options.rounds = number(argument, rest.next())?,
                "--seconds" => options.seconds = number(argument, rest.next())?,
                "--no-steps" => options.steps = false,
                "--rushes-only" => options.routes = false,
                other => {
                    let usage = "there are --quick, --rounds N, --seconds S, --no-steps and --rushes-only";
                    return Err(format!("`{other}` is no option; {usage}").into());
                }
            }
        }
        Ok(options)
    }
}

fn number<T: std::str::FromStr>(name: &str, text: Option<&String>) -> Result<T, BoxError> {
    text.and_then(|text| text.parse().ok()).ok_or_else(|| format!("{name} wants a number").into())
}
