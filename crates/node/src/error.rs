//! Errors on their way to JavaScript: the core's code and message, unchanged.

use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use napi_derive::napi;
use vicinal_core::{Error, Index, Result, failpoint, panic_message};

/// What the TypeScript makes a `VicinalError` of.
#[napi(object, object_from_js = false)]
#[derive(Debug)]
pub struct Failure {
    /// One of the stable codes, or `ERR_CANCELLED`, which never leaves the TypeScript.
    pub code: &'static str,
    pub message: String,
    /// What the operating system said, where it did.
    pub cause: Option<String>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { code: error.code(), message: error.to_string(), cause: error.source().map(ToString::to_string) }
    }
}

/// An error that happened some time ago.
impl From<vicinal_core::Failure> for Failure {
    fn from(vicinal_core::Failure { code, message, cause }: vicinal_core::Failure) -> Self {
        Self { code, message, cause }
    }
}

/// The `code` of an error that a synchronous call throws.
pub struct Code(String);

/// What a synchronous call throws.
pub(crate) type Thrown = napi::Error<Code>;

impl AsRef<str> for Code {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<napi::Status> for Code {
    fn from(status: napi::Status) -> Self {
        Self(status.as_ref().into())
    }
}

/// An error of the core as one that a synchronous call throws.
pub(crate) fn thrown(error: Error) -> Thrown {
    let mut thrown = Thrown::new(Code(error.code().into()), error.to_string());
    if let Some(source) = error.source() {
        thrown.set_cause(napi::Error::from_reason(source.to_string()));
    }
    thrown
}

/// An error of N-API, which only a bug of ours or a lack of memory can cause, as one of ours.
pub(crate) fn internal(error: &napi::Error) -> Error {
    Error::Internal(format!("{}: {}", error.status, error.reason))
}

/// Runs `body` and turns a panic into `ERR_INTERNAL`; the index, if there is one, then refuses writes.
pub(crate) fn guarded<T>(index: Option<&Index>, point: &'static str, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let body = AssertUnwindSafe(|| {
        failpoint::pass(point);
        body()
    });
    catch_unwind(body).unwrap_or_else(|panic| {
        let message = format!("{point} panicked: {}", panic_message(&*panic));
        if let Some(index) = index {
            index.poison(&message);
        }
        Err(Error::Internal(message))
    })
}
