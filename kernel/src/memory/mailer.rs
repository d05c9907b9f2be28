//! A mailer that keeps mail in memory, for development and tests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::notify::mailer::{Mail, MailError, Mailer};

/// Number of mails that are kept.
const KEPT: usize = 200;

/// Keeps the last 200 mails and delivers none. Clones share the mails.
#[derive(Clone, Debug, Default)]
pub struct MemoryMailer(Arc<Mutex<VecDeque<Mail>>>);

impl MemoryMailer {
    /// The kept mails, newest first.
    pub fn mails(&self) -> Vec<Mail> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }
}

#[async_trait]
impl Mailer for MemoryMailer {
    async fn send(&self, mail: Mail) -> Result<(), MailError> {
        let mut mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if mails.len() == KEPT {
            mails.pop_front();
        }
        mails.push_back(mail);
        Ok(())
    }
}
