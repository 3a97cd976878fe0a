//! Readers of outside bytes: whatever is done to a file, reading it gives data or an error that names the file.

use std::io::{Cursor, Write};

use bessemer_train::formats::csv::Csv;
use bessemer_train::formats::{idx, npy};
use bessemer_train::{Column, DatasetError};
use flate2::Compression;
use flate2::write::GzEncoder;
use ndarray::{Array2, arr1, array};
use ndarray_npy::{NpzWriter, WriteNpyExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const LIMIT: u64 = 1 << 16;

/// Reads a file and gives the sizes of its arrays in elements.
type Reader = fn(&[u8]) -> Result<Vec<usize>, DatasetError>;

fn sizes<'a>(columns: impl IntoIterator<Item = &'a Column>) -> Vec<usize> {
    columns.into_iter().map(|column| column.shape().iter().product()).collect()
}

fn read_idx(bytes: &[u8]) -> Result<Vec<usize>, DatasetError> {
    idx::read(bytes, "the file", LIMIT).map(|column| sizes([&column]))
}

fn read_npy(bytes: &[u8]) -> Result<Vec<usize>, DatasetError> {
    npy::read(bytes, "the file", LIMIT).map(|column| sizes([&column]))
}

fn read_npz(bytes: &[u8]) -> Result<Vec<usize>, DatasetError> {
    let arrays = npy::read_npz(Cursor::new(bytes), "the file", LIMIT)?;
    Ok(sizes(arrays.iter().map(|(_, column)| column)))
}

fn read_csv(bytes: &[u8]) -> Result<Vec<usize>, DatasetError> {
    let csv = Csv::new().matrix::<f32>("x", ["a", "b"]).vector::<i32>("y", 2);
    let dataset = csv.read(bytes, "the file", LIMIT)?;
    Ok(vec![dataset.len() * 2, dataset.len()])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn npz(mut writer: NpzWriter<Cursor<Vec<u8>>>) -> Vec<u8> {
    writer.add_array("x", &Array2::from_shape_fn((9, 5), |(row, column)| (row * column) as f32)).unwrap();
    writer.add_array("y", &arr1(&[true, false])).unwrap();
    writer.finish().unwrap().into_inner()
}

/// A valid file of every format, with its reader.
fn files() -> Vec<(&'static str, Vec<u8>, Reader)> {
    let idx = [&[0, 0, 0x0b, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[7; 12]].concat();
    let mut npy = Vec::new();
    array![[1_u64, 2], [3, 4]].write_npy(&mut npy).unwrap();
    let csv = b"a,b,c\n1,2.5,3\n-4,5e3,6\n\"7\",8,9\n".to_vec();
    vec![
        ("idx.gz", gzip(&idx), read_idx),
        ("idx", idx, read_idx),
        ("npy", npy, read_npy),
        ("npz", npz(NpzWriter::new(Cursor::default())), read_npz),
        ("compressed npz", npz(NpzWriter::new_compressed(Cursor::default())), read_npz),
        ("csv.gz", gzip(&csv), read_csv),
        ("csv", csv, read_csv),
    ]
}

fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    rng.next_u32() as usize % bound
}

/// Changes a file in one of the ways in which files break, or are broken.
fn damage(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    const TELLING: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'9', b'(', b'\n'];
    let at = below(rng, bytes.len() + 1);
    let until = (at + 1 + below(rng, 8)).min(bytes.len());
    match below(rng, 6) {
        0 => bytes.truncate(at),
        1 if at < bytes.len() => bytes[at] ^= 1 << below(rng, 8),
        2 => bytes[at..until].fill(TELLING[below(rng, TELLING.len())]),
        3 => drop(bytes.drain(at..until)),
        4 => bytes.insert(at, TELLING[below(rng, TELLING.len())]),
        _ => bytes.extend_from_within(at..until),
    }
}

#[track_caller]
fn check(result: Result<Vec<usize>, DatasetError>, what: &str) {
    match result {
        Ok(sizes) => assert!(sizes.iter().sum::<usize>() as u64 <= LIMIT, "{what}"),
        Err(error) => {
            let place = error.place().unwrap_or_else(|| panic!("{what}: {error}"));
            assert!(place.file.starts_with("the file"), "{what}: {error}");
            assert!(error.help().is_some(), "{what}: {error}");
        }
    }
}

#[test]
fn whole_files_are_read() {
    for (name, bytes, read) in files() {
        read(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn every_beginning_of_a_file() {
    for (name, bytes, read) in files() {
        for length in 0..bytes.len() {
            let result = read(&bytes[..length]);
            assert!(result.is_err() || name == "csv", "{name}, the first {length} bytes");
            check(result, name);
        }
    }
}

#[test]
fn every_byte_at_its_extremes() {
    for (name, bytes, read) in files() {
        for at in 0..bytes.len() {
            for value in [0, 0x7f, 0xff, bytes[at] ^ 1] {
                let mut changed = bytes.clone();
                changed[at] = value;
                check(read(&changed), &format!("{name}, byte {at} set to {value}"));
            }
        }
    }
}

#[test]
fn damaged_files() {
    for seed in 0..20_000_u64 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let files = files_once();
        let (name, bytes, read) = &files[below(&mut rng, files.len())];
        let mut bytes = bytes.clone();
        for _ in 0..=below(&mut rng, 4) {
            damage(&mut bytes, &mut rng);
        }
        check(read(&bytes), &format!("{name}, seed {seed}"));
    }
}

/// Every file, made once.
fn files_once() -> &'static [(&'static str, Vec<u8>, Reader)] {
    static FILES: std::sync::OnceLock<Vec<(&'static str, Vec<u8>, Reader)>> = std::sync::OnceLock::new();
    FILES.get_or_init(files)
}

#[test]
fn a_bomb_stops_at_the_limit() {
    // 64 MiB of zeros in about 64 KiB, behind headers that are honest about them.
    let zeros = vec![0; 1 << 26];
    let honest = gzip(&[&[0, 0, 8, 1, 4, 0, 0, 0][..], &zeros].concat());
    assert!(matches!(
        idx::read(&honest[..], "bomb", LIMIT),
        Err(DatasetError::TooLarge { limit: LIMIT, .. })
    ));
    // And behind one that is not.
    let lying = gzip(&[&[0, 0, 8, 1, 0, 0, 0, 4][..], &zeros].concat());
    let error = idx::read(&lying[..], "bomb", LIMIT).unwrap_err().to_string();
    assert!(error.starts_with("data go on after the last element"), "{error}");
    // A table that is one endless line.
    assert!(matches!(
        Csv::new().vector::<f32>("x", 0).read(&gzip(&zeros)[..], "bomb", LIMIT),
        Err(DatasetError::TooLarge { limit: LIMIT, .. })
    ));
}
