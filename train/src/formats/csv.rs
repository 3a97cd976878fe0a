//! CSV: tables of numbers as text.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::Path;

use ::csv::{ErrorKind, Reader, ReaderBuilder, StringRecord};
use ndarray::{Array, ArrayD, IxDyn};

use super::{Source, whole, with_file, with_reader};
use crate::column::{Column, Element};
use crate::dataset::Dataset;
use crate::error::{DatasetError, Place, Position};

/// The longest record that is read, in bytes: the parser takes up to 8 bytes of memory for each.
const MAX_RECORD: u64 = 1 << 24;

/// Which fields of a CSV table become which columns of a dataset.
///
/// ```
/// use bessemer_train::formats::csv::Csv;
///
/// let text = "sepal,petal,species\n5.1,1.4,0\n7.0,4.7,1\n";
/// let dataset = Csv::new()
///     .matrix::<f32>("x", ["sepal", "petal"])
///     .vector::<i32>("y", "species")
///     .read(text.as_bytes(), "iris.csv", 1 << 20)?;
/// assert_eq!(dataset.get::<f32>("x")?.shape(), [2, 2]);
/// assert_eq!(dataset.get::<i32>("y")?.as_slice().unwrap(), [0, 1]);
/// # Ok::<(), bessemer_train::DatasetError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Csv {
    header: bool,
    delimiter: u8,
    wanted: Vec<Wanted>,
}

/// A field of a table's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// The field of this name in the header.
    Name(String),
    /// The field at this place, counted from 0.
    Index(usize),
}

impl From<&str> for Field {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<String> for Field {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl From<usize> for Field {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// A type that CSV fields are read as: `f32`, `f64`, `i32`, `i64` or `u8`.
pub trait Number: Element {
    /// The number that `text` is, or why it is none.
    fn parse(text: &str) -> Result<Self, String>;
}

macro_rules! numbers {
    ($($type:ty => $is_finite:expr),*) => {$(
        impl Number for $type {
            fn parse(text: &str) -> Result<Self, String> {
                let invalid = || {
                    let name = stringify!($type);
                    format!("`{}` is not {} {name}", shortened(text), article(name))
                };
                let number = text.parse::<$type>().map_err(|_| invalid())?;
                // `parse` rounds a number that is too large to infinity.
                let overflows = !$is_finite(number) && text.bytes().any(|byte| byte.is_ascii_digit());
                if overflows { Err(invalid()) } else { Ok(number) }
            }
        }
    )*};
}

numbers! { f32 => f32::is_finite, f64 => f64::is_finite, i32 => |_| true, i64 => |_| true, u8 => |_| true }

/// The indefinite article before the name of a type as it is read out.
fn article(name: &str) -> &'static str {
    if name.starts_with('u') { "a" } else { "an" }
}

/// Text for an error message: the first characters if it is long, those of control escaped.
fn shortened(text: &str) -> String {
    const MOST: usize = 40;
    let rest = if text.chars().nth(MOST).is_some() { "..." } else { "" };
    text.chars().take(MOST).flat_map(char::escape_debug).chain(rest.chars()).collect()
}

/// A column of the dataset to be.
#[derive(Clone, Debug)]
struct Wanted {
    name: String,
    fields: Vec<Field>,
    /// Whether the column has an axis for its fields.
    matrix: bool,
    /// An empty gatherer of the right type.
    gather: fn(Vec<usize>) -> Box<dyn Gather>,
}

impl Default for Csv {
    fn default() -> Self {
        Self::new()
    }
}

impl Csv {
    /// A comma-separated table with a header line, of which no fields are wanted yet.
    pub fn new() -> Self {
        Self { header: true, delimiter: b',', wanted: Vec::new() }
    }

    /// The table has no header line: its first line is data, and fields are chosen by index.
    #[must_use]
    pub fn without_header(mut self) -> Self {
        self.header = false;
        self
    }

    /// The byte between fields.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// Wants a column `name` of shape `[n]` from one field.
    #[must_use]
    pub fn vector<T: Number>(self, name: &str, field: impl Into<Field>) -> Self {
        self.wants::<T>(name, vec![field.into()], false)
    }

    /// Wants a column `name` of shape `[n, k]` from `k` fields.
    #[must_use]
    pub fn matrix<T: Number>(self, name: &str, fields: impl IntoIterator<Item = impl Into<Field>>) -> Self {
        self.wants::<T>(name, fields.into_iter().map(Into::into).collect(), true)
    }

    fn wants<T: Number>(mut self, name: &str, fields: Vec<Field>, matrix: bool) -> Self {
        let gather =
            |indices| -> Box<dyn Gather> { Box::new(Gatherer::<T> { indices, numbers: Vec::new() }) };
        self.wanted.push(Wanted { name: name.to_owned(), fields, matrix, gather });
        self
    }

