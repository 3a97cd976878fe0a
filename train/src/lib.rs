//! What a person who trains needs: datasets, shuffling, mini-batches and prefetch.
//!
//! Arrays come from files ([`formats`]: IDX, NPY, NPZ, CSV) or from the program; a [`Dataset`] holds them as named
//! columns, and [`Dataset::batches`] cuts it into mini-batches. Nothing here knows the compiler: batches are views
//! of [`ndarray`] arrays.
//!
//! ```
//! use bessemer_train::Dataset;
//! use bessemer_train::formats::csv::Csv;
//!
//! let text = "a,b,class\n1,2,0\n3,4,1\n5,6,1\n7,8,0\n";
//! let dataset = Csv::new()
//!     .matrix::<f32>("x", ["a", "b"])
//!     .vector::<i32>("y", "class")
//!     .read(text.as_bytes(), "table.csv", 1 << 20)?;
//! let (train, test) = dataset.shuffled(1).split(0.75)?;
//! let statistics = train.statistics("x")?;
//! let (train, test) = (train.normalise("x", &statistics)?, test.normalise("x", &statistics)?);
//!
//! for batch in train.batches(2).shuffle(42).epochs(3).prefetch(2) {
//!     let (x, y) = (batch.get::<f32>("x")?, batch.get::<i32>("y")?);
//!     assert_eq!(x.shape(), [y.len(), 2]);
//! }
//! # assert_eq!(test.len(), 1);
//! # Ok::<(), bessemer_train::DatasetError>(())
//! ```
//!
//! Errors of all kinds are a [`DatasetError`]: it says what is wrong, where, and how to mend it.

#![forbid(unsafe_code)]

mod batches;
mod column;
mod dataset;
mod error;
pub mod formats;
mod mnist;
mod prefetch;
mod shuffle;
mod statistics;

pub use batches::{Batch, BatchIter, Batches};
pub use column::{Column, Dtype, Element, Float};
pub use dataset::Dataset;
pub use error::{DatasetError, Place, Position};
pub use mnist::Mnist;
pub use shuffle::permutation;
pub use statistics::Statistics;
