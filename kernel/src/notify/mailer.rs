//! Mail.

use async_trait::async_trait;

use crate::base::error::BoxError;
use crate::identity::users::Email;

/// A mail, in plain text. It has one addressee and one line of subject, so that nothing in either can add a header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    to: Email,
    subject: String,
    text: String,
}

impl Mail {
    /// Control characters in the subject, such as line ends, become spaces.
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

    /// To whom.
    pub fn to(&self) -> &Email {
        &self.to
    }

    /// One line.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The text; its lines end in `\n`.
    pub fn text(&self) -> &str {
        &self.text
    }
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
