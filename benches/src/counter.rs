//! Counts what passes between a server and Postgres: statements, as Postgres reports each one done, and round trips, as
//! the server falls silent to wait for an answer. It needs no extension of Postgres and believes nobody's own counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use saas_kernel::BoxError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Stands in front of Postgres.
pub(crate) struct Counter {
    pub port: u16,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    statements: AtomicUsize,
    round_trips: AtomicUsize,
}

impl Counter {
    /// Passes everything on to the Postgres at `port`, until the runtime ends.
    pub(crate) async fn before(port: u16) -> Result<Self, BoxError> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let counter = Self { port: listener.local_addr()?.port(), counts: Arc::default() };
        let counts = counter.counts.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                let asked = Arc::new(AtomicBool::new(false));
                tokio::spawn(ask(from_client, to_server, asked.clone(), counts.clone()));
                tokio::spawn(answer(from_server, to_client, asked, counts.clone()));
            }
        });
        Ok(counter)
    }

    /// Statements and round trips so far.
    pub(crate) fn read(&self) -> (usize, usize) {
        (self.counts.statements.load(Ordering::SeqCst), self.counts.round_trips.load(Ordering::SeqCst))
    }
}

async fn ask(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, asked: Arc<AtomicBool>, counts: Arc<Counts>) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        // Whatever follows before an answer belongs to the same trip.
        if !asked.swap(true, Ordering::SeqCst) {
            counts.round_trips.fetch_add(1, Ordering::SeqCst);
        }
        if to.write_all(bytes.get(..length).unwrap_or_default()).await.is_err() {
            return;
        }
    }
}

async fn answer(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, asked: Arc<AtomicBool>, counts: Arc<Counts>) {
    let (mut bytes, mut rest) = (vec![0; 64 * 1024], Vec::new());
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        let read = bytes.get(..length).unwrap_or_default();
        rest.extend_from_slice(read);
        counts.statements.fetch_add(completed(&mut rest), Ordering::SeqCst);
        asked.store(false, Ordering::SeqCst);
        if to.write_all(read).await.is_err() {
            return;
        }
    }
}

/// Takes the whole messages off, and counts the `CommandComplete` among them. A message is a byte for its kind and its
/// length, big-endian, without that byte; Postgres answers every statement it ran with one `C`.
fn completed(stream: &mut Vec<u8>) -> usize {
    let (mut at, mut completed) = (0, 0);
    while let Some(&[kind, a, b, c, d]) = stream.get(at..).and_then(|rest| rest.first_chunk()) {
        let next = at + 1 + u32::from_be_bytes([a, b, c, d]) as usize;
        if next > stream.len() {
            break;
        }
        completed += usize::from(kind == b'C');
        at = next;
    }
    stream.drain(..at);
    completed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_messages_are_counted() {
        let complete = b"C\0\0\0\x0bBEGIN\0\0";
        let mut stream = [&complete[..], b"Z\0\0\0\x05T", complete, &complete[..6]].concat();
        assert_eq!((completed(&mut stream), stream.len()), (2, 6));
        stream.extend_from_slice(&complete[6..]);
        assert_eq!((completed(&mut stream), stream.len()), (1, 0));
    }
}
