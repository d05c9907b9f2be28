//! Sign-up, from the text that a person enters to the commit, in a time that does not reveal who has an account.

use tokio::time::{Instant, sleep_until};

use super::Kernel;
use crate::base::ctx::Ctx;
use crate::base::error::Error;
use crate::guard::rate_limit::Bucket;
use crate::identity::sign_up::{ANSWER_FLOOR, NewAccount, SignUp, TRANSACTION_FLOOR};
use crate::identity::users::Email;
use crate::store::Proof;

impl Kernel {
    /// Registers an account with its first workspace. If the address has an account, nothing is created and the result is the
    /// same. Returns the address, as its owner wrote it.
    ///
    /// What depends on whether there is an account, failures included, takes no less than [`ANSWER_FLOOR`] from the beginning
    /// and [`TRANSACTION_FLOOR`] from the end of hashing.
    ///
    /// # Errors
    /// `validation_failed` with all invalid fields; `rate_limited`; `busy` if too many passwords are hashed at once; the errors
    /// of the product's hook.
    pub async fn register(&self, ctx: Ctx, email: &str, password: &str, name: &str) -> Result<Email, Error> {
        let answer_floor = Instant::now() + ANSWER_FLOOR;
        let account = NewAccount::parse(email, password, name)?;
        self.limit_client(Bucket::SignUpIp, &ctx).await?;
        let email = account.email.clone();
        let prepared = SignUp::prepare(ctx, account, self.passwords()).await?;
        // Waiting for a place among the hashes may take longer than the first floor; it must not end before the second.
        let transaction_floor = Instant::now() + TRANSACTION_FLOOR;
        let created = self.create_account(&prepared).await;
        sleep_until(answer_floor.max(transaction_floor)).await;
        created.map(|()| email)
    }

    /// Creates the account, unless its address has one.
    async fn create_account(&self, prepared: &SignUp) -> Result<(), Error> {
        let mut tx = self.store().begin(prepared.scope()).await?;
        match self.sign_up(prepared, &mut *tx).await? {
            Some(_) => Ok(tx.commit().await?),
            None => Ok(()),
        }
    }
}
