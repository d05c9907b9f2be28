//! Mail, and the port that delivers it.

use async_trait::async_trait;

use crate::base::error::BoxError;
use crate::identity::users::Email;

/// A mail in plain text, to one address and with a one-line subject, so that neither can inject a header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    to: Email,
    subject: String,
    text: String,
}

impl Mail {
    /// Creates a mail. Control characters in the subject, such as line ends, are replaced by spaces.
    ///
    /// ```
    /// use saas_kernel::notify::mailer::Mail;
    /// let mail = Mail::new("ada@example.com".parse()?, "Hello\r\nBcc: everybody@example.com", "Hello.\n");
    /// assert_eq!(mail.subject(), "Hello  Bcc: everybody@example.com");
    /// # Ok::<(), saas_kernel::Refusal>(())
    /// ```
    pub fn new(to: Email, subject: &str, text: impl Into<String>) -> Self {
        let subject = subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Self { to, subject, text: text.into() }
    }

    /// Address of the recipient.
    pub fn to(&self) -> &Email {
        &self.to
    }

    /// Subject; one line without control characters.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The text; its lines end in `\n`.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Why a mail was not accepted for delivery.
#[derive(Debug, thiserror::Error)]
#[error("the mail was not accepted for delivery: {0}")]
pub struct MailError(#[source] pub BoxError);

/// Port: delivers mail. Never called inside a transaction.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Accepts `mail` for delivery.
    ///
    /// # Errors
    /// If the mail was not accepted, or it is unknown whether it was; sending it again may deliver it twice.
    async fn send(&self, mail: Mail) -> Result<(), MailError>;
}

/// The mailer of a kernel for which none was configured; it refuses every mail.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMailer;

#[async_trait]
impl Mailer for NoMailer {
    async fn send(&self, _: Mail) -> Result<(), MailError> {
        Err(MailError("no mailer is configured; give the kernel's builder one with `.mailer(…)`".into()))
    }
}
