//! What a person who trains needs: datasets, shuffling, mini-batches and prefetch.
//!
//! A [`Dataset`] holds arrays as named columns, and [`Dataset::batches`] cuts it into mini-batches. Nothing here
//! knows the compiler: batches are views of [`ndarray`] arrays.
//!
//! Errors of all kinds are a [`DatasetError`]: it says what is wrong, where, and how to mend it.

mod batches;
mod column;
mod dataset;
mod error;
mod prefetch;
mod shuffle;
mod statistics;

pub use batches::{Batch, BatchIter, Batches};
pub use column::{Column, Dtype, Element, Float};
pub use dataset::Dataset;
pub use error::{DatasetError, Place, Position};
pub use shuffle::permutation;
pub use statistics::Statistics;
