//! Why nothing was measured.

/// What went wrong, in a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BenchError(String);

impl BenchError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// Names what was tried in front of a cause.
    pub(crate) fn because<E: std::fmt::Display>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |cause| Self(format!("{what}: {cause}"))
    }
}
