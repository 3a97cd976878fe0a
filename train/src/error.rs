//! The one error of this crate: what is wrong, where, and how to mend it.
//!
//! An error prints in the form of the compiler's diagnostics, the place and the help on lines of their own:
//!
//! ```text
//! the header promises 47040016 bytes, the data end after 20000
//!  --> data/train-images-idx3-ubyte: byte 20000
//!   = help: fetch the file again, it was cut short
//! ```

use std::error::Error;
use std::fmt;
use std::io;

use crate::column::Dtype;

/// Where in outside data an error was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file as the caller named it; a member of an archive is added in parentheses.
    pub file: String,
    /// The position in that file.
    pub position: Position,
}

/// A position in a file, in the terms of its format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// The file as a whole.
    Whole,
    /// A byte, counted from 0.
    Byte(u64),
    /// A byte of the data that come out of a compressed file, counted from 0.
    UnpackedByte(u64),
    /// A line of text, counted from 1.
    Line(u64),
    /// A field of a table: line and column, both counted from 1.
    Field {
        /// The line that the record begins on.
        line: u64,
        /// The number of the field in its record.
        column: usize,
    },
}

/// Why data could not be read, described or batched.
#[derive(Debug)]
#[non_exhaustive]
pub enum DatasetError {
    /// The operating system refused to open or read a file.
    Io {
        /// The file.
        place: Place,
        /// What the operating system said.
        error: io::Error,
    },
    /// Outside bytes are not what their format asks for.
    Malformed {
        /// Where they go wrong.
        place: Place,
        /// What is wrong.
        what: String,
        /// How to mend it.
        help: String,
    },
    /// Data would take more bytes than the reader was allowed.
    TooLarge {
        /// The file.
        place: Place,
        /// The bytes that the reader may take.
        limit: u64,
    },
    /// The allocator had no room for data.
    OutOfMemory {
        /// The file.
        place: Place,
        /// The size of the allocation that failed, in bytes.
        bytes: usize,
    },
    /// A column of this name does not exist.
    UnknownColumn {
        /// The name asked for.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// A column of this name exists already.
    DuplicateColumn {
        /// The name given twice.
        name: String,
    },
    /// A column holds elements of another type.
    WrongDtype {
        /// The column.
        name: String,
        /// The type that it holds.
        found: Dtype,
        /// The types that would do.
        wanted: Vec<Dtype>,
    },
    /// A column disagrees with the others on the number of examples.
    WrongLength {
        /// The column.
        name: String,
        /// Its number of examples.
        found: usize,
        /// Theirs.
        wanted: usize,
    },
    /// A column has a shape that does not do.
    WrongShape {
        /// The column.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that would do, in words.
        wanted: String,
    },
    /// A fraction is not in `0..=1`.
    InvalidFraction(f64),
    /// Batches of no examples were asked for.
    InvalidBatchSize,
    /// Statistics were asked of a dataset without examples.
    NoExamples {
        /// The column.
        name: String,
    },
    /// The function given to [`Batches::map`](crate::Batches::map) failed or panicked.
    Mapping {
        /// The epoch of the batch, counted from 0.
        epoch: u64,
        /// The number of the batch in its epoch, counted from 0.
        batch: usize,
        /// The error, or the message of the panic.
        what: String,
    },
}

impl DatasetError {
    /// The place in outside data that the error points at, if it concerns outside data.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Io { place, .. }
            | Self::Malformed { place, .. }
            | Self::TooLarge { place, .. }
            | Self::OutOfMemory { place, .. } => Some(place),
            _ => None,
        }
    }

    /// How to mend the error, where there is something to say beyond the message.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::Io { error, .. } if error.kind() == io::ErrorKind::NotFound => {
                "check the path; a relative one starts at the working directory".to_owned()
            }
            Self::Io { .. } | Self::WrongShape { .. } => return None,
            Self::Malformed { help, .. } => help.clone(),
            Self::TooLarge { .. } => {
                "if the file is to be trusted, call the format's `read` with a higher limit".to_owned()
            }
            Self::OutOfMemory { .. } => "split the file, or store a smaller element type".to_owned(),
            Self::UnknownColumn { known, .. } if known.is_empty() => "there are no columns".to_owned(),
            Self::UnknownColumn { known, .. } => format!("the columns are {}", quoted(known)),
            Self::DuplicateColumn { .. } => "give each column its own name".to_owned(),
            Self::WrongDtype { found, .. } => format!("ask for {found}, or convert the column with `map`"),
            Self::WrongLength { .. } => {
                "the leading axis of every column counts the examples, so all must agree on it".to_owned()
            }
            Self::InvalidFraction(_) => "give a fraction from 0 to 1".to_owned(),
            Self::InvalidBatchSize => "ask for batches of at least one example".to_owned(),
            Self::NoExamples { .. } => "take the statistics from the training part of the data".to_owned(),
            Self::Mapping { .. } => "mend the function given to `Batches::map`".to_owned(),
        })
    }
}

