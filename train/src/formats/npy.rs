//! NPY and NPZ: the formats of NumPy's `save`, `savez` and `savez_compressed`.
//!
//! An NPY file is a magic number, a version, a header written as a Python dictionary with the keys `descr`
//! (element type), `fortran_order` and `shape`, and the elements. An NPZ file is a ZIP archive of NPY files.
//! Bools, floats of 32 and 64 bits and integers of 8 to 64 bits are read, in either byte order and either order
//! of axes; integers that [`Column`] does not have widen.

use std::collections::HashSet;
use std::io::{Read, Seek};
use std::path::Path;

use super::{Axes, ByteOrder, Kind, MAX_RANK, Source, open, with_file, with_reader, zip};
use crate::column::Column;
use crate::error::DatasetError;

/// The longest header that is read, in bytes. NumPy itself stops at 10,000.
const MAX_HEADER: u32 = 1 << 16;

/// Loads an NPY file.
///
/// # Errors
/// If the file cannot be read, is not NPY, holds elements that are not numbers or bools, or is longer or shorter
/// than its header says.
///
/// ```no_run
/// use bessemer_train::formats::npy;
///
/// let features = npy::load("features.npy")?;
/// println!("{} {:?}", features.dtype(), features.shape());
/// # Ok::<(), bessemer_train::DatasetError>(())
/// ```
pub fn load(path: impl AsRef<Path>) -> Result<Column, DatasetError> {
    with_file(path.as_ref(), parse)
}

/// Reads NPY data of at most `limit` bytes. `name` is the file of error messages.
///
/// # Errors
/// As [`load`].
pub fn read(reader: impl Read, name: &str, limit: u64) -> Result<Column, DatasetError> {
    with_reader(reader, name, limit, parse)
}

/// Loads the arrays of an NPZ file with their names, in the order of the archive.
///
/// # Errors
/// If the file cannot be read, is not a ZIP archive, has a member that is not a valid NPY file or two of the same
/// name, or if the arrays together take more than [`DEFAULT_LIMIT`](super::DEFAULT_LIMIT) bytes.
///
/// ```no_run
/// use bessemer_train::{Dataset, formats::npy};
///
/// let dataset = Dataset::from_columns(npy::load_npz("train.npz")?)?;
/// # Ok::<(), bessemer_train::DatasetError>(())
/// ```
pub fn load_npz(path: impl AsRef<Path>) -> Result<Vec<(String, Column)>, DatasetError> {
    let path = path.as_ref();
    let (file, limit) = open(path)?;
    read_npz(file, &path.display().to_string(), limit)
}

/// Reads NPZ data whose arrays take at most `limit` bytes together. `name` is the file of error messages.
///
/// # Errors
/// As [`load_npz`].
pub fn read_npz(
    mut reader: impl Read + Seek,
    name: &str,
    limit: u64,
) -> Result<Vec<(String, Column)>, DatasetError> {
    let mut names = HashSet::new();
    let mut arrays = Vec::new();
    let mut left = limit;
    for member in zip::members(&mut reader, name)? {
        let array = member.name.strip_suffix(".npy").unwrap_or(&member.name).to_owned();
        if !names.insert(array.clone()) {
            return Err(member.malformed(
                name,
                "two arrays of the same name",
                "save each under its own name",
            ));
        }
        let (column, taken) = zip::read_member(&mut reader, &member, name, left, parse)?;
        left -= taken;
        arrays.push((array, column));
    }
    Ok(arrays)
}

