//! A dataset: named columns that agree on the number of examples.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{ArrayViewD, Axis, Slice};

use crate::batches::Batches;
use crate::column::{Column, Dtype, Element, Rows, Spares};
use crate::error::DatasetError;
use crate::shuffle::permutation;
use crate::statistics::Statistics;

/// Named columns of equally many examples, in memory.
///
/// Cloning, [`take`](Self::take) and [`split`](Self::split) copy no examples: columns are shared.
///
/// ```
/// use bessemer_train::Dataset;
/// use ndarray::array;
///
/// let dataset = Dataset::new()
///     .with("x", array![[0.0_f32, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])?
///     .with("y", array![0, 1, 1, 0])?;
/// let (train, test) = dataset.split(0.75)?;
/// assert_eq!((train.len(), test.len()), (3, 1));
/// assert_eq!(test.get::<f32>("x")?, array![[1.0, 1.0]].into_dyn());
/// # Ok::<(), bessemer_train::DatasetError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Dataset {
    columns: Vec<Stored>,
    len: usize,
}

/// A column of a dataset: the examples `start..start + dataset.len` of `data`.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub name: Arc<str>,
    /// In row-major order, of rank 1 or more.
    data: Arc<Column>,
    start: usize,
}

impl Stored {
    /// Copies examples, numbered from the start of the dataset, in memory from `spares`.
    pub fn gather(&self, rows: Rows<'_>, spares: &mut Spares) -> Column {
        let start = self.start;
        self.data.gather(
            match rows {
                Rows::From { start: first, len } => Rows::From { start: start + first, len },
                Rows::Each { start: first, rows } => Rows::Each { start: start + first, rows },
            },
            spares,
        )
    }
}

impl Dataset {
    /// A dataset without columns. Its first column decides the number of examples.
    pub fn new() -> Self {
        Self::default()
    }

    /// A dataset of columns, such as those of an NPZ file.
    ///
    /// # Errors
    /// As [`with`](Self::with).
    pub fn from_columns<N: AsRef<str>, C: Into<Column>>(
        columns: impl IntoIterator<Item = (N, C)>,
    ) -> Result<Self, DatasetError> {
        columns
            .into_iter()
            .try_fold(Self::new(), |dataset, (name, column)| dataset.with(name.as_ref(), column))
    }

    /// This dataset with one more column.
    ///
    /// # Errors
    /// If a column of this name exists, if the leading axis does not count the examples of the dataset, or if
    /// there is no leading axis or its examples have no elements.
    pub fn with(mut self, name: &str, column: impl Into<Column>) -> Result<Self, DatasetError> {
        let column = column.into();
        if self.find(name).is_some() {
            return Err(DatasetError::DuplicateColumn { name: name.to_owned() });
        }
        let wrong_shape = |wanted: &str| DatasetError::WrongShape {
            name: name.to_owned(),
            found: column.shape().to_vec(),
            wanted: wanted.to_owned(),
        };
        let [len, example @ ..] = column.shape() else {
            return Err(wrong_shape("a leading axis that counts the examples"));
        };
        // A file of a few bytes can claim any number of empty examples.
        if example.contains(&0) {
            return Err(wrong_shape("examples of at least one element"));
        }
        if !self.columns.is_empty() && *len != self.len {
            return Err(DatasetError::WrongLength { name: name.to_owned(), found: *len, wanted: self.len });
        }
        self.len = *len;
        self.columns.push(Stored { name: name.into(), data: Arc::new(column.into_standard()), start: 0 });
        Ok(self)
    }

