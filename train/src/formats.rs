//! Readers of the file formats that datasets come in.
//!
//! Bytes from outside are taken to be hostile. No reader panics on them, and none allocates on the word of a
//! header: memory grows with the data that have arrived, to at most about twice their size, and stops at a limit.
//! That is why NPY headers and the directory of NPZ archives are read here and not by a library: those at
//! hand allocate what the header asks for.
//!
//! The `load` functions open a file by its path, unpack it if it is gzipped, and allow it [`DEFAULT_LIMIT`] bytes
//! or its own length, whichever is more. The `read` functions take any reader, a name for it in errors, and
//! the limit.

pub mod csv;
pub mod idx;
pub mod npy;
mod zip;

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use ndarray::{ArrayD, IxDyn, ShapeBuilder};

use crate::column::{Column, Element};
use crate::error::{DatasetError, Place, Position};

/// How many bytes a `load` function takes from a compressed file, unless the file itself is longer: 1 GiB.
pub const DEFAULT_LIMIT: u64 = 1 << 30;

/// The most axes that a reader accepts.
pub const MAX_RANK: usize = 32;

/// Outside bytes being read: counted, so that errors can point at them, and limited.
struct Source<'r> {
    reader: &'r mut dyn Read,
    file: String,
    offset: u64,
    limit: u64,
    unpacked: bool,
}

