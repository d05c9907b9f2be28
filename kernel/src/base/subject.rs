//! The subject of a record: the workspace, the person or the platform that an audit entry or an event is about.

use uuid::Uuid;

use crate::base::id::{UserId, WorkspaceId};

/// What a record is about. It decides who may read the record: a workspace's records are shown in the workspace, a person's only to
/// that person, the platform's to neither.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Subject {
    /// A workspace.
    Workspace(WorkspaceId),
    /// A person's account, in no workspace.
    Person(UserId),
    /// The installation as a whole. Only the system writes such records.
    Platform,
}

impl Subject {
    /// Reads the subject back from its stored type and id; `None` for a type that this version does not know.
    pub fn from_row(kind: &str, id: Uuid) -> Option<Self> {
        match kind {
            "workspace" => Some(Self::Workspace(id.into())),
            "person" => Some(Self::Person(id.into())),
            "platform" => Some(Self::Platform),
            _ => None,
        }
    }

    /// Type of the subject, as stored: `workspace`, `person` or `platform`.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Workspace(_) => "workspace",
            Self::Person(_) => "person",
            Self::Platform => "platform",
        }
    }

    /// Id of the subject, as stored; the nil UUID for the platform.
    pub const fn uuid(self) -> Uuid {
        match self {
            Self::Workspace(workspace) => workspace.uuid(),
            Self::Person(person) => person.uuid(),
            Self::Platform => Uuid::nil(),
        }
    }

    /// The workspace, if the subject is one.
    pub const fn workspace(self) -> Option<WorkspaceId> {
        match self {
            Self::Workspace(workspace) => Some(workspace),
            Self::Person(_) | Self::Platform => None,
        }
    }
}

impl From<WorkspaceId> for Subject {
    fn from(workspace: WorkspaceId) -> Self {
        Self::Workspace(workspace)
    }
}

impl From<UserId> for Subject {
    fn from(person: UserId) -> Self {
        Self::Person(person)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_read_back_as_it_was_stored() {
        let id = Uuid::from_u128(7);
        for subject in [Subject::Workspace(id.into()), Subject::Person(id.into()), Subject::Platform] {
            assert_eq!(Subject::from_row(subject.kind(), subject.uuid()), Some(subject));
        }
        assert_eq!(Subject::from_row("planet", id), None);
    }
}
