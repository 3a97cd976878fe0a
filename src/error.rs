//! What can go wrong between a module and its results.

use std::fmt;

use bessemer_compiler::backend::CompileError;
use bessemer_compiler::diagnostic::{Diagnostic, Diagnostics};
use bessemer_compiler::graph::Module;
use bessemer_runtime::abi::Status;

/// Why something could not be done. Displayed, and in debug form too, it reads like an error of rustc.
///
/// | code | what |
/// |---|---|
/// | E0101 to E0612 | the module: see [`Diagnostics`] |
/// | E0701 | there is no such pass |
/// | E0702 | there is no such entry point |
/// | E0703, E0704 | a feed is missing; one is given that there is no parameter for, or twice |
/// | E0705 | a feed has the wrong dtype or shape |
/// | E0706 | the feeds disagree on the batch size, or don't determine it |
/// | E0707 | there is no such result, it has another dtype or shape, or there was no run |
/// | E0708 | an index is out of range |
/// | E0709 | a call was refused or failed, with a [`Status`] |
/// | E0710 | there is no such variable, or its type is another |
/// | E0711 | no code can be emitted for the target, or a choice is out of range |
/// | E0801 to E0804 | files: unreadable, malformed, without the tensor, with one of another type |
#[derive(Clone)]
pub enum Error {
    /// What was written or asked for is wrong.
    Diagnostics(Diagnostics),
    /// An index was out of range in a call. Variables are as they were before it.
    IndexOutOfRange(Box<IndexOutOfRange>),
    /// The runtime refused a call, or it failed.
    Status {
        /// What was to be done, such as ``run `train_step` ``.
        action: String,
        /// Why it was not.
        status: Status,
    },
}

/// An index that was out of range, where it stood and what it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexOutOfRange {
    /// Name of the entry point.
    pub entry: String,
    /// Name of the value that holds the indices; that of the parameter, where it is one.
    pub input: String,
    /// Where in it, one coordinate per axis.
    pub coordinates: Vec<usize>,
    /// The index found there.
    pub value: i64,
    /// It must be at least 0 and below this.
    pub bound: usize,
}

impl Error {
    /// Such as `E0703`.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Diagnostics(errors) => errors.code(),
            Error::IndexOutOfRange(_) => "E0708",
            Error::Status { .. } => "E0709",
        }
    }

    /// The runtime's word for it, where there is one.
    pub fn status(&self) -> Option<Status> {
        match self {
            Error::Diagnostics(_) => None,
            Error::IndexOutOfRange(_) => Some(Status::IndexOutOfRange),
            Error::Status { status, .. } => Some(*status),
        }
    }

    pub(crate) fn status_of(action: impl Into<String>) -> impl FnOnce(Status) -> Error {
        let action = action.into();
        |status| Error::Status { action, status }
    }

    /// The error of a compilation of functions of `module`.
    pub fn from_compile(error: CompileError, module: &Module) -> Error {
        match error {
            CompileError::Source(errors) => {
                let source = errors.source.or_else(|| module.source.clone());
                Error::Diagnostics(Diagnostics { source, ..errors })
            }
            CompileError::Codegen(error) => Diagnostic::new("E0711", error.to_string()).into(),
        }
    }
}

impl IndexOutOfRange {
    fn diagnostic(&self) -> Diagnostic {
        let IndexOutOfRange { entry, input, coordinates, value, bound } = self;
        let at = coordinates.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        Diagnostic::new("E0708", format!("an index is out of range in `{entry}`"))
            .note(format!("`{input}[{at}]` is {value}; it must be at least 0 and below {bound}"))
            .note("variables are as they were before the call")
    }
}

fn of_status(action: &str, status: Status) -> Diagnostic {
    let error = Diagnostic::new("E0709", format!("could not {action}: {status}"));
    match status {
        Status::Busy => error
            .note("a call that assigns variables overlaps no other call on the same session")
            .help("train from one thread at a time, and predict before or after"),
        Status::OutOfMemory => error.help("use a smaller batch"),
        Status::NoThreads => error.help("use fewer threads"),
        _ => error,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Diagnostics(errors) => errors.fmt(f),
            Error::IndexOutOfRange(error) => f.write_str(&error.diagnostic().render(None)),
            Error::Status { action, status } => f.write_str(&of_status(action, *status).render(None)),
        }
    }
}

/// As displayed, since a program whose `main` returns an error prints it in this form.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

impl From<Diagnostics> for Error {
    fn from(errors: Diagnostics) -> Error {
        Error::Diagnostics(errors)
    }
}

impl From<Diagnostic> for Error {
    fn from(error: Diagnostic) -> Error {
        Error::Diagnostics(error.into())
    }
}

/// The names as a list for people: `` `x`, `y` ``.
pub(crate) fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let list = names.into_iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    if list.is_empty() { "none".into() } else { list }
}