    /// Loads a CSV file, gzipped or not.
    ///
    /// # Errors
    /// If the file cannot be read, a field is not a number of the type wanted, a record has more or fewer fields
    /// than the first, or a field that is wanted does not exist.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Dataset, DatasetError> {
        with_file(path.as_ref(), |source| self.parse(source))
    }

    /// Reads CSV data, gzipped or not, that take at most `limit` bytes unpacked. `name` is the file of error
    /// messages.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn read(&self, reader: impl Read, name: &str, limit: u64) -> Result<Dataset, DatasetError> {
        with_reader(reader, name, limit, |source| self.parse(source))
    }

    fn parse(&self, source: &mut Source<'_>) -> Result<Dataset, DatasetError> {
        let file = source.file.clone();
        let mut reader = ReaderBuilder::new()
            .has_headers(self.header)
            .delimiter(self.delimiter)
            .from_reader(Lines::new(source));
        let first = reader.headers().cloned();
        let first = first.map_err(|error| failed(error, &mut reader, &file))?;
        let mut gatherers = Vec::with_capacity(self.wanted.len());
        for wanted in &self.wanted {
            let indices = wanted.fields.iter().map(|field| self.locate(field, &first, &file));
            gatherers.push((wanted.gather)(indices.collect::<Result<_, _>>()?));
        }
        let mut record = StringRecord::new();
        let mut count = 0;
        while reader.read_record(&mut record).map_err(|error| failed(error, &mut reader, &file))? {
            for gatherer in &mut gatherers {
                gatherer.add(&record).map_err(|problem| {
                    let line = last_line(&mut reader) - record.as_slice().matches('\n').count() as u64;
                    problem.locate(&file, line, &first, self.header)
                })?;
            }
            count += 1;
            last_line(&mut reader);
        }
        let columns = self.wanted.iter().zip(gatherers);
        Dataset::from_columns(columns.map(|(wanted, gatherer)| {
            let shape = [count, wanted.fields.len()];
            (wanted.name.clone(), gatherer.column(if wanted.matrix { &shape } else { &shape[..1] }))
        }))
    }

    /// The index of a field in every record.
    fn locate(&self, field: &Field, first: &StringRecord, file: &str) -> Result<usize, DatasetError> {
        let place = || Place { file: file.to_owned(), position: Position::Line(1) };
        match field {
            Field::Index(index) if *index < first.len() => Ok(*index),
            Field::Index(index) => Err(DatasetError::Malformed {
                place: place(),
                what: format!("no field {index}: the table has {} fields, counted from 0", first.len()),
                help: "choose an index in that range, or check the delimiter".to_owned(),
            }),
            Field::Name(name) if !self.header => Err(DatasetError::Malformed {
                place: place(),
                what: format!("no field `{name}`: the table is read without a header"),
                help: "choose the field by its index".to_owned(),
            }),
            Field::Name(name) => {
                let mut places = first.iter().enumerate().filter(|(_, header)| header.trim() == name);
                match (places.next(), places.next()) {
                    (Some((index, _)), None) => Ok(index),
                    (None, _) => Err(DatasetError::Malformed {
                        place: place(),
                        what: format!("no field `{name}`"),
                        help: format!(
                            "the header is `{}`",
                            shortened(&first.iter().collect::<Vec<_>>().join(","))
                        ),
                    }),
                    (Some(_), Some(_)) => Err(DatasetError::Malformed {
                        place: place(),
                        what: format!("two fields of the name `{name}`"),
                        help: "choose the field by its index".to_owned(),
                    }),
                }
            }
        }
    }
}

/// Collects the numbers of one column, whatever their type.
trait Gather {
    fn add(&mut self, record: &StringRecord) -> Result<(), Problem>;
    fn column(self: Box<Self>, shape: &[usize]) -> Column;
}

struct Gatherer<T> {
    indices: Vec<usize>,
    numbers: Vec<T>,
}

impl<T: Number> Gather for Gatherer<T> {
    fn add(&mut self, record: &StringRecord) -> Result<(), Problem> {
        let count = self.indices.len();
        let reserved = self.numbers.try_reserve(count);
        reserved.map_err(|_| Problem::OutOfMemory((self.numbers.len() + count) * size_of::<T>()))?;
        for &index in &self.indices {
            let text = record.get(index).unwrap_or_default().trim();
            let number = T::parse(text).map_err(|what| {
                let what = if text.is_empty() { format!("empty field, expected {}", T::DTYPE) } else { what };
                Problem::NotANumber { index, what }
            })?;
            self.numbers.push(number);
        }
        Ok(())
    }

