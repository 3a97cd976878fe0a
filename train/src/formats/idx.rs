//! IDX: the format of MNIST and its relatives.
//!
//! A file is the bytes `0 0 TYPE RANK`, the extent of each axis as a big-endian u32, and the elements in
//! row-major order, big-endian. Types: 0x08 u8, 0x09 i8, 0x0b i16, 0x0c i32, 0x0d f32, 0x0e f64; i8 and i16 widen
//! to i32.

use std::io::Read;
use std::path::Path;

use super::{Axes, ByteOrder, Kind, MAX_RANK, Source, with_file, with_reader};
use crate::column::Column;
use crate::error::DatasetError;

/// Loads an IDX file, gzipped or not.
///
/// # Errors
/// If the file cannot be read, is not IDX, is longer or shorter than its header says, or unpacks to more than
/// [`DEFAULT_LIMIT`](super::DEFAULT_LIMIT) bytes.
///
/// ```
/// use bessemer_train::formats::idx;
///
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/mnist/t10k-labels-idx1-ubyte.gz");
/// let labels = idx::load(path)?;
/// assert_eq!(labels.shape(), [10_000]);
/// assert_eq!(labels.as_array::<u8>().unwrap()[0], 7);
/// # Ok::<(), bessemer_train::DatasetError>(())
/// ```
pub fn load(path: impl AsRef<Path>) -> Result<Column, DatasetError> {
    with_file(path.as_ref(), parse)
}

/// Reads IDX data, gzipped or not, that take at most `limit` bytes unpacked. `name` is the file of error messages.
///
/// # Errors
/// As [`load`].
pub fn read(reader: impl Read, name: &str, limit: u64) -> Result<Column, DatasetError> {
    with_reader(reader, name, limit, parse)
}

fn parse(source: &mut Source<'_>) -> Result<Column, DatasetError> {
    let [zero0, zero1, code, rank] = source.read_header()?;
    if [zero0, zero1] != [0, 0] {
        return Err(source.malformed(
            0,
            format!("not an IDX file: it starts with the bytes {zero0:#04x} {zero1:#04x}, not 0x00 0x00"),
            "check that the file is IDX, plain or gzipped",
        ));
    }
    let kind = match code {
        0x08 => Kind::U8,
        0x09 => Kind::I8,
        0x0b => Kind::I16,
        0x0c => Kind::I32,
        0x0d => Kind::F32,
        0x0e => Kind::F64,
        _ => {
            return Err(source.malformed(
                2,
                format!("unknown element type {code:#04x}"),
                "the types of IDX are 0x08 u8, 0x09 i8, 0x0b i16, 0x0c i32, 0x0d f32 and 0x0e f64",
            ));
        }
    };
    let rank = usize::from(rank);
    if !(1..=MAX_RANK).contains(&rank) {
        return Err(source.malformed(
            3,
            format!("invalid rank {rank}"),
            format!("arrays of 1 to {MAX_RANK} axes can be read"),
        ));
    }
    let mut shape = [0; MAX_RANK];
    for extent in &mut shape[..rank] {
        *extent = u32::from_be_bytes(source.read_header()?) as usize;
    }
    source.read_array(kind, ByteOrder::Big, Axes::LastFastest, &shape[..rank])
}

#[cfg(test)]
mod tests {
    use ndarray::{arr1, array};

    use super::*;
    use crate::error::Position;

    fn idx(code: u8, shape: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, code, shape.len() as u8];
        bytes.extend(shape.iter().flat_map(|extent| extent.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Column, DatasetError> {
        read(bytes, "a.idx", 1 << 20)
    }

    #[track_caller]
    fn rejects(bytes: &[u8], position: u64, what: &str) {
        let error = parse(bytes).unwrap_err();
        assert_eq!(error.place().unwrap().position, Position::Byte(position), "{error}");
        assert!(error.to_string().contains(what), "{error}");
        assert!(error.help().is_some());
    }

    #[test]
    fn reads_every_element_type() {
        let two = |code, data: &[u8]| parse(&idx(code, &[2], data)).unwrap();
        assert_eq!(two(0x08, &[1, 255]), arr1(&[1_u8, 255]).into());
        assert_eq!(two(0x09, &[1, 255]), arr1(&[1, -1]).into());
        assert_eq!(two(0x0b, &[1, 0, 255, 254]), arr1(&[256, -2]).into());
        assert_eq!(two(0x0c, &[0, 0, 1, 0, 255, 255, 255, 254]), arr1(&[256, -2]).into());
        let floats: Vec<u8> = [0.5_f32, -2.0].iter().flat_map(|value| value.to_be_bytes()).collect();
        assert_eq!(two(0x0d, &floats), arr1(&[0.5_f32, -2.0]).into());
        let doubles: Vec<u8> = [0.1_f64, -2.0].iter().flat_map(|value| value.to_be_bytes()).collect();
        assert_eq!(two(0x0e, &doubles), arr1(&[0.1_f64, -2.0]).into());
    }

    #[test]
    fn reads_axes_in_row_major_order() {
        let column = parse(&idx(0x08, &[2, 3], &[1, 2, 3, 4, 5, 6])).unwrap();
        assert_eq!(column, array![[1_u8, 2, 3], [4, 5, 6]].into());
        assert_eq!(parse(&idx(0x08, &[0, 3], &[])).unwrap().shape(), [0, 3]);
        assert_eq!(parse(&idx(0x08, &[1; 32], &[9])).unwrap().shape(), [1; 32]);
    }

    #[test]
    fn rejects_malformed_headers() {
        rejects(&[], 0, "the data end within the header");
        rejects(&[0, 0, 8, 2, 0, 0], 6, "the data end within the header");
        rejects(b"PK\x03\x04", 0, "not an IDX file");
        rejects(&idx(0x0a, &[1], &[1]), 2, "unknown element type 0x0a");
        rejects(&idx(0x08, &[], &[1]), 3, "invalid rank 0");
        rejects(&idx(0x08, &[1; 33], &[1]), 3, "invalid rank 33");
    }

    #[test]
    fn rejects_wrong_lengths() {
        rejects(&idx(0x08, &[3], &[1, 2]), 10, "the header promises 11 bytes, the data end after 10");
        rejects(&idx(0x08, &[3], &[1, 2, 3, 4]), 11, "data go on");
        rejects(&idx(0x0e, &[u32::MAX; 4], &[1]), 20, "overflows");
        assert!(matches!(
            parse(&idx(0x0c, &[u32::MAX, 4], &[1])),
            Err(DatasetError::TooLarge { limit: 1_048_576, .. })
        ));
    }
}