/// Opens the file at `path` and hands its bytes, unpacked if they are gzipped, to `read`.
fn with_file<T>(
    path: &Path,
    read: impl FnOnce(&mut Source<'_>) -> Result<T, DatasetError>,
) -> Result<T, DatasetError> {
    let (file, limit) = open(path)?;
    with_reader(file, &path.display().to_string(), limit, read)
}

/// Opens a file and says how many bytes a `load` function may take from it.
fn open(path: &Path) -> Result<(File, u64), DatasetError> {
    let opened = File::open(path).and_then(|file| {
        let length = file.metadata()?.len();
        Ok((file, length.max(DEFAULT_LIMIT)))
    });
    opened.map_err(|error| DatasetError::Io { place: whole(&path.display().to_string()), error })
}

/// Hands the bytes of `reader`, unpacked if they are gzipped, to `read`.
fn with_reader<T>(
    mut reader: impl Read,
    name: &str,
    limit: u64,
    read: impl FnOnce(&mut Source<'_>) -> Result<T, DatasetError>,
) -> Result<T, DatasetError> {
    const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
    let mut start = Vec::with_capacity(GZIP_MAGIC.len());
    (&mut reader)
        .take(GZIP_MAGIC.len() as u64)
        .read_to_end(&mut start)
        .map_err(|error| DatasetError::Io { place: whole(name), error })?;
    let gzipped = start == GZIP_MAGIC;
    let mut plain = Cursor::new(start).chain(reader);
    if gzipped {
        let mut unpacked = MultiGzDecoder::new(plain);
        read(&mut Source { reader: &mut unpacked, file: name.to_owned(), offset: 0, limit, unpacked: true })
    } else {
        read(&mut Source { reader: &mut plain, file: name.to_owned(), offset: 0, limit, unpacked: false })
    }
}

fn whole(file: &str) -> Place {
    Place { file: file.to_owned(), position: Position::Whole }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.offset += read as u64;
        if self.offset > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(read)
    }
}

impl Source<'_> {
    /// The place of byte `offset`.
    fn place(&self, offset: u64) -> Place {
        let position = if self.unpacked { Position::UnpackedByte(offset) } else { Position::Byte(offset) };
        Place { file: self.file.clone(), position }
    }

    fn malformed(&self, offset: u64, what: impl Into<String>, help: impl Into<String>) -> DatasetError {
        DatasetError::Malformed { place: self.place(offset), what: what.into(), help: help.into() }
    }

    /// The error for what went wrong while reading at the current offset.
    fn failed(&self, error: io::Error) -> DatasetError {
        match error.kind() {
            io::ErrorKind::FileTooLarge => self.too_large(),
            io::ErrorKind::UnexpectedEof if self.unpacked => self.malformed(
                self.offset,
                "the compressed data end early",
                "fetch the file again, it was cut short",
            ),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput if self.unpacked => self.malformed(
                self.offset,
                format!("the compressed data are damaged: {error}"),
                "fetch the file again, or unpack it with a tool that repairs it",
            ),
            _ => DatasetError::Io { place: self.place(self.offset), error },
        }
    }

    fn too_large(&self) -> DatasetError {
        DatasetError::TooLarge { place: whole(&self.file), limit: self.limit }
    }

    /// Reads up to `buffer.len()` bytes; fewer only where the data end.
    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, DatasetError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(filled)
    }

    /// Reads `N` bytes of a header.
    fn read_header<const N: usize>(&mut self) -> Result<[u8; N], DatasetError> {
        let mut bytes = [0; N];
        if self.read_some(&mut bytes)? < N {
            return Err(self.malformed(
                self.offset,
                "the data end within the header",
                "fetch the file again, it was cut short",
            ));
        }
        Ok(bytes)
    }

    /// Reads `count` elements of `N` bytes each, as `decode` makes them out.
    fn read_elements<T, const N: usize>(
        &mut self,
        count: usize,
        decode: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, DatasetError> {
        const CHUNK: usize = 1 << 16;
        let promised = self.offset + (count * N) as u64;
        if promised > self.limit {
            return Err(self.too_large());
        }
        let mut chunk = vec![0; CHUNK.min(count * N)];
        let mut elements = Vec::new();
        while elements.len() < count {
            let wanted = CHUNK.min((count - elements.len()) * N);
            let read = self.read_some(&mut chunk[..wanted])?;
            if read < wanted {
                return Err(self.malformed(
                    self.offset,
                    format!("the header promises {promised} bytes, the data end after {}", self.offset),
                    "fetch the file again, it was cut short",
                ));
            }
            // Twice what has arrived, but no more than the header promised.
            if elements.capacity() - elements.len() < wanted / N {
                let more = (wanted / N).max(elements.len()).min(count - elements.len());
                elements.try_reserve_exact(more).map_err(|_| DatasetError::OutOfMemory {
                    place: whole(&self.file),
                    bytes: (elements.len() + more) * size_of::<T>(),
                })?;
            }
            elements.extend(chunk[..wanted].as_chunks::<N>().0.iter().map(|bytes| decode(*bytes)));
        }
        Ok(elements)
    }

    /// Checks that the data end here.
    fn expect_end(&mut self) -> Result<(), DatasetError> {
        let end = self.offset;
        if self.read_some(&mut [0])? > 0 {
            return Err(self.malformed(
                end,
                "data go on after the last element that the header promises",
                "check that the file is complete and of this format; cut it here if the rest is padding",
            ));
        }
        Ok(())
    }

    /// Reads the elements of an array and checks that the data end with them.
    ///
    /// Types that a column does not have widen to one that holds all their values; of u64, which no type
    /// does, values from 2^63 are an error.
    fn read_array(
        &mut self,
        kind: Kind,
        order: ByteOrder,
        axes: Axes,
        shape: &[usize],
    ) -> Result<Column, DatasetError> {
        let start = self.offset;
        let Some(count) = count(shape, kind.size()) else {
            return Err(self.malformed(
                start,
                format!("invalid shape {shape:?}: the size of such an array overflows"),
                "check that the file is of this format",
            ));
        };
        /// Reads elements of one type in either byte order and makes a column of them.
        macro_rules! read {
            ($type:ty $(as $wide:ty)?) => {{
                let elements = match order {
                    ByteOrder::Big => self.read_elements(count, |b| $(<$wide>::from)?(<$type>::from_be_bytes(b)))?,
                    ByteOrder::Little => self.read_elements(count, |b| $(<$wide>::from)?(<$type>::from_le_bytes(b)))?,
                };
                self.array(axes, shape, elements)?
            }};
        }
        let column = match kind {
            Kind::U8 => read!(u8),
            Kind::I8 => read!(i8 as i32),
            Kind::I16 => read!(i16 as i32),
            Kind::U16 => read!(u16 as i32),
            Kind::I32 => read!(i32),
            Kind::U32 => read!(u32 as i64),
            Kind::I64 => read!(i64),
            Kind::F32 => read!(f32),
            Kind::F64 => read!(f64),
            Kind::U64 => {
                // The bits of a value from 2^63 are those of a negative i64.
                let column = read!(i64);
                if let Some(at) = first(&column, |value: &i64| *value < 0) {
                    return Err(self.malformed(
                        start + 8 * at as u64,
                        "an unsigned element exceeds the largest i64",
                        "store the array as int64 or float64",
                    ));
                }
                column
            }
            Kind::Bool => {
                let column = read!(u8);
                if let Some(at) = first(&column, |value: &u8| *value > 1) {
                    return Err(self.malformed(
                        start + at as u64,
                        "invalid bool: the byte is neither 0 nor 1",
                        "store the array as uint8",
                    ));
                }
                column
                    .into_array::<u8>()
                    .map_or_else(|other| other, |bytes| bytes.mapv(|byte| byte == 1).into())
            }
        };
        self.expect_end()?;
        Ok(column)
    }

    fn array<T: Element>(
        &self,
        axes: Axes,
        shape: &[usize],
        elements: Vec<T>,
    ) -> Result<Column, DatasetError> {
        let fortran = axes == Axes::FirstFastest;
        let array = ArrayD::from_shape_vec(IxDyn(shape).set_f(fortran), elements).map_err(|error| {
            self.malformed(0, format!("invalid shape {shape:?}: {error}"), "check the header")
        })?;
        Ok(Column::from(array))
    }
}

