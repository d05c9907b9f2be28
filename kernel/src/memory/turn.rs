//! One transaction at a time: whose turn it is, and how long others wait.

use std::pin::pin;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task;

use crate::store::StoreError;

/// How long one transaction of the same task may stay open before the wait is called hopeless.
const SLICE: Duration = Duration::from_secs(2);
/// So many slices a caller waits before `Unavailable`.
const SLICES: usize = 5;

/// The queue for the one turn there is.
#[derive(Default)]
pub(crate) struct Turns {
    queue: Arc<Mutex<()>>,
    holder: SyncMutex<Holder>,
}

/// Who has the turn, and the how many-th it is.
#[derive(Clone, Copy, PartialEq, Default)]
struct Holder {
    who: Option<Who>,
    turn: u64,
}

/// Who runs. `block_on` has no task id, but it stays on its thread.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    Task(task::Id),
    Thread(ThreadId),
}

impl Who {
    fn current() -> Self {
        task::try_id().map_or_else(|| Self::Thread(std::thread::current().id()), Self::Task)
    }
}

/// The right to be the open transaction; dropping it lets the next one in.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    _place: OwnedMutexGuard<()>,
}

impl Turns {
    /// Waits for the turn, first come first served.
    pub(crate) async fn next(self: &Arc<Self>) -> Result<Turn, StoreError> {
        if let Ok(place) = self.queue.clone().try_lock_owned() {
            return Ok(self.taken(place));
        }
        let mut place = pin!(self.queue.clone().lock_owned());
        let mut seen = self.holder();
        for _ in 0..SLICES {
            if let Ok(place) = tokio::time::timeout(SLICE, &mut place).await {
                return Ok(self.taken(place));
            }
            let holder = self.holder();
            if holder == seen && holder.who == Some(Who::current()) {
                return Err(nested());
            }
            seen = holder;
        }
        Err(StoreError::Unavailable("another transaction on this store does not end".into()))
    }

    fn taken(self: &Arc<Self>, place: OwnedMutexGuard<()>) -> Turn {
        let mut holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        *holder = Holder { who: Some(Who::current()), turn: holder.turn + 1 };
        Turn { turns: self.clone(), _place: place }
    }

    fn holder(&self) -> Holder {
        *self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Before the place is free: the next holder must not be unnamed by this one.
        self.turns.holder.lock().unwrap_or_else(PoisonError::into_inner).who = None;
    }
}

/// In a debug build it is said where it happens: an error would be one of many in a log.
#[expect(clippy::panic, reason = "a caller that waits for itself is a mistake in the code, never in the data")]
fn nested() -> StoreError {
    const TEXT: &str = "a transaction was begun while another one of the same task is open: commit or drop the first one \
                        before, or hand it on; on this store transactions run one at a time";
    if cfg!(debug_assertions) {
        panic!("{TEXT}");
    }
    StoreError::Unavailable(TEXT.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "commit or drop the first one")]
    async fn waiting_for_oneself_panics_under_block_on() {
        let turns = Arc::<Turns>::default();
        let _first = turns.next().await;
        let _ = turns.next().await;
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_oneself_panics_in_a_task() {
        let turns = Arc::<Turns>::default();
        let task = tokio::spawn(async move {
            let _first = turns.next().await;
            turns.next().await.is_ok()
        });
        assert!(task.await.unwrap_err().is_panic());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_others_ends_with_an_error_and_leaves_the_queue() {
        let turns = Arc::<Turns>::default();
        let first = turns.next().await.unwrap();
        let other = turns.clone();
        let waited = tokio::spawn(async move { other.next().await.err() }).await.unwrap();
        assert!(matches!(waited, Some(StoreError::Unavailable(_))));
        drop(first);
        assert!(turns.next().await.is_ok());
    }

    #[tokio::test]
    async fn joined_futures_of_one_task_wait_for_each_other() {
        let turns = Arc::<Turns>::default();
        let one = || async {
            let _turn = turns.next().await.unwrap();
            tokio::task::yield_now().await;
        };
        tokio::join!(one(), one(), one());
    }
}
