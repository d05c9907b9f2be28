//! What was answered, in words that are the same on both sides: ids become the order in which they were made, other random
//! ids disappear, and of what the store broke on only the meaning is left.

use std::collections::HashMap;
use std::fmt::Debug;

use saas_kernel::store::Replay;
use saas_kernel::{Error, Id, StoreError};

#[derive(Default)]
pub(crate) struct Words(HashMap<String, String>, Vec<(String, String)>);

impl Words {
    /// Notes an id under the name that both sides know it by.
    pub(crate) fn know(&mut self, id: impl Id, name: &str) {
        let text = id.to_string();
        self.1.push((format!("-{}", &text[text.len() - 7..]), format!("-{name}")));
        self.0.insert(text, name.to_owned());
        self.0.insert(id.uuid().to_string(), name.to_owned());
    }

    pub(crate) fn of(&self, answer: impl Debug) -> String {
        let (text, mut out, mut run) = (format!("{answer:?}"), String::new(), String::new());
        for c in text.chars().chain(['\n']) {
            if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
                run.push(c);
                continue;
            }
            out.push_str(&self.run(&run));
            run.clear();
            out.push(c);
        }
        out.trim_end().to_owned()
    }

    fn run(&self, run: &str) -> String {
        if let Some(name) = self.0.get(run) {
            return name.clone();
        }
        if run.starts_with("sk_") {
            return "a-key".to_owned();
        }
        let uuid = run.len() == 36 && run.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
        let typed = run.split_once('_').is_some_and(|(prefix, rest)| prefix.len() <= 3 && rest.len() == 26);
        if uuid || typed {
            return "an-id".to_owned();
        }
        match self.1.iter().find(|(ending, _)| run.ends_with(ending.as_str())) {
            Some((ending, name)) => format!("{}{name}", &run[..run.len() - ending.len()]),
            None => run.to_owned(),
        }
    }

    pub(crate) fn result<T: Debug>(&self, result: &Result<T, Error>) -> String {
        match result {
            Ok(answer) => self.of(answer),
            Err(Error::Refused(refusal)) => format!("{}: {}", refusal.code(), self.of(refusal.message())),
            Err(Error::Store(error)) => self.error(error),
            Err(Error::Broken(_)) => "broken".to_owned(),
        }
    }

    pub(crate) fn stored<T: Debug>(&self, result: &Result<T, StoreError>) -> String {
        result.as_ref().map_or_else(|error| self.error(error), |answer| self.of(answer))
    }

    fn error(&self, error: &StoreError) -> String {
        match error {
            StoreError::Backend(_) | StoreError::Reference { .. } => "refused by the store".to_owned(),
            StoreError::Conflict(constraint) if constraint.starts_with("audit_log") => "conflict in the log".to_owned(),
            StoreError::Replay(Replay::Answer(answer)) => {
                format!("replay {} {}", answer.status, self.of(String::from_utf8_lossy(&answer.body)))
            }
            other => self.of(other),
        }
    }
}
