//! The database connection that authenticated a call, kept for the call's transaction.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The connection that authenticated a call, kept for the call's transaction, so that one checkout from the pool serves the
/// whole request. It returns to its pool when the last clone is dropped.
#[derive(Clone, Default)]
pub struct Checkout(Option<Arc<Slot>>);

type Slot = Mutex<Option<Box<dyn Any + Send>>>;

impl Checkout {
    /// Keeps an adapter's connection.
    pub fn holding(connection: impl Any + Send) -> Self {
        Self(Some(Arc::new(Mutex::new(Some(Box::new(connection))))))
    }

    /// Takes the connection if it is still there and of the type `C`. A second call returns `None`.
    pub fn take<C: Any>(&self) -> Option<C> {
        let mut slot = self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref()?.is::<C>() { slot.take()?.downcast().ok().map(|connection| *connection) } else { None }
    }
}

impl fmt::Debug for Checkout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checkout")
    }
}
