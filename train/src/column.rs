//! A column: one array whose leading axis counts the examples, its element type known at run time.

use std::fmt;

use ndarray::{Array, ArrayD, Dimension};

use crate::error::DatasetError;

/// The type of a column's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 32-bit signed integer.
    I32,
    /// 64-bit signed integer.
    I64,
    /// Byte.
    U8,
    /// Truth value.
    Bool,
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U8 => "u8",
            Self::Bool => "bool",
        })
    }
}

/// An array of one of the element types. In a dataset its leading axis counts the examples.
///
/// ```
/// use bessemer_train::{Column, Dtype};
/// use ndarray::array;
///
/// let column = Column::from(array![[1.0_f32, 2.0], [3.0, 4.0], [5.0, 6.0]]);
/// assert_eq!(column.dtype(), Dtype::F32);
/// assert_eq!(column.shape(), [3, 2]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// 32-bit floats.
    F32(ArrayD<f32>),
    /// 64-bit floats.
    F64(ArrayD<f64>),
    /// 32-bit signed integers.
    I32(ArrayD<i32>),
    /// 64-bit signed integers.
    I64(ArrayD<i64>),
    /// Bytes.
    U8(ArrayD<u8>),
    /// Truth values.
    Bool(ArrayD<bool>),
}

/// Evaluates one expression for whichever array a column holds.
macro_rules! with_array {
    ($column:expr, $array:ident => $body:expr) => {
        match $column {
            $crate::Column::F32($array) => $body,
            $crate::Column::F64($array) => $body,
            $crate::Column::I32($array) => $body,
            $crate::Column::I64($array) => $body,
            $crate::Column::U8($array) => $body,
            $crate::Column::Bool($array) => $body,
        }
    };
}

mod sealed {
    pub trait Sealed {}
}

/// A type that a column can hold: `f32`, `f64`, `i32`, `i64`, `u8` or `bool`.
pub trait Element: sealed::Sealed + Copy + Default + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// The run-time name of this type.
    const DTYPE: Dtype;

    /// Wraps an array.
    fn wrap(array: ArrayD<Self>) -> Column;

    /// The array of a column of this type.
    fn array(column: &Column) -> Option<&ArrayD<Self>>;

    /// The array of a column of this type, to be changed.
    fn array_mut(column: &mut Column) -> Option<&mut ArrayD<Self>>;

    /// Takes the array out of a column of this type, or gives the column back.
    fn unwrap(column: Column) -> Result<ArrayD<Self>, Column>;
}

/// A float that a column can hold: `f32` or `f64`.
pub trait Float: Element {
    /// Widens to 64 bits.
    fn to_f64(self) -> f64;

    /// Rounds from 64 bits.
    fn from_f64(value: f64) -> Self;
}

macro_rules! elements {
    ($($type:ty => $variant:ident),*) => {$(
        impl sealed::Sealed for $type {}

        impl Element for $type {
            const DTYPE: Dtype = Dtype::$variant;

            fn wrap(array: ArrayD<Self>) -> Column {
                Column::$variant(array)
            }

            fn array(column: &Column) -> Option<&ArrayD<Self>> {
                if let Column::$variant(array) = column { Some(array) } else { None }
            }

            fn array_mut(column: &mut Column) -> Option<&mut ArrayD<Self>> {
                if let Column::$variant(array) = column { Some(array) } else { None }
            }

            fn unwrap(column: Column) -> Result<ArrayD<Self>, Column> {
                if let Column::$variant(array) = column { Ok(array) } else { Err(column) }
            }
        }
    )*};
}

elements! { f32 => F32, f64 => F64, i32 => I32, i64 => I64, u8 => U8, bool => Bool }

impl Float for f32 {
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    #[expect(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
}

impl Float for f64 {
    fn to_f64(self) -> f64 {
        self
    }

    fn from_f64(value: f64) -> Self {
        value
    }
}

impl<T: Element, D: Dimension> From<Array<T, D>> for Column {
    fn from(array: Array<T, D>) -> Self {
        T::wrap(array.into_dyn())
    }
}

