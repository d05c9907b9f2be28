//! The actor of an action: a person, an API key, the system or a staff member. Stored as a `(type, id)` pair, never as a bare
//! user id.

use serde::Serialize;
use uuid::Uuid;

use crate::base::id::{ApiKeyId, Id, UserId};

/// Who performs an action.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Actor {
    /// A signed-in person.
    User(UserId),
    /// A program with an API key of the workspace.
    ApiKey(ApiKeyId),
    /// The product itself: a job, a webhook, a migration. The name says which part.
    System(&'static str),
    /// A staff member acting on behalf of a user. Both are recorded; the staff member is the actor.
    Staff {
        /// The staff member.
        staff: UserId,
        /// The user on whose behalf they act.
        acting_as: UserId,
    },
}

impl Actor {
    /// Type of the actor, as stored: `user`, `api_key`, `system` or `staff`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Actor::User(_) => "user",
            Actor::ApiKey(_) => "api_key",
            Actor::System(_) => "system",
            Actor::Staff { .. } => "staff",
        }
    }

    /// Id of the actor, as stored. The nil UUID for `System`, whose name is in [`Actor::label`].
    pub fn uuid(&self) -> Uuid {
        match self {
            Actor::User(user) => user.uuid(),
            Actor::ApiKey(key) => key.uuid(),
            Actor::System(_) => Uuid::nil(),
            Actor::Staff { staff, .. } => staff.uuid(),
        }
    }

    /// The person on whose behalf a staff member acts.
    pub const fn acting_as(&self) -> Option<UserId> {
        match self {
            Actor::Staff { acting_as, .. } => Some(*acting_as),
            Actor::User(_) | Actor::ApiKey(_) | Actor::System(_) => None,
        }
    }

    /// Id as shown in the API: `usr_…`, `key_…` or the name of the system part.
    pub fn label(&self) -> String {
        match self {
            Actor::User(user) | Actor::Staff { staff: user, .. } => user.to_string(),
            Actor::ApiKey(key) => key.to_string(),
            Actor::System(name) => (*name).to_owned(),
        }
    }
}

/// An actor as read back from the database and shown in the API: `{"type": "user", "id": "usr_…"}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ActorRef {
    /// Type of the actor; see [`Actor::kind`].
    #[serde(rename = "type")]
    pub kind: String,
    /// Id of the actor; see [`Actor::label`].
    pub id: String,
}

impl ActorRef {
    /// Creates the reference from the stored type and id, and the label that is stored for `System`.
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
