//! What can go wrong, each with a stable code that JavaScript sees unchanged.

use std::io;
use std::sync::Arc;

/// The result of every fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. An operation that returns an error has changed nothing.
///
/// `row` is the 0-based position in the batch where there was one.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value of the wrong type or out of range.
    #[error("{name}: got {got}, expected {expected}")]
    InvalidArgument { name: &'static str, got: String, expected: String },
    /// A vector, or a flat array of them, of another length.
    #[error("{}got {got} values, expected {expected}", at_row(.row))]
    DimensionMismatch { row: Option<usize>, got: usize, expected: String },
    /// A value that no distance can be computed from.
    #[error("{}got {got}, expected {expected}", at_row(.row))]
    InvalidVector { row: Option<usize>, got: String, expected: &'static str },
    /// An id that exists already, or stands twice in a batch.
    #[error("row {row}: got id {id}, which {reason}; expected an id not seen before")]
    DuplicateId { row: usize, id: String, reason: &'static str },
    /// The index was closed.
    #[error("the index is closed: got a call after close(), expected an open index")]
    Closed,
    /// The index was opened to be read only, or is a view.
    #[error("the index is read-only: got a write, expected an index that is no view and was opened without readOnly")]
    ReadOnly,
    /// Another index, of this process or another, has the directory open to write.
    #[error("{path}: got a directory that {} has open, expected one without a writer", holder(.pid))]
    Locked { path: String, pid: Option<u32> },
    /// The work was cancelled by its caller and changed nothing.
    #[error("the work was cancelled")]
    Cancelled,
    /// The system refused memory; the index is as it was.
    #[error("out of memory: got a refusal for {bytes} bytes of {what}, expected them to be granted")]
    OutOfMemory { what: &'static str, bytes: usize },
    /// The system refused a thread; the index is as it was.
    #[error("out of memory: got a refusal for a thread ({source}), expected it to be started")]
    Thread { source: Arc<dyn std::error::Error + Send + Sync> },
    /// A file that is not what it says it is.
    #[error("{path}: got {got}, expected {expected}")]
    Corrupt { path: String, got: String, expected: String },
    /// A file of a format that this version cannot read.
    #[error("{path}: got format version {got}, expected {expected}")]
    Version { path: String, got: String, expected: String },
    /// The operating system failed an operation on a file.
    #[error("{path}: {operation} failed: {source}")]
    Io { path: String, operation: &'static str, source: Arc<io::Error> },
    /// A bug of ours: a caught panic. Writes are refused from here on.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// The stable code that JavaScript sees as `error.code`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidArgument { .. } => "ERR_INVALID_ARGUMENT",
            Self::DimensionMismatch { .. } => "ERR_DIMENSION_MISMATCH",
            Self::InvalidVector { .. } => "ERR_INVALID_VECTOR",
            Self::DuplicateId { .. } => "ERR_DUPLICATE_ID",
            Self::Closed => "ERR_CLOSED",
            Self::ReadOnly => "ERR_READ_ONLY",
            Self::Locked { .. } => "ERR_LOCKED",
            Self::Cancelled => "ERR_CANCELLED",
            Self::OutOfMemory { .. } | Self::Thread { .. } => "ERR_OUT_OF_MEMORY",
            Self::Corrupt { .. } => "ERR_CORRUPT",
            Self::Version { .. } => "ERR_VERSION",
            Self::Io { .. } => "ERR_IO",
            Self::Internal(_) => "ERR_INTERNAL",
        }
    }

    /// The system has failed to start a thread.
    pub(crate) fn thread(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Thread { source: Arc::new(source) }
    }

    pub(crate) fn argument(name: &'static str, got: impl ToString, expected: impl ToString) -> Self {
        Self::InvalidArgument { name, got: got.to_string(), expected: expected.to_string() }
    }
}

/// An error as it is shown long after it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: &'static str,
    pub message: String,
    pub cause: Option<String>,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        Self { code: error.code(), message: error.to_string(), cause }
    }
}

fn at_row(row: &Option<usize>) -> String {
    row.map(|row| format!("row {row}: ")).unwrap_or_default()
}

fn holder(pid: &Option<u32>) -> String {
    pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
}

/// What a caught panic said.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message")
}