/// The element count of an array, if its size in bytes can be that of an allocation.
///
/// Extents of 0 do not hide an overflow of the others: `ndarray` takes strides from them all.
fn count(shape: &[usize], size: usize) -> Option<usize> {
    let nonzero = shape.iter().filter(|extent| **extent != 0);
    let bytes = nonzero.copied().try_fold(size.max(8), usize::checked_mul)?;
    let fits = isize::try_from(bytes).is_ok();
    fits.then(|| shape.iter().product())
}

/// The place among the elements of a column, in memory order, of the first that is `wrong`.
fn first<T: Element>(column: &Column, wrong: impl Fn(&T) -> bool) -> Option<usize> {
    column.as_array::<T>()?.as_slice_memory_order()?.iter().position(wrong)
}

/// The element types of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl Kind {
    /// Bytes of an element.
    fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }
}

/// The order of the bytes in an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ByteOrder {
    Big,
    Little,
}

/// The order of the elements in an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axes {
    /// Row-major, as in C.
    LastFastest,
    /// Column-major, as in Fortran.
    FirstFastest,
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn count_refuses_overflow() {
        assert_eq!(count(&[2, 3], 4), Some(6));
        assert_eq!(count(&[], 4), Some(1));
        assert_eq!(count(&[0, 5], 8), Some(0));
        assert_eq!(count(&[usize::MAX, 2], 1), None);
        assert_eq!(count(&[0, usize::MAX, 2], 1), None);
        assert_eq!(count(&[usize::MAX / 2], 1), None);
    }

    #[test]
    fn memory_follows_the_data_not_the_header() {
        // Several chunks: what the header promises could not be allocated.
        let error = with_reader(&[7; 300_000][..], "a", u64::MAX, |source| {
            source.read_elements(1 << 60, |[byte]: [u8; 1]| byte)
        });
        let error = error.unwrap_err();
        assert_eq!(error.place().unwrap().position, Position::Byte(300_000));
        assert!(error.to_string().contains("the data end after 300000"), "{error}");
    }

    #[test]
    fn the_limit_holds_for_promises_and_for_data() {
        let error = with_reader(io::repeat(7), "a", 100, |s| s.read_elements(101, |[byte]: [u8; 1]| byte));
        assert!(matches!(error, Err(DatasetError::TooLarge { limit: 100, .. })));
        let error = with_reader(io::repeat(7), "a", 100, |s| {
            s.read_to_end(&mut Vec::new()).map_err(|error| s.failed(error))
        });
        assert!(matches!(error, Err(DatasetError::TooLarge { limit: 100, .. })));
    }

    #[test]
    fn gzip_is_unpacked_and_its_damage_reported() {
        let packed = gzip(b"some bytes");
        let all = |bytes: &[u8]| {
            with_reader(bytes, "a.gz", 100, |source| {
                let read = source.read_elements(10, |[byte]: [u8; 1]| byte)?;
                source.expect_end().map(|()| read)
            })
        };
        assert_eq!(all(&packed).unwrap(), b"some bytes");

        let cut = all(&packed[..packed.len() - 3]).unwrap_err();
        assert_eq!(cut.place().unwrap().position, Position::UnpackedByte(10));
        assert!(cut.to_string().contains("end early"), "{cut}");

        let mut flipped = packed.clone();
        let checksum = flipped.len() - 8;
        flipped[checksum] ^= 1;
        assert!(all(&flipped).unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = with_file(Path::new("no/such/file"), |_| Ok(())).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("cannot read the file"), "{text}");
        assert!(text.contains("\n --> no/such/file\n  = help: "), "{text}");
    }
}
