//! Mail.

use async_trait::async_trait;

use crate::error::BoxError;

/// A mail, in plain text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// One address.
    pub to: String,
    /// One line.
    pub subject: String,
    /// The text.
    pub text: String,
}

/// Why a mail was not handed over.
#[derive(Debug, thiserror::Error)]
#[error("the mail was not handed over: {0}")]
pub struct MailError(#[source] pub BoxError);

/// Port: hands mail over to whoever delivers it. Never called inside a transaction.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Hands `mail` over.
    ///
    /// # Errors
    /// It was not taken, or it is not known whether it was; sending it again may deliver it twice.
    async fn send(&self, mail: Mail) -> Result<(), MailError>;
}

/// What a kernel has that was given no mailer.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMailer;

#[async_trait]
impl Mailer for NoMailer {
    async fn send(&self, _: Mail) -> Result<(), MailError> {
        Err(MailError("no mailer is configured; give the kernel's builder one with `.mailer(…)`".into()))
    }
}