    fn column(self: Box<Self>, shape: &[usize]) -> Column {
        let array: ArrayD<T> = Array::from_shape_vec(IxDyn(shape), self.numbers)
            .expect("each record adds as many numbers as there are fields");
        Column::from(array)
    }
}

/// What is wrong with a record.
enum Problem {
    NotANumber { index: usize, what: String },
    OutOfMemory(usize),
}

impl Problem {
    fn locate(self, file: &str, line: u64, first: &StringRecord, header: bool) -> DatasetError {
        match self {
            Self::OutOfMemory(bytes) => DatasetError::OutOfMemory { place: whole(file), bytes },
            Self::NotANumber { index, what } => {
                let name = if header { first.get(index).unwrap_or_default().trim() } else { "" };
                let help = if name.is_empty() {
                    "write a number there, or choose other fields".to_owned()
                } else {
                    format!("write a number there, or leave out the field `{}`", shortened(name))
                };
                let position = Position::Field { line, column: index + 1 };
                DatasetError::Malformed { place: Place { file: file.to_owned(), position }, what, help }
            }
        }
    }
}

/// A source that remembers where lines end in the data that the CSV parser has yet to take.
///
/// The lines that the parser itself reports are off after blank lines and where lines end in CR LF.
struct Lines<'a, 'r> {
    source: &'a mut Source<'r>,
    /// The offsets of line feeds, of those that have not been passed.
    ends: VecDeque<u64>,
    /// Bytes read.
    offset: u64,
    /// The last place that was asked for.
    place: u64,
    /// Line feeds before that place.
    passed: u64,
}

impl Read for Lines<'_, '_> {
    /// Fills the buffer: the parser only finds a byte order mark that arrives whole.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len() as u64;
        let mut rest = &mut *buffer;
        let read = io::copy(&mut self.source.take(length), &mut rest)? as usize;
        let feeds = buffer[..read].iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        self.ends.extend(feeds.map(|(at, _)| self.offset + at as u64));
        self.offset += read as u64;
        if self.record_is_too_long() { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(read) }
    }
}

impl<'a, 'r> Lines<'a, 'r> {
    fn new(source: &'a mut Source<'r>) -> Self {
        Self { source, ends: VecDeque::new(), offset: 0, place: 0, passed: 0 }
    }

    /// Whether the parser has taken more than a record may have since a place was last asked for.
    fn record_is_too_long(&self) -> bool {
        self.offset - self.place > MAX_RECORD
    }

    /// The line, counted from 1, of the byte at `offset`, which must not precede that of the last call.
    fn line(&mut self, offset: u64) -> u64 {
        self.place = offset;
        while self.ends.front().is_some_and(|end| *end < offset) {
            self.ends.pop_front();
            self.passed += 1;
        }
        self.passed + 1
    }
}

/// The line that the last record ended on.
fn last_line(reader: &mut Reader<Lines<'_, '_>>) -> u64 {
    let end = reader.position().byte();
    reader.get_mut().line(end.saturating_sub(1))
}

/// The error for one of the CSV parser.
fn failed(error: ::csv::Error, reader: &mut Reader<Lines<'_, '_>>, file: &str) -> DatasetError {
    let (what, help) = match error.into_kind() {
        ErrorKind::Io(_) if reader.get_ref().record_is_too_long() => (
            format!("a record of more than {MAX_RECORD} bytes"),
            "check that quotes are closed, and that the file is a table of numbers",
        ),
        ErrorKind::Io(error) => return reader.get_ref().source.failed(error),
        ErrorKind::UnequalLengths { expected_len, len, .. } => (
            format!("{len} fields where the first record has {expected_len}"),
            "give every record the same number of fields, quoted where they contain the delimiter",
        ),
        ErrorKind::Utf8 { err, .. } => {
            (format!("field {} is not UTF-8", err.field() + 1), "convert the file to UTF-8")
        }
        kind => (format!("invalid CSV: {kind:?}"), "check that the file is a table of numbers"),
    };
    let position = Position::Line(last_line(reader));
    DatasetError::Malformed { place: Place { file: file.to_owned(), position }, what, help: help.to_owned() }
}

#[cfg(test)]
mod tests {
    use ndarray::{arr1, array};

    use super::*;

    fn read(csv: &Csv, text: &str) -> Result<Dataset, DatasetError> {
        csv.read(text.as_bytes(), "a.csv", 1 << 16)
    }

    #[track_caller]
    fn rejects(csv: &Csv, text: &str, message: &str) {
        let error = read(csv, text).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
        assert!(error.contains("  = help: "), "{error}");
    }

