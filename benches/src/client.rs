//! As little HTTP/1.1 as a benchmark needs: one kept connection, answers with a `Content-Length`.

use saas_kernel::BoxError;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    head: usize,
}

/// By what a request is let in.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum By {
    Cookie,
    Key,
}

/// The text of a request by the person, or with the key, of workspace `n`.
pub(crate) fn request(method: &str, path: &str, by: By, n: usize, body: &str) -> String {
    let path = path.replace("{n}", &format!("{n:04}"));
    let json = match body {
        "" => String::new(),
        _ => format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()),
    };
    let by = match by {
        By::Cookie => format!("Cookie: session=bench-session-{n:04}"),
        By::Key => format!("Authorization: Bearer sk_bench-key-{n:04}"),
    };
    format!("{method} {path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAccept: */*\r\n{by}\r\n{json}\r\n{body}")
}

impl Client {
    /// # Errors
    /// When nobody listens.
    pub(crate) async fn connect(address: &str) -> Result<Self, BoxError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024), head: 0 })
    }

    /// Asks, and waits for the whole answer.
    ///
    /// # Errors
    /// When the answer is not 2xx, with all of it.
    pub(crate) async fn call(&mut self, request: &[u8]) -> Result<&[u8], BoxError> {
        let (status, answer) = self.ask(request).await?;
        if (200..300).contains(&status) {
            Ok(answer)
        } else {
            Err(format!("not 2xx: {status} {}", String::from_utf8_lossy(answer)).into())
        }
    }

    /// Asks, and waits for the whole answer, whatever it is.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<(u16, &[u8]), BoxError> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let length = loop {
            self.more().await?;
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                self.head = end + 4;
                break content_length(self.buffer.get(..end).unwrap_or_default())?;
            }
        };
        while self.buffer.len() < self.head + length {
            self.more().await?;
        }
        let status = std::str::from_utf8(self.buffer.get(9..12).unwrap_or_default())?.parse()?;
        Ok((status, self.buffer.get(self.head..).unwrap_or_default()))
    }

    async fn more(&mut self) -> Result<(), BoxError> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err("the server closed the connection".into()),
            _ => Ok(()),
        }
    }
}

fn content_length(head: &[u8]) -> Result<usize, BoxError> {
    let head = std::str::from_utf8(head)?;
    let value = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    Ok(value.ok_or_else(|| format!("an answer without a length: {head}"))?.1.trim().parse()?)
}