fn quoted<T: fmt::Display>(names: &[T]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for DatasetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { error, .. } => write!(f, "cannot read the file: {error}")?,
            Self::Malformed { what, .. } => f.write_str(what)?,
            Self::TooLarge { limit, .. } => write!(f, "the data take more than the limit of {limit} bytes")?,
            Self::OutOfMemory { bytes, .. } => write!(f, "no memory for {bytes} bytes of data")?,
            Self::UnknownColumn { name, .. } => write!(f, "unknown column `{name}`")?,
            Self::DuplicateColumn { name } => write!(f, "duplicate column `{name}`")?,
            Self::WrongDtype { name, found, wanted } => {
                let wanted = wanted.iter().map(Dtype::to_string).collect::<Vec<_>>().join(" or ");
                write!(f, "column `{name}` holds {found}, not {wanted}")?;
            }
            Self::WrongLength { name, found, wanted } => {
                write!(f, "column `{name}` has {found} examples where {wanted} are expected")?;
            }
            Self::WrongShape { name, found, wanted } => {
                write!(f, "column `{name}` has shape {found:?}, expected {wanted}")?;
            }
            Self::InvalidFraction(fraction) => write!(f, "invalid fraction {fraction}")?,
            Self::InvalidBatchSize => f.write_str("invalid batch size 0")?,
            Self::NoExamples { name } => write!(f, "no examples to take the statistics of `{name}` from")?,
            Self::Mapping { epoch, batch, what } => {
                write!(f, "the mapping of batch {batch} of epoch {epoch} failed: {what}")?;
            }
        }
        if let Some(place) = self.place() {
            write!(f, "\n --> {place}")?;
        }
        if let Some(help) = self.help() {
            write!(f, "\n  = help: {help}")?;
        }
        Ok(())
    }
}

impl Error for DatasetError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        match self.position {
            Position::Whole => Ok(()),
            Position::Byte(byte) => write!(f, ": byte {byte}"),
            Position::UnpackedByte(byte) => write!(f, ": byte {byte} of the unpacked data"),
            Position::Line(line) => write!(f, ": line {line}"),
            Position::Field { line, column } => write!(f, ": line {line}, column {column}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_names_what_where_and_help() {
        let error = DatasetError::Malformed {
            place: Place { file: "a.csv".to_owned(), position: Position::Field { line: 3, column: 2 } },
            what: "`two` is not an f32".to_owned(),
            help: "write a number".to_owned(),
        };
        assert_eq!(
            error.to_string(),
            "`two` is not an f32\n --> a.csv: line 3, column 2\n  = help: write a number"
        );
    }

    #[test]
    fn unknown_column_lists_the_known() {
        let error = DatasetError::UnknownColumn { name: "z".into(), known: vec!["x".into(), "y".into()] };
        assert_eq!(error.to_string(), "unknown column `z`\n  = help: the columns are `x`, `y`");
    }
}
