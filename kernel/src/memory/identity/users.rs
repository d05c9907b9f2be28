//! Accounts.

use std::sync::Arc;

use async_trait::async_trait;

use crate::id::UserId;
use crate::identity::password::PasswordHash;
use crate::identity::users::{NewUser, User, Users};
use crate::memory::store::micros;
use crate::memory::tx::MemoryTx;
use crate::store::{Reach, StoreError};

#[derive(Clone)]
pub(crate) struct UserRow {
    pub(crate) user: User,
    pub(crate) email_lower: String,
    pub(crate) password: PasswordHash,
}

impl MemoryTx {
    /// Oneself, and who belongs to the scope's workspace.
    pub(crate) fn sees_user(&self, id: UserId) -> bool {
        let colleague = match self.scope_ref().reach() {
            Reach::Tenant(workspace) | Reach::Founding(_, workspace) | Reach::Joining(_, workspace) => {
                self.state.members.contains_key(&(workspace, id))
            }
            Reach::User(_) | Reach::System(_) => false,
        };
        self.is_me(id) || colleague
    }
}

#[async_trait]
impl Users for MemoryTx {
    async fn insert(&mut self, new: &NewUser<'_>) -> Result<bool, StoreError> {
        self.alive()?;
        self.may_write("users", self.is_me(new.id))?;
        if self.state.users.values().any(|row| row.email_lower == new.email.lower()) {
            return Ok(false);
        }
        self.unique("users_pkey", !self.state.users.contains_key(&new.id))?;
        let user = User {
            id: new.id,
            email: new.email.as_str().to_owned(),
            name: new.name.as_str().to_owned(),
            email_verified_at: None,
            created_at: micros(new.at),
        };
        let row = UserRow { user, email_lower: new.email.lower().to_owned(), password: new.password.clone() };
        Arc::make_mut(&mut self.state.users).insert(new.id, row);
        Ok(true)
    }

    async fn find(&mut self, id: UserId) -> Result<Option<User>, StoreError> {
        self.alive()?;
        let visible = self.sees_user(id);
        Ok(self.state.users.get(&id).filter(|_| visible).map(|row| row.user.clone()))
    }
}
