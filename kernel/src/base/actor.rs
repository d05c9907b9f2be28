//! Who acts. Every action has exactly one actor; it is stored as a `(type, id)` pair, never as a bare user id.

use serde::Serialize;
use uuid::Uuid;

use crate::base::id::{ApiKeyId, Id, UserId};

/// Who performs an action.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Actor {
    /// A signed-in person.
    User(UserId),
    /// A program with a key of the workspace.
    ApiKey(ApiKeyId),
    /// The product itself: a job, a webhook, a migration. The name says which.
    System(&'static str),
    /// A staff member who acts as a user: both are recorded, the staff member is the actor.
    Staff {
        /// The staff member.
        staff: UserId,
        /// Whose eyes they look through.
        acting_as: UserId,
    },
}

impl Actor {
    /// The stored type: `user`, `api_key`, `system` or `staff`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Actor::User(_) => "user",
            Actor::ApiKey(_) => "api_key",
            Actor::System(_) => "system",
            Actor::Staff { .. } => "staff",
        }
    }

    /// The stored id. `System` has none of its own: its name is in [`Actor::label`].
    pub fn uuid(&self) -> Uuid {
        match self {
            Actor::User(user) => user.uuid(),
            Actor::ApiKey(key) => key.uuid(),
            Actor::System(_) => Uuid::nil(),
            Actor::Staff { staff, .. } => staff.uuid(),
        }
    }

    /// The id as shown: `usr_…`, `key_…` or the system part's name.
    pub fn label(&self) -> String {
        match self {
            Actor::User(user) | Actor::Staff { staff: user, .. } => user.to_string(),
            Actor::ApiKey(key) => key.to_string(),
            Actor::System(name) => (*name).to_owned(),
        }
    }
}

/// A stored actor, as read back and as shown: `{"type": "user", "id": "usr_…"}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ActorRef {
    /// See [`Actor::kind`].
    #[serde(rename = "type")]
    pub kind: String,
    /// See [`Actor::label`].
    pub id: String,
}

impl ActorRef {
    /// From the stored pair, with the label that `System` rows carry.
    pub fn from_row(kind: String, id: Uuid, label: Option<String>) -> Self {
        let id = match kind.as_str() {
            "user" | "staff" => UserId::from_uuid(id).to_string(),
            "api_key" => ApiKeyId::from_uuid(id).to_string(),
            _ => label.unwrap_or_else(|| "system".to_owned()),
        };
        Self { kind, id }
    }
}

impl From<Actor> for ActorRef {
    fn from(actor: Actor) -> Self {
        Self { kind: actor.kind().to_owned(), id: actor.label() }
    }
}
