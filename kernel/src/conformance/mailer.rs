//! Conformance suite for mailers.

use async_trait::async_trait;

use crate::base::error::BoxError;
use crate::base::secret::Token;
use crate::conformance::{Outcome, join_all};
use crate::identity::users::Email;
use crate::memory::mailer::MemoryMailer;
use crate::notify::mailer::{Mail, Mailer};

/// Reads the mail that a mailer delivered. Implemented by the caller of the suite.
#[async_trait(?Send)]
pub trait Delivered {
    /// All mail delivered to `to`, in any order. It waits until everything that `send` accepted has arrived.
    async fn to(&self, to: &Email) -> Result<Vec<Mail>, BoxError>;
}

/// Checks that a [`Mailer`] delivers each mail once and unchanged, also with concurrent senders.
///
/// # Errors
/// Any failure that is not about conformance.
///
/// # Panics
/// If the adapter does not conform; the message says what was expected.
pub async fn mailer(mailer: &dyn Mailer, delivered: &dyn Delivered) -> Outcome {
    let address = |name: &str| -> Result<Email, BoxError> {
        let unique = Token::generate("").expose().replace(['-', '_'], "x").to_lowercase();
        Ok(format!("{name}.{}@example.com", unique.get(..16).unwrap_or_default()).parse()?)
    };
    let text = "Dear Ådä,\n\n.\n..a line that begins with a dot\n\nFrom the start of a line\n\tand = %20 <b> & \"quotes\" \u{1f980}\n";
    let long = format!("{}\n", "A line that is longer than any line of a mail may be. ".repeat(60));
    let (one, other) = (address("one")?, address("other")?);
    let subject =
        "Grüße \u{1f980} = ?utf-8? <x> \"y\", a subject that is longer than one header line may be, as they are";
    let mails = [
        Mail::new(one.clone(), subject, text),
        Mail::new(one.clone(), "Hello\r\nBcc: everybody@example.com\r\n\r\nThis is no body", text),
        Mail::new(one.clone(), "Long", long),
        Mail::new(one.clone(), "Short", "x\n"),
    ];
    for mail in &mails {
        mailer.send(mail.clone()).await?;
    }
    let arrived = delivered.to(&one).await?;
    for mail in &mails {
        assert_eq!(
            arrived.iter().filter(|arrived| *arrived == mail).count(),
            1,
            "once, as it is: {mail:?} of {arrived:?}"
        );
    }
    assert_eq!(arrived.len(), mails.len());
    assert!(arrived.iter().all(|mail| !mail.subject().contains(['\r', '\n'])), "a subject is one line");
    assert_eq!(delivered.to(&other).await?, [], "nobody else's");

    let sent =
        join_all((0..20).map(|n| mailer.send(Mail::new(other.clone(), &format!("Number {n}"), "At once.\n")))).await;
    sent.into_iter().collect::<Result<Vec<()>, _>>()?;
    let mut arrived: Vec<String> = delivered.to(&other).await?.iter().map(|mail| mail.subject().to_owned()).collect();
    let mut expected: Vec<String> = (0..20).map(|n| format!("Number {n}")).collect();
    arrived.sort();
    expected.sort();
    assert_eq!(arrived, expected, "each of those at once, once");
    Ok(())
}

/// The in-process mailer keeps its mail itself.
#[async_trait(?Send)]
impl Delivered for MemoryMailer {
    async fn to(&self, to: &Email) -> Result<Vec<Mail>, BoxError> {
        Ok(self.mails().into_iter().filter(|mail| mail.to() == to).collect())
    }
}