fn parse(source: &mut Source<'_>) -> Result<Column, DatasetError> {
    let magic: [u8; 6] = source.read_header()?;
    if magic != *b"\x93NUMPY" {
        return Err(source.malformed(
            0,
            "not an NPY file: the magic number is missing",
            "save it with `numpy.save`",
        ));
    }
    let [major, _minor] = source.read_header()?;
    let length = match major {
        1 => u32::from(u16::from_le_bytes(source.read_header()?)),
        2 | 3 => u32::from_le_bytes(source.read_header()?),
        _ => {
            return Err(source.malformed(
                6,
                format!("unknown version {major} of the NPY format"),
                "versions 1 to 3 can be read",
            ));
        }
    };
    if length > MAX_HEADER {
        return Err(source.malformed(
            8,
            format!("a header of {length} bytes exceeds the limit of {MAX_HEADER}"),
            "save a plain array: structured ones cannot be read",
        ));
    }
    let start = source.offset;
    let mut text = vec![0; length as usize];
    if source.read_some(&mut text)? < text.len() {
        let help = "fetch the file again, it was cut short";
        return Err(source.malformed(source.offset, "the data end within the header", help));
    }
    let mut parser = HeaderParser { text: &text, at: 0 };
    let header =
        parser.header().map_err(|(what, help)| source.malformed(start + parser.at as u64, what, help))?;
    source.read_array(header.kind, header.order, header.axes, &header.shape)
}

struct Header {
    kind: Kind,
    order: ByteOrder,
    axes: Axes,
    shape: Vec<usize>,
}

