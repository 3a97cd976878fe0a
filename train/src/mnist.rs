//! MNIST and the datasets distributed in its form, such as Fashion-MNIST.

use std::path::{Path, PathBuf};

use ndarray::{ArrayD, Axis};

use crate::column::{Column, Element};
use crate::dataset::Dataset;
use crate::error::{DatasetError, Place, Position};
use crate::formats::idx;

/// Handwritten digits: column `x`, f32 `[n, 784]`, is the images, their grey levels scaled to 0..1, and column
/// `y`, i32 `[n]`, the digits that they show.
///
/// ```
/// use bessemer_train::Mnist;
///
/// # let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/mnist");
/// let mnist = Mnist::load(dir)?;
/// assert_eq!(mnist.test.get::<f32>("x")?.shape(), [10_000, 784]);
/// assert_eq!(mnist.test.get::<i32>("y")?[0], 7);
/// # Ok::<(), bessemer_train::DatasetError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mnist {
    /// The examples to train on.
    pub train: Dataset,
    /// The examples to judge by.
    pub test: Dataset,
}

/// Pixels along each side of an image.
const SIDE: usize = 28;

/// The number of classes.
const CLASSES: u8 = 10;

impl Mnist {
    /// Loads the four IDX files of a folder, gzipped or not, by the names of the original distribution.
    ///
    /// # Errors
    /// If a file cannot be read, or does not hold images of 28×28 bytes or labels of 0 to 9, as many as images.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self, DatasetError> {
        let dir = dir.as_ref();
        Ok(Self { train: part(dir, "train")?, test: part(dir, "t10k")? })
    }
}

fn part(dir: &Path, part: &str) -> Result<Dataset, DatasetError> {
    let path = find(dir, &format!("{part}-images"), "idx3-ubyte");
    let images = bytes(&path, idx::load(&path)?)?;
    let &[count, SIDE, SIDE] = images.shape() else {
        let what = format!("images of shape {:?}, expected [n, {SIDE}, {SIDE}]", images.shape());
        return Err(malformed(&path, 4, what));
    };
    let images = images.mapv(|byte| f32::from(byte) / 255.0);
    let images = images.into_shape_with_order((count, SIDE * SIDE)).expect("the same number of elements");

    let path = find(dir, &format!("{part}-labels"), "idx1-ubyte");
    let labels = bytes(&path, idx::load(&path)?)?;
    if labels.ndim() != 1 || labels.len_of(Axis(0)) != count {
        let what = format!("labels of shape {:?} for {count} images", labels.shape());
        return Err(malformed(&path, 4, what));
    }
    if let Some(at) = labels.iter().position(|label| *label >= CLASSES) {
        // The elements follow a header of 8 bytes.
        return Err(malformed(&path, 8 + at as u64, format!("a label exceeds {}", CLASSES - 1)));
    }
    Dataset::new().with("x", images)?.with("y", labels.mapv(i32::from))
}

/// The path of a file, which is written with a dash or a dot before `suffix` and may be gzipped: the first that
/// exists, or the usual one.
fn find(dir: &Path, stem: &str, suffix: &str) -> PathBuf {
    let names =
        ["-", "."].into_iter().flat_map(|dash| [".gz", ""].map(|gz| format!("{stem}{dash}{suffix}{gz}")));
    let mut paths = names.map(|name| dir.join(name));
    paths.clone().find(|path| path.exists()).or_else(|| paths.next()).unwrap_or_default()
}

fn bytes(path: &Path, column: Column) -> Result<ArrayD<u8>, DatasetError> {
    column.into_array::<u8>().map_err(|column| {
        malformed(path, 2, format!("elements of type {}, expected {}", column.dtype(), u8::DTYPE))
    })
}

fn malformed(path: &Path, offset: u64, what: String) -> DatasetError {
    let position = if path.extension().is_some_and(|extension| extension == "gz") {
        Position::UnpackedByte(offset)
    } else {
        Position::Byte(offset)
    };
    DatasetError::Malformed {
        place: Place { file: path.display().to_string(), position },
        what,
        help: "fetch the files of MNIST again, or read others with `formats::idx`".to_owned(),
    }
}
