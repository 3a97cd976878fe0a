//! MNIST: the files beside the examples, and folders that are not it.

use std::fs;
use std::path::PathBuf;

use bessemer_train::{DatasetError, Mnist};

/// A folder that is removed when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("bessemer-train-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file of bytes with the given extents.
    fn write(&self, name: &str, shape: &[u32], data: &[u8]) {
        let mut bytes = vec![0, 0, 8, shape.len() as u8];
        bytes.extend(shape.iter().flat_map(|extent| extent.to_be_bytes()));
        bytes.extend(data);
        fs::write(self.0.join(name), bytes).unwrap();
    }

    #[track_caller]
    fn rejects(&self, message: &str) {
        let error = Mnist::load(&self.0).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_files_beside_the_examples() {
    let mnist = Mnist::load(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/mnist")).unwrap();
    for (part, len) in [(&mnist.train, 55_000), (&mnist.test, 10_000)] {
        let (x, y) = (part.get::<f32>("x").unwrap(), part.get::<i32>("y").unwrap());
        assert_eq!((x.shape(), y.shape()), (&[len, 784][..], &[len][..]));
        assert!(x.iter().all(|grey| (0.0..=1.0).contains(grey)));
        assert!((0..10).all(|digit| y.iter().any(|label| *label == digit)));
    }
    assert_eq!(mnist.train.get::<f32>("x").unwrap().fold(0.0_f32, |most, grey| most.max(*grey)), 1.0);
    // The mean and deviation that everyone knows, but for the examples that are not here.
    let statistics = mnist.train.overall_statistics("x").unwrap();
    assert!((statistics.mean()[[]] - 0.1307).abs() < 0.001, "{statistics:?}");
    assert!((statistics.deviation()[[]] - 0.3081).abs() < 0.001, "{statistics:?}");
}

#[test]
fn plain_files_and_files_with_a_dot() {
    let folder = Folder::new("plain");
    for part in ["train", "t10k"] {
        folder.write(&format!("{part}-images.idx3-ubyte"), &[2, 28, 28], &[51; 1568]);
        folder.write(&format!("{part}-labels-idx1-ubyte"), &[2], &[3, 9]);
    }
    let mnist = Mnist::load(&folder.0).unwrap();
    assert_eq!(mnist.test.get::<f32>("x").unwrap()[[1, 783]], 0.2);
    assert_eq!(mnist.test.get::<i32>("y").unwrap()[1], 9);
}

#[test]
fn what_is_not_mnist() {
    let folder = Folder::new("wrong");
    let error = Mnist::load(&folder.0).unwrap_err();
    assert!(matches!(error, DatasetError::Io { .. }));
    assert!(error.to_string().contains("train-images-idx3-ubyte.gz"), "{error}");

    folder.write("train-images-idx3-ubyte", &[1, 28, 27], &[0; 756]);
    folder.rejects("images of shape [1, 28, 27], expected [n, 28, 28]\n --> ");
    folder.write("train-images-idx3-ubyte", &[1, 28, 28], &[0; 784]);
    folder.rejects("train-labels-idx1-ubyte.gz");
    folder.write("train-labels-idx1-ubyte", &[2], &[1, 2]);
    folder.rejects("labels of shape [2] for 1 images");
    folder.write("train-labels-idx1-ubyte", &[1], &[10]);
    folder.rejects("a label exceeds 9\n --> ");
    folder.rejects("train-labels-idx1-ubyte: byte 8\n");
    fs::write(folder.0.join("train-labels-idx1-ubyte"), [0, 0, 9, 1, 0, 0, 0, 1, 0]).unwrap();
    folder.rejects("elements of type i32, expected u8");
}