    /// The number of examples.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The names of the columns, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| &*column.name)
    }

    /// The element type of a column.
    ///
    /// # Errors
    /// If there is no column of this name.
    pub fn dtype(&self, name: &str) -> Result<Dtype, DatasetError> {
        Ok(self.column(name)?.data.dtype())
    }

    /// The shape of one example of a column, without the leading axis.
    ///
    /// # Errors
    /// If there is no column of this name.
    pub fn example_shape(&self, name: &str) -> Result<&[usize], DatasetError> {
        Ok(&self.column(name)?.data.shape()[1..])
    }

    /// All examples of a column.
    ///
    /// # Errors
    /// If there is no column of this name, or its elements are not of type `T`.
    pub fn get<T: Element>(&self, name: &str) -> Result<ArrayViewD<'_, T>, DatasetError> {
        let column = self.column(name)?;
        let all = column.data.typed::<T>(name)?.view();
        Ok(all.slice_axis_move(Axis(0), Slice::from(column.start..column.start + self.len)))
    }

    /// The first `len` examples, or all if there are fewer.
    #[must_use]
    pub fn take(&self, len: usize) -> Self {
        self.range(0..len.min(self.len))
    }

    /// The first `fraction` of the examples, rounded to a whole number, and the rest.
    ///
    /// The examples stay in order: [`shuffled`](Self::shuffled) before, if their order means something.
    ///
    /// # Errors
    /// If the fraction is not in `0..=1`.
    pub fn split(&self, fraction: f64) -> Result<(Self, Self), DatasetError> {
        if !(0.0..=1.0).contains(&fraction) {
            return Err(DatasetError::InvalidFraction(fraction));
        }
        let first = ((self.len as f64 * fraction).round() as usize).min(self.len);
        Ok((self.range(0..first), self.range(first..self.len)))
    }

    /// A copy with the examples in the order that `seed` fixes.
    #[must_use]
    pub fn shuffled(&self, seed: u64) -> Self {
        let order = permutation(seed, 0, self.len);
        let rows = Rows::Each { start: 0, rows: &order };
        let columns = self.columns.iter().map(|column| Stored {
            name: column.name.clone(),
            data: Arc::new(column.gather(rows, &mut Spares::default())),
            start: 0,
        });
        Self { columns: columns.collect(), len: self.len }
    }

    /// This dataset with every element of one column replaced by `f` of it.
    ///
    /// # Errors
    /// If there is no column of this name, or its elements are not of type `T`.
    ///
    /// ```
    /// use bessemer_train::Dataset;
    /// use ndarray::array;
    ///
    /// let dataset = Dataset::new().with("x", array![0_u8, 51, 255])?;
    /// let dataset = dataset.map("x", |byte: u8| f32::from(byte) / 255.0)?;
    /// assert_eq!(dataset.get::<f32>("x")?, array![0.0, 0.2, 1.0].into_dyn());
    /// # Ok::<(), bessemer_train::DatasetError>(())
    /// ```
    pub fn map<T: Element, U: Element>(
        &self,
        name: &str,
        f: impl FnMut(T) -> U,
    ) -> Result<Self, DatasetError> {
        Ok(self.replace(name, self.get::<T>(name)?.mapv(f)))
    }

    /// Mean and standard deviation of each element of an example of a column, over all examples.
    ///
    /// # Errors
    /// If there is no column of this name, it does not hold floats, or there are no examples.
    pub fn statistics(&self, name: &str) -> Result<Statistics, DatasetError> {
        self.measure(name, true)
    }

    /// Mean and standard deviation over all elements of a column.
    ///
    /// # Errors
    /// As [`statistics`](Self::statistics).
    pub fn overall_statistics(&self, name: &str) -> Result<Statistics, DatasetError> {
        self.measure(name, false)
    }

    /// This dataset with one column shifted and scaled so that data of these statistics come to have mean 0 and
    /// standard deviation 1. Elements that do not vary become 0.
    ///
    /// # Errors
    /// If there is no column of this name, it does not hold floats, or the statistics are of examples of another
    /// shape.
    ///
    /// ```
    /// use bessemer_train::Dataset;
    /// use ndarray::array;
    ///
    /// let train = Dataset::new().with("x", array![[1.0_f32, 5.0], [3.0, 5.0]])?;
    /// let test = Dataset::new().with("x", array![[5.0_f32, 5.0]])?;
    /// let statistics = train.statistics("x")?;
    /// let test = test.normalise("x", &statistics)?;
    /// assert_eq!(test.get::<f32>("x")?, array![[3.0, 0.0]].into_dyn());
    /// # Ok::<(), bessemer_train::DatasetError>(())
    /// ```
    pub fn normalise(&self, name: &str, statistics: &Statistics) -> Result<Self, DatasetError> {
        let column = match self.dtype(name)? {
            Dtype::F32 => statistics.normalised::<f32>(name, self.get(name)?)?,
            Dtype::F64 => statistics.normalised::<f64>(name, self.get(name)?)?,
            _ => return Err(self.not_float(name)?),
        };
        Ok(self.replace(name, column))
    }

    /// Mini-batches of `size` examples: one epoch in order, until told otherwise.
    pub fn batches(&self, size: usize) -> Batches {
        Batches::new(self.clone(), size)
    }

    pub(crate) fn columns(&self) -> &[Stored] {
        &self.columns
    }

    fn measure(&self, name: &str, each: bool) -> Result<Statistics, DatasetError> {
        match self.dtype(name)? {
            _ if self.is_empty() => Err(DatasetError::NoExamples { name: name.to_owned() }),
            Dtype::F32 => Ok(Statistics::of::<f32>(self.get(name)?, each)),
            Dtype::F64 => Ok(Statistics::of::<f64>(self.get(name)?, each)),
            _ => Err(self.not_float(name)?),
        }
    }

    /// The error that a column does not hold floats.
    fn not_float(&self, name: &str) -> Result<DatasetError, DatasetError> {
        Ok(self.column(name)?.data.wrong_dtype(name, &[Dtype::F32, Dtype::F64]))
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| &*column.name == name)
    }

    fn column(&self, name: &str) -> Result<&Stored, DatasetError> {
        self.find(name).map(|at| &self.columns[at]).ok_or_else(|| DatasetError::UnknownColumn {
            name: name.to_owned(),
            known: self.names().map(str::to_owned).collect(),
        })
    }

    fn range(&self, range: Range<usize>) -> Self {
        let columns =
            self.columns.iter().cloned().map(|column| Stored { start: column.start + range.start, ..column });
        Self { columns: columns.collect(), len: range.len() }
    }

    /// This dataset with another column of as many examples in the place of an existing one.
    fn replace(&self, name: &str, column: impl Into<Column>) -> Self {
        let mut replaced = self.clone();
        if let Some(at) = self.find(name) {
            let data = Arc::new(column.into().into_standard());
            replaced.columns[at] = Stored { name: name.into(), data, start: 0 };
        }
        replaced
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2, arr0, array};

    use super::*;

    fn numbers(len: i32) -> Dataset {
        Dataset::new().with("x", Array1::from_iter(0..len)).unwrap()
    }

    fn x(dataset: &Dataset) -> Vec<i32> {
        dataset.get::<i32>("x").unwrap().to_vec()
    }

    /// `ArrayViewD::iter` copied out, for views of rank 1.
    trait ToVec {
        fn to_vec(&self) -> Vec<i32>;
    }

    impl ToVec for ArrayViewD<'_, i32> {
        fn to_vec(&self) -> Vec<i32> {
            self.iter().copied().collect()
        }
    }

    #[test]
    fn columns_are_checked() {
        let dataset = numbers(3);
        let error = |column: Column| dataset.clone().with("y", column).unwrap_err().to_string();
        assert!(error(array![1].into()).starts_with("column `y` has 1 examples where 3 are expected"));
        assert!(error(arr0(1).into()).contains("shape [], expected a leading axis"));
        assert!(error(Array2::<u8>::default((3, 0)).into()).contains("at least one element"));
        let error = dataset.with("x", array![1, 2, 3]).unwrap_err().to_string();
        assert!(error.starts_with("duplicate column `x`"), "{error}");
    }

    #[test]
    fn get_checks_name_and_type() {
        let dataset = numbers(3);
        assert!(dataset.get::<i32>("z").unwrap_err().to_string().contains("the columns are `x`"));
        let error = dataset.get::<f32>("x").unwrap_err().to_string();
        assert!(error.starts_with("column `x` holds i32, not f32\n  = help: ask for i32"), "{error}");
    }

    #[test]
    fn take_and_split_share_the_columns() {
        let dataset = numbers(10);
        assert_eq!(x(&dataset.take(3)), [0, 1, 2]);
        assert_eq!(dataset.take(99).len(), 10);
        let (first, rest) = dataset.split(0.74).unwrap();
        assert_eq!((x(&first), x(&rest)), ((0..7).collect(), vec![7, 8, 9]));
        let (middle, last) = rest.split(0.5).unwrap();
        assert_eq!((x(&middle), x(&last)), (vec![7, 8], vec![9]));
        let at = |dataset: &Dataset, index| std::ptr::from_ref(&dataset.get::<i32>("x").unwrap()[index]);
        assert_eq!(at(&last, 0), at(&dataset, 9));
        assert_eq!(x(&middle.clone().with("y", array![1, 2]).unwrap()), [7, 8]);
    }

    #[test]
    fn split_accepts_only_fractions() {
        let dataset = numbers(3);
        assert_eq!(dataset.split(0.0).unwrap().0.len(), 0);
        assert_eq!(dataset.split(1.0).unwrap().1.len(), 0);
        for fraction in [-0.1, 1.1, f64::NAN] {
            assert!(matches!(dataset.split(fraction), Err(DatasetError::InvalidFraction(_))));
        }
        assert_eq!(Dataset::new().split(0.5).unwrap().0.len(), 0);
    }

    #[test]
    fn shuffled_moves_whole_examples() {
        let dataset =
            numbers(100).with("y", Array1::from_iter((0..100).map(|i| f64::from(i) / 2.0))).unwrap();
        let (_, dataset) = dataset.split(0.5).unwrap();
        let shuffled = dataset.shuffled(5);
        assert_ne!(x(&shuffled), x(&dataset));
        let mut sorted = x(&shuffled);
        let halves: Vec<_> = shuffled.get::<f64>("y").unwrap().iter().map(|y| (y * 2.0) as i32).collect();
        assert_eq!(sorted, halves);
        sorted.sort_unstable();
        assert_eq!(sorted, x(&dataset));
    }

    #[test]
    fn map_replaces_one_column_of_a_part() {
        let (_, rest) = numbers(4).split(0.5).unwrap();
        let mapped = rest.map("x", |x: i32| x > 2).unwrap();
        assert_eq!(mapped.get::<bool>("x").unwrap(), array![false, true].into_dyn());
        assert_eq!(mapped.dtype("x").unwrap(), Dtype::Bool);
        assert!(rest.map("x", |x: f32| x).is_err());
    }

    #[test]
    fn normalise_checks_type_shape_and_examples() {
        let error = numbers(3).statistics("x").unwrap_err().to_string();
        assert!(error.starts_with("column `x` holds i32, not f32 or f64"), "{error}");
        let wide = Dataset::new().with("x", array![[1.0, 2.0]]).unwrap();
        let error = wide.take(0).statistics("x").unwrap_err().to_string();
        assert!(error.starts_with("no examples to take the statistics of `x`"), "{error}");
        let narrow = Dataset::new().with("x", array![[1.0]]).unwrap();
        let error = narrow.normalise("x", &wide.statistics("x").unwrap()).unwrap_err().to_string();
        assert!(error.contains("expected examples of shape [2]"), "{error}");
    }
}