impl Column {
    /// The type of the elements.
    pub fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::F64(_) => Dtype::F64,
            Self::I32(_) => Dtype::I32,
            Self::I64(_) => Dtype::I64,
            Self::U8(_) => Dtype::U8,
            Self::Bool(_) => Dtype::Bool,
        }
    }

    /// The extents of all axes.
    pub fn shape(&self) -> &[usize] {
        with_array!(self, array => array.shape())
    }

    /// The array, if its elements are of type `T`.
    pub fn as_array<T: Element>(&self) -> Option<&ArrayD<T>> {
        T::array(self)
    }

    /// Takes the array out; the column comes back if its elements are not of type `T`.
    pub fn into_array<T: Element>(self) -> Result<ArrayD<T>, Self> {
        T::unwrap(self)
    }

    /// This column with its elements in row-major order, moved only if they were not.
    pub(crate) fn into_standard(self) -> Self {
        fn standard<T: Element>(array: ArrayD<T>) -> Column {
            T::wrap(if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() })
        }
        with_array!(self, array => standard(array))
    }

    /// The array, or an error that calls this column `name`.
    pub(crate) fn typed<T: Element>(&self, name: &str) -> Result<&ArrayD<T>, DatasetError> {
        T::array(self).ok_or_else(|| self.wrong_dtype(name, &[T::DTYPE]))
    }

    pub(crate) fn wrong_dtype(&self, name: &str, wanted: &[Dtype]) -> DatasetError {
        DatasetError::WrongDtype { name: name.to_owned(), found: self.dtype(), wanted: wanted.to_vec() }
    }

    /// Copies the examples `rows` into a new column, in memory taken from `spares` where a vector fits.
    ///
    /// Expects a column in row-major order and of rank 1 or more, as those of a dataset are, and rows in it.
    pub(crate) fn gather(&self, rows: Rows<'_>, spares: &mut Spares) -> Self {
        fn gather<T: Element>(array: &ArrayD<T>, rows: Rows<'_>, mut out: Vec<T>) -> Column {
            let flat = array.as_slice().expect("columns of a dataset are in row-major order");
            let width = array.shape()[1..].iter().product::<usize>();
            let len = match rows {
                Rows::From { start, len } => {
                    out.extend_from_slice(&flat[start * width..(start + len) * width]);
                    len
                }
                Rows::Each { start, rows } => {
                    out.reserve(rows.len() * width);
                    for row in rows {
                        out.extend_from_slice(&flat[(start + row) * width..][..width]);
                    }
                    rows.len()
                }
            };
            let mut shape = array.raw_dim();
            shape[0] = len;
            T::wrap(ArrayD::from_shape_vec(shape, out).expect("rows of one width make an array"))
        }
        with_array!(self, array => gather(array, rows, spares.take()))
    }
}

/// Which examples to copy out of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rows<'a> {
    /// `len` examples in a row.
    From { start: usize, len: usize },
    /// The examples `start + row`.
    Each { start: usize, rows: &'a [usize] },
}

/// Columns that are no longer needed, kept for their memory.
#[derive(Debug, Default)]
pub(crate) struct Spares(Vec<Column>);

impl Spares {
    /// Keeps a column, unless `most` are kept already.
    pub(crate) fn put(&mut self, column: Column, most: usize) {
        if self.0.len() < most {
            self.0.push(column);
        }
    }

    /// An empty vector, in the memory of the column of this type that has waited longest.
    ///
    /// First in, first out keeps the columns of a batch in the memory that they had before, so that vectors
    /// stop growing once each has held a whole batch.
    pub(crate) fn take<T: Element>(&mut self) -> Vec<T> {
        let Some(at) = self.0.iter().position(|column| T::array(column).is_some()) else { return Vec::new() };
        let mut vec =
            T::unwrap(self.0.remove(at)).map_or_else(|_| Vec::new(), |a| a.into_raw_vec_and_offset().0);
        vec.clear();
        vec
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{ShapeBuilder, array};

    use super::*;

    #[test]
    fn from_and_into_array() {
        let column = Column::from(array![1, 2, 3]);
        assert_eq!(column.dtype(), Dtype::I32);
        let column = column.into_array::<f32>().unwrap_err();
        assert_eq!(column.into_array::<i32>().unwrap(), array![1, 2, 3].into_dyn());
    }

    #[test]
    fn into_standard_keeps_the_elements() {
        let array = Array::from_shape_vec((2, 3).f(), vec![1u8, 2, 3, 4, 5, 6]).unwrap().into_dyn();
        let column = Column::from(array.clone()).into_standard();
        let standard = column.as_array::<u8>().unwrap();
        assert_eq!(standard, &array);
        assert_eq!(standard.as_slice().unwrap(), [1, 3, 5, 2, 4, 6]);
    }

    #[test]
    fn gather_takes_rows_in_order() {
        let column = Column::from(array![[0, 1], [2, 3], [4, 5], [6, 7]]);
        let spares = &mut Spares::default();
        let block = column.gather(Rows::From { start: 1, len: 2 }, spares);
        assert_eq!(block, array![[2, 3], [4, 5]].into());
        let picked = column.gather(Rows::Each { start: 1, rows: &[2, 0, 0] }, spares);
        assert_eq!(picked, array![[6, 7], [2, 3], [2, 3]].into());
        assert_eq!(column.gather(Rows::Each { start: 0, rows: &[] }, spares).shape(), [0, 2]);
    }

    #[test]
    fn gather_reuses_memory_of_the_same_type() {
        let column = Column::from(array![[0, 1], [2, 3]]);
        let mut spares = Spares::default();
        let old = column.gather(Rows::From { start: 0, len: 2 }, &mut spares);
        let memory = old.as_array::<i32>().unwrap().as_ptr();
        spares.put(Column::from(array![1.0]), 2);
        spares.put(old, 2);
        let new = column.gather(Rows::Each { start: 0, rows: &[1] }, &mut spares);
        assert_eq!(new.as_array::<i32>().unwrap().as_ptr(), memory);
    }
}
