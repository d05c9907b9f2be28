//! Settings from the environment.

use std::path::PathBuf;
use std::time::Duration;

use saas_kernel::memory::mailer::MemoryMailer;
use saas_kernel::{BoxError, Keyring};
use saas_kernel_axum::HttpSettings;
use saas_kernel_postgres::PgOptions;

/// Public secret: only for a private demonstration on this machine.
pub const DEMO_WEBHOOK_SECRET: &str = "whsec_demo_only_for_your_own_machine";

/// Settings of the app.
pub struct Settings {
    /// `APP_ADDR`: address to listen on.
    pub address: String,
    /// `APP_URL`: URL under which people reach the app.
    pub public_url: String,
    /// `TRUSTED_PROXIES`: addresses or networks whose `X-Forwarded-For` header is trusted.
    pub trusted_proxies: String,
    /// `PRODUCT_CONFIG`: path of the product configuration.
    pub config: PathBuf,
    /// `STRIPE_WEBHOOK_SECRET`: secrets of the webhook endpoint; several, separated by commas, while one is rotated.
    pub stripe_webhook_secrets: Vec<String>,
    /// `KERNEL_SECRETS`: secrets that sign cursors and encrypt what is stored reversibly, the current one first.
    pub keyring: Keyring,
    /// `SHUTDOWN_DELAY`: how long connections are still accepted after SIGTERM; `None` for the default.
    pub shutdown_delay: Option<Duration>,
    /// `DATABASE_URL` and `SYSTEM_DATABASE_URL`; `None` starts a private Postgres.
    pub databases: Option<Databases>,
    /// `POOL` and `POOL_WAIT`: options of the pool for requests.
    pub pool: PgOptions,
    /// Keeps mail in memory and shows it at `/dev/mail`; only on a developer's machine.
    pub dev_mail: Option<MemoryMailer>,
}

/// URLs of the two database roles.
pub struct Databases {
    /// URL of kernel_app, for requests.
    pub app: String,
    /// URL of kernel_system, for workers and the webhook receiver.
    pub system: String,
}

impl Settings {
    pub fn from_env() -> Result<Self, BoxError> {
        let address = optional("APP_ADDR").unwrap_or_else(|| "127.0.0.1:3000".to_owned());
        let databases = match optional("DATABASE_URL") {
            None => None,
            Some(app) => Some(Databases {
                app,
                system: required("SYSTEM_DATABASE_URL", "postgres://kernel_system:password@host:5432/database")?,
            }),
        };
        // A public secret would let anybody change plans, so only the private demonstration uses it.
        let stripe_webhook_secret = match (optional("STRIPE_WEBHOOK_SECRET"), &databases) {
            (Some(secret), _) => secret,
            (None, None) => DEMO_WEBHOOK_SECRET.to_owned(),
            (None, Some(_)) => required("STRIPE_WEBHOOK_SECRET", "whsec_… of the endpoint in Stripe's dashboard")?,
        };
        let stripe_webhook_secrets = stripe_webhook_secret.split(',').map(|secret| secret.trim().to_owned()).collect();
        // In production neither has a usable default: what is encrypted would be lost with the process, and cookies would lack
        // `Secure`.
        let keyring = match (optional("KERNEL_SECRETS"), &databases) {
            (Some(text), _) => Keyring::from_text(&text).map_err(|error| format!("KERNEL_SECRETS: {error}"))?,
            (None, None) => Keyring::ephemeral(),
            (None, Some(_)) => {
                let example = "what `openssl rand -hex 32` prints; every copy of the app needs the same";
                Keyring::from_text(&required("KERNEL_SECRETS", example)?)?
            }
        };
        let public_url = match (optional("APP_URL"), &databases) {
            (Some(url), _) => url,
            (None, None) => format!("http://{address}"),
            (None, Some(_)) => required("APP_URL", "https://app.example.com, where people reach the app")?,
        };
        let mut pool = PgOptions::app();
        if let Some(size) = optional("POOL") {
            pool.max_connections = size.parse().map_err(|_| "POOL must be a number of connections")?;
        }
        if let Some(seconds) = optional("POOL_WAIT") {
            pool.acquire_timeout = duration("POOL_WAIT", &seconds)?;
        }
        let shutdown_delay =
            optional("SHUTDOWN_DELAY").map(|seconds| duration("SHUTDOWN_DELAY", &seconds)).transpose()?;
        Ok(Self {
            public_url,
            trusted_proxies: optional("TRUSTED_PROXIES").unwrap_or_default(),
            config: optional("PRODUCT_CONFIG").map_or_else(default_config, PathBuf::from),
            stripe_webhook_secrets,
            keyring,
            shutdown_delay,
            dev_mail: databases.is_none().then(MemoryMailer::default),
            databases,
            pool,
            address,
        })
    }

    /// Settings of a private demonstration, which reads nothing from the environment.
    pub fn demonstration(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            public_url: "http://127.0.0.1".to_owned(),
            trusted_proxies: String::new(),
            config: default_config(),
            stripe_webhook_secrets: vec![DEMO_WEBHOOK_SECRET.to_owned()],
            keyring: Keyring::ephemeral(),
            shutdown_delay: None,
            databases: None,
            pool: PgOptions::app(),
            dev_mail: Some(MemoryMailer::default()),
        }
    }

    pub fn http(&self) -> Result<HttpSettings, BoxError> {
        let mut http = HttpSettings::new(&self.public_url)?.trust_proxies(&self.trusted_proxies)?;
        http.shutdown_delay = self.shutdown_delay.unwrap_or(http.shutdown_delay);
        Ok(http)
    }
}

fn default_config() -> PathBuf {
    // Beside the manifest during development; a deployment sets `PRODUCT_CONFIG`.
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/product.config.yaml"))
}

fn duration(name: &str, seconds: &str) -> Result<Duration, BoxError> {
    let duration = seconds.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| format!("{name} must be a number of seconds").into())
}

fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

pub fn required(name: &str, example: &str) -> Result<String, BoxError> {
    optional(name).ok_or_else(|| format!("{name} is not set; set it to {example}").into())
}
