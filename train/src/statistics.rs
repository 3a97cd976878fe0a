//! Mean and standard deviation, to normalise inputs with.

use ndarray::{Array0, ArrayD, ArrayView, ArrayViewD, ArrayViewMutD, Axis, Dimension, Zip};

use crate::column::{Column, Float};
use crate::error::DatasetError;

/// Mean and standard deviation of a column, of each element of an example or of all elements.
///
/// Both are taken in 64 bits, the deviation over all examples (divided by their number, not by one less). Take
/// them from the training data and apply them to every input, also after training.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    mean: ArrayD<f64>,
    deviation: ArrayD<f64>,
}

impl Statistics {
    /// The statistics of examples, of which there must be some: of each element or of all.
    pub(crate) fn of<T: Float>(examples: ArrayViewD<'_, T>, each: bool) -> Self {
        if !each {
            let (mean, deviation) = measure(examples.view(), examples.len() as f64);
            return Self {
                mean: Array0::from_elem((), mean).into_dyn(),
                deviation: Array0::from_elem((), deviation).into_dyn(),
            };
        }
        let count = examples.len_of(Axis(0)) as f64;
        let measured = examples.map_axis(Axis(0), |elements| measure(elements, count));
        Self { mean: measured.mapv(|(mean, _)| mean), deviation: measured.mapv(|(_, deviation)| deviation) }
    }

    /// The mean, of the shape of one example or, over all elements, of rank 0.
    pub fn mean(&self) -> &ArrayD<f64> {
        &self.mean
    }

    /// The standard deviation, of the shape of the mean.
    pub fn deviation(&self) -> &ArrayD<f64> {
        &self.deviation
    }

    /// Normalises `examples`, a batch or a single example, in place. Elements that do not vary become 0.
    ///
    /// Returns whether the shapes agree; if not, nothing is changed.
    #[must_use]
    pub fn normalise<T: Float>(&self, examples: &mut ArrayViewMutD<'_, T>) -> bool {
        let shape = examples.raw_dim();
        let (Some(mean), Some(deviation)) =
            (self.mean.broadcast(shape.clone()), self.deviation.broadcast(shape))
        else {
            return false;
        };
        Zip::from(examples).and(mean).and(deviation).for_each(|element, mean, deviation| {
            let scale = if *deviation > 0.0 { *deviation } else { 1.0 };
            *element = T::from_f64((element.to_f64() - mean) / scale);
        });
        true
    }

    pub(crate) fn normalised<T: Float>(
        &self,
        name: &str,
        examples: ArrayViewD<'_, T>,
    ) -> Result<Column, DatasetError> {
        let mut examples = examples.into_owned();
        if self.normalise(&mut examples.view_mut()) {
            return Ok(examples.into());
        }
        Err(DatasetError::WrongShape {
            name: name.to_owned(),
            found: examples.shape().to_vec(),
            wanted: format!("examples of shape {:?}, as the statistics have", self.mean.shape()),
        })
    }
}

/// Mean and standard deviation of `count` elements, in two passes: one pass loses digits where the mean is large.
fn measure<T: Float, D: Dimension>(elements: ArrayView<'_, T, D>, count: f64) -> (f64, f64) {
    let mean = elements.fold(0.0, |sum, element| sum + element.to_f64()) / count;
    let squares = elements.fold(0.0, |sum, element| sum + (element.to_f64() - mean).powi(2));
    (mean, (squares / count).sqrt())
}

#[cfg(test)]
mod tests {
    use ndarray::{arr0, arr1, array};

    use super::*;

    #[test]
    fn of_each_and_of_all() {
        let examples = array![[1.0_f32, 7.0], [3.0, 7.0]].into_dyn();
        let each = Statistics::of(examples.view(), true);
        assert_eq!(each.mean(), &arr1(&[2.0, 7.0]).into_dyn());
        assert_eq!(each.deviation(), &arr1(&[1.0, 0.0]).into_dyn());
        let all = Statistics::of(examples.view(), false);
        assert_eq!(all.mean(), &arr0(4.5).into_dyn());
        assert_eq!(all.deviation(), &arr0(6.75_f64.sqrt()).into_dyn());
    }

    #[test]
    fn normalises_batches_and_single_examples() {
        let statistics = Statistics::of(array![[1.0, 7.0], [3.0, 7.0]].into_dyn().view(), true);
        let mut example = arr1(&[0.0_f32, 7.0]).into_dyn();
        assert!(statistics.normalise(&mut example.view_mut()));
        assert_eq!(example, arr1(&[-2.0, 0.0]).into_dyn());
        let mut wrong = arr1(&[0.0_f32; 3]).into_dyn();
        assert!(!statistics.normalise(&mut wrong.view_mut()));
    }

    #[test]
    fn a_large_mean_keeps_its_digits() {
        let statistics = Statistics::of(arr1(&[1e9, 1e9 + 1.0, 1e9 + 2.0]).into_dyn().view(), true);
        assert!((statistics.deviation()[[]] - (2.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    }
}