    #[test]
    fn reads_fields_by_name_and_index() {
        let csv = Csv::new().matrix::<f64>("x", [Field::from("b"), 0.into()]).vector::<u8>("y", 2);
        let dataset = read(&csv, "a, b ,c\r\n1,2.5,3\n\n\"4\", -5e-1 ,6").unwrap();
        assert_eq!(dataset.get::<f64>("x").unwrap(), array![[2.5, 1.0], [-0.5, 4.0]].into_dyn());
        assert_eq!(dataset.get::<u8>("y").unwrap(), arr1(&[3, 6]).into_dyn());
    }

    #[test]
    fn reads_without_header_and_with_another_delimiter() {
        let csv = Csv::new().without_header().delimiter(b';').matrix::<i32>("x", 0..2);
        let dataset = read(&csv, "1;2\n3;4\n").unwrap();
        assert_eq!(dataset.get::<i32>("x").unwrap(), array![[1, 2], [3, 4]].into_dyn());
    }

    #[test]
    fn reads_no_records() {
        let csv = Csv::new().vector::<f32>("x", "a");
        assert_eq!(read(&csv, "a,b\n").unwrap().len(), 0);
    }

    #[test]
    fn locates_what_is_not_a_number() {
        let csv = Csv::new().vector::<f32>("x", "b").vector::<i32>("y", 0);
        rejects(&csv, "a,b\n1,2\n3,four\n", "`four` is not an f32\n --> a.csv: line 3, column 2");
        rejects(&csv, "a,b\n1,2\n\n3.5,4\n", "`3.5` is not an i32\n --> a.csv: line 4, column 1");
        rejects(&csv, "a,b\n1,\n", "empty field, expected f32\n --> a.csv: line 2, column 2");
        rejects(&csv, "a,b\n1,1e39\n", "`1e39` is not an f32");
        rejects(&csv, &format!("a,b\n1,{}\n", "z".repeat(1000)), "zzz...` is not");
        let csv = Csv::new().vector::<f32>("x", "a");
        assert!(read(&csv, "a\n-inf\nnan\n").is_ok());
    }

    #[test]
    fn counts_lines_as_an_editor_does() {
        let csv = Csv::new().vector::<f32>("x", "a");
        for (text, line) in [
            ("a\nz", 2),
            ("a\r\nz\r\n", 2),
            ("\u{feff}a\n1\nz\n", 3),
            ("a\r\n1\r\n\r\n\r\nz\r\n", 5),
            ("a,b\n1,\"two\nlines\"\nz,\"two\nlines\"\n", 4),
        ] {
            rejects(&csv, text, &format!("`z` is not an f32\n --> a.csv: line {line}, column 1"));
        }
        rejects(&csv, "a,b\r\n1,2\r\n\r\n3\r\n", "--> a.csv: line 4\n");
        let long = format!("a\n{}z\n", "1\n".repeat(100_000));
        let error = csv.read(long.as_bytes(), "a.csv", 1 << 20).unwrap_err().to_string();
        assert!(error.contains("line 100002"), "{error}");
    }

    #[test]
    fn locates_bad_records_and_fields() {
        let csv = Csv::new().vector::<f32>("x", "a");
        rejects(&csv, "a,b\n1,2\n3\n", "1 fields where the first record has 2\n --> a.csv: line 3");
        rejects(&csv, "b,c\n1,2\n", "no field `a`\n --> a.csv: line 1\n  = help: the header is `b,c`");
        rejects(&csv, "a,a\n1,2\n", "two fields of the name `a`");
        rejects(&csv, "", "no field `a`");
        rejects(&csv.clone().without_header(), "1\n", "read without a header");
        rejects(&Csv::new().vector::<f32>("x", 2), "a,b\n1,2\n", "no field 2: the table has 2 fields");
        let error = csv.read(&b"a\n1\n\xff\n"[..], "a.csv", 100).unwrap_err().to_string();
        assert!(error.contains("field 1 is not UTF-8\n --> a.csv: line 3"), "{error}");
    }

    #[test]
    fn records_have_an_end() {
        let csv = Csv::new().vector::<f32>("x", "a");
        for forever in [",", ",\"\n\"", "\n"] {
            let text = format!("a\n{}", forever.repeat(1 + MAX_RECORD as usize));
            let error = csv.read(text.as_bytes(), "a.csv", 1 << 30).unwrap_err().to_string();
            assert!(error.starts_with("a record of more than 16777216 bytes\n --> a.csv: line "), "{error}");
        }
    }

    #[test]
    fn the_limit_holds() {
        let csv = Csv::new().vector::<f32>("x", "a");
        let error = csv.read(io::repeat(b'1'), "a.csv", 1 << 16);
        assert!(matches!(error, Err(DatasetError::TooLarge { limit: 65536, .. })));
    }
}