/// What is wrong with a header at the parser's place, and how to mend it.
type HeaderError = (String, &'static str);

const SAVE_AGAIN: &str = "save the array again with `numpy.save`";

/// Parses the one form of dictionary that headers have: string keys; strings, bools and tuples of numbers.
struct HeaderParser<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> HeaderParser<'a> {
    fn header(&mut self) -> Result<Header, HeaderError> {
        let (mut descr, mut axes, mut shape) = (None, None, None);
        self.expect(b'{')?;
        while !self.accept(b'}') {
            let start = self.at;
            let key = self.string()?;
            self.expect(b':')?;
            let again = match key {
                b"descr" => descr.replace(self.descr()?).is_some(),
                b"fortran_order" => axes.replace(self.axes()?).is_some(),
                b"shape" => shape.replace(self.shape()?).is_some(),
                _ => {
                    self.at = start;
                    return Err((format!("unknown key `{}`", key.escape_ascii()), SAVE_AGAIN));
                }
            };
            if again {
                self.at = start;
                return Err((format!("the key `{}` occurs twice", key.escape_ascii()), SAVE_AGAIN));
            }
            if !self.accept(b',') {
                self.expect(b'}')?;
                break;
            }
        }
        self.skip_space();
        if self.at < self.text.len() {
            return Err(("the header goes on after its dictionary".to_owned(), SAVE_AGAIN));
        }
        let missing = |key| (format!("the key `{key}` is missing"), SAVE_AGAIN);
        let (kind, order) = descr.ok_or_else(|| missing("descr"))?;
        let axes = axes.ok_or_else(|| missing("fortran_order"))?;
        let shape = shape.ok_or_else(|| missing("shape"))?;
        Ok(Header { kind, order, axes, shape })
    }

    fn skip_space(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn accept(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), HeaderError> {
        if self.accept(byte) {
            return Ok(());
        }
        Err((format!("expected `{}` in the header", byte as char), SAVE_AGAIN))
    }

    fn string(&mut self) -> Result<&'a [u8], HeaderError> {
        let quote = if self.accept(b'"') { b'"' } else { b'\'' };
        if quote == b'\'' {
            self.expect(quote)?;
        }
        let rest = &self.text[self.at..];
        let Some(length) = rest.iter().position(|byte| *byte == quote) else {
            return Err(("a string without end".to_owned(), SAVE_AGAIN));
        };
        self.at += length + 1;
        Ok(&rest[..length])
    }

    fn descr(&mut self) -> Result<(Kind, ByteOrder), HeaderError> {
        const HELP: &str = "save bools, ints of 8 to 64 bits, float32 or float64: `array.astype('float32')`";
        self.skip_space();
        let start = self.at;
        if self.text.get(start) == Some(&b'[') {
            return Err(("the elements are structures".to_owned(), HELP));
        }
        let text = self.string()?;
        let (order, name) = match text {
            [b'>', name @ ..] => (ByteOrder::Big, name),
            [b'<' | b'|' | b'=', name @ ..] => (ByteOrder::Little, name),
            name => (ByteOrder::Little, name),
        };
        let kind = match name {
            b"b1" => Kind::Bool,
            b"u1" => Kind::U8,
            b"i1" => Kind::I8,
            b"u2" => Kind::U16,
            b"i2" => Kind::I16,
            b"u4" => Kind::U32,
            b"i4" => Kind::I32,
            b"u8" => Kind::U64,
            b"i8" => Kind::I64,
            b"f4" => Kind::F32,
            b"f8" => Kind::F64,
            _ => {
                self.at = start;
                return Err((format!("unknown element type `{}`", text.escape_ascii()), HELP));
            }
        };
        Ok((kind, order))
    }

    fn axes(&mut self) -> Result<Axes, HeaderError> {
        self.skip_space();
        let rest = &self.text[self.at..];
        for (word, axes) in [("False", Axes::LastFastest), ("True", Axes::FirstFastest)] {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(axes);
            }
        }
        Err(("expected `True` or `False` in the header".to_owned(), SAVE_AGAIN))
    }

    fn shape(&mut self) -> Result<Vec<usize>, HeaderError> {
        let mut shape = Vec::new();
        self.expect(b'(')?;
        while !self.accept(b')') {
            if shape.len() == MAX_RANK {
                return Err((format!("more than {MAX_RANK} axes"), "reshape the array before saving it"));
            }
            shape.push(self.number()?);
            // Python 2 wrote `10L`.
            self.accept(b'L');
            if !self.accept(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(shape)
    }

    fn number(&mut self) -> Result<usize, HeaderError> {
        self.skip_space();
        let rest = &self.text[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = std::str::from_utf8(&rest[..digits]).ok().and_then(|digits| digits.parse().ok());
        let Some(number) = number else {
            return Err(("expected an extent of 0 to 2^64-1 in the header".to_owned(), SAVE_AGAIN));
        };
        self.at += digits;
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use ndarray::{Array, ShapeBuilder, arr0, arr1, array};
    use ndarray_npy::{NpzWriter, WritableElement, WriteNpyExt};

    use super::*;
    use crate::column::Element;
    use crate::error::Position;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Column, DatasetError> {
        read(bytes, "a.npy", 1 << 20)
    }

    #[track_caller]
    fn rejects(header: &str, position: u64, what: &str) {
        let error = parse(&npy(header, &[0; 8])).unwrap_err();
        assert_eq!(error.place().unwrap().position, Position::Byte(position), "{error}");
        assert!(error.to_string().contains(what), "{error}");
        assert!(error.help().is_some());
    }

    fn written<T: WriteNpyExt>(array: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        array.write_npy(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn reads_what_another_library_writes() {
        fn same<T: Element + WritableElement>(elements: [T; 2]) {
            let array = arr1(&elements);
            assert_eq!(parse(&written(&array)).unwrap(), array.into());
        }
        same([true, false]);
        same([0_u8, 255]);
        same([i32::MIN, i32::MAX]);
        same([i64::MIN, i64::MAX]);
        same([f32::MIN_POSITIVE, -1.5]);
        same([f64::MIN_POSITIVE, -1.5]);
    }

    #[test]
    fn widens_what_columns_do_not_have() {
        assert_eq!(parse(&written(&arr1(&[i8::MIN]))).unwrap(), arr1(&[-128]).into());
        assert_eq!(parse(&written(&arr1(&[i16::MIN]))).unwrap(), arr1(&[-32768]).into());
        assert_eq!(parse(&written(&arr1(&[u16::MAX]))).unwrap(), arr1(&[65535]).into());
        assert_eq!(parse(&written(&arr1(&[u32::MAX]))).unwrap(), arr1(&[0xffff_ffff_i64]).into());
        assert_eq!(parse(&written(&arr1(&[7_u64]))).unwrap(), arr1(&[7_i64]).into());
        let error = parse(&written(&arr1(&[7, u64::MAX]))).unwrap_err();
        assert!(error.to_string().contains("a.npy: byte 136"), "{error}");
    }

    #[test]
    fn reads_every_shape_and_order() {
        let rows = array![[1, 2, 3], [4, 5, 6]];
        assert_eq!(parse(&written(&rows)).unwrap(), rows.clone().into());
        let columns = Array::from_shape_fn((2, 3).f(), |at| rows[at]);
        assert_eq!(parse(&written(&columns)).unwrap(), rows.into());
        assert_eq!(parse(&written(&arr0(5))).unwrap().shape(), [0_usize; 0]);
        let big = npy("{'descr': '>i2', 'fortran_order': False, 'shape': (2L,)}\n", &[0, 1, 1, 0]);
        assert_eq!(parse(&big).unwrap(), arr1(&[1, 256]).into());
    }

    #[test]
    fn rejects_malformed_headers() {
        rejects("", 10, "expected `{`");
        rejects("{'descr': '<f4', 'fortran_order': False}", 50, "the key `shape` is missing");
        rejects("{'descr': '<f2', 'fortran_order': False, 'shape': ()}", 20, "unknown element type `<f2`");
        rejects("{'descr': [('a', '<f4')]}", 20, "the elements are structures");
        rejects("{'descr': '<f4", 21, "a string without end");
        rejects("{'fortran_order': Maybe}", 28, "expected `True` or `False`");
        rejects("{'shape': (-1,)}", 21, "expected an extent");
        rejects("{'shape': (99999999999999999999,)}", 21, "expected an extent");
        rejects("{'shape': (2 2)}", 23, "expected `)`");
        rejects("{'shape': (1,), 'shape': (1,)}", 26, "the key `shape` occurs twice");
        rejects("{'sh\u{e4}pe': (1,)}", 11, "unknown key `sh\\xc3\\xa4pe`");
        rejects(&format!("{{'shape': ({})}}", "1,".repeat(33)), 85, "more than 32 axes");
        rejects(
            "{'descr': '<f8', 'fortran_order': False, 'shape': ()} x",
            64,
            "goes on after its dictionary",
        );
    }

    #[test]
    fn rejects_lies_about_sizes() {
        rejects("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", 73, "the data end after 73");
        rejects("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", 69, "data go on");
        let huge = "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4294967296, 4294967296)}";
        rejects(huge, 10 + huge.len() as u64, "overflows");
        let long = b"\x93NUMPY\x02\x00\xff\xff\xff\xff{";
        assert!(parse(long).unwrap_err().to_string().contains("a header of 4294967295 bytes"));
        let error =
            parse(&npy("{'descr': '|b1', 'fortran_order': False, 'shape': (2,)}", &[1, 2])).unwrap_err();
        assert_eq!(error.place().unwrap().position, Position::Byte(66));
    }

    #[test]
    fn reads_archives_stored_and_compressed() {
        for writer in [NpzWriter::new, NpzWriter::new_compressed] {
            let mut npz = writer(Cursor::new(Vec::new()));
            let x = Array::from_shape_fn((50, 4), |(row, column)| row as f32 - column as f32);
            npz.add_array("x", &x).unwrap();
            npz.add_array("y", &arr1(&[1_i64, 2])).unwrap();
            let bytes = npz.finish().unwrap().into_inner();

            let arrays = read_npz(Cursor::new(&bytes), "a.npz", 1 << 20).unwrap();
            assert_eq!(arrays, [("x".to_owned(), x.into()), ("y".to_owned(), arr1(&[1_i64, 2]).into())]);
            // 928 bytes for x, 144 for y.
            assert!(read_npz(Cursor::new(&bytes), "a.npz", 1072).is_ok());
            let error = read_npz(Cursor::new(&bytes), "a.npz", 1071).unwrap_err();
            assert!(matches!(error, DatasetError::TooLarge { .. }));
            assert!(error.to_string().contains("a.npz (y.npy)"), "{error}");
        }
    }

    #[test]
    fn rejects_two_arrays_of_one_name() {
        let mut npz = NpzWriter::new(Cursor::new(Vec::new()));
        npz.add_array("x", &arr1(&[1])).unwrap();
        npz.add_array("x.npy", &arr1(&[1])).unwrap();
        npz.add_array("y", &arr1(&[1])).unwrap();
        let mut bytes = npz.finish().unwrap().into_inner();
        for at in 0..bytes.len() - 5 {
            if &bytes[at..at + 5] == b"y.npy" {
                bytes[at] = b'x';
            }
        }
        let error = read_npz(Cursor::new(&bytes), "a.npz", 1 << 20).unwrap_err();
        assert!(error.to_string().contains("two arrays of the same name"), "{error}");
    }
}
