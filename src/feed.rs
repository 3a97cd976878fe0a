//! What is passed to an entry point.

use bessemer_compiler::tensor::{Scalar, Tensor};
use bessemer_compiler::types::{DType, Shape, TensorType};
use ndarray::{Array, ArrayView, CowArray, Dimension, IxDyn};

/// A value for a parameter or a variable: an array that is borrowed, or a scalar.
///
/// A borrowed array whose elements are in row-major order, without gaps, is read where it is; any other is copied. Up
/// to four axes, making a feed of the former kind allocates nothing.
///
/// ```
/// use bessemer::Feed;
/// use ndarray::array;
///
/// let x = array![[1.0f32, 2.0], [3.0, 4.0]];
/// let feed = Feed::from(&x);
/// assert_eq!(feed.ty().to_string(), "f32[2,2]");
/// assert_eq!(Feed::from(0.5f32).ty().to_string(), "f32[]");
/// ```
#[derive(Clone, Debug)]
pub struct Feed<'a>(Data<'a>);

#[derive(Clone, Debug)]
enum Data<'a> {
    F32(Values<'a, f32>),
    F64(Values<'a, f64>),
    I32(Values<'a, i32>),
    I64(Values<'a, i64>),
    U8(Values<'a, u8>),
    Bool(Values<'a, bool>),
}

#[derive(Clone, Debug)]
enum Values<'a, T> {
    One(T),
    /// In row-major order, without gaps.
    Many(CowArray<'a, T, IxDyn>),
}

/// Runs an expression with the values of a feed bound to a name, whatever their type.
macro_rules! dispatch {
    ($data:expr, $values:ident => $body:expr) => {
        match $data {
            Data::F32($values) => $body,
            Data::F64($values) => $body,
            Data::I32($values) => $body,
            Data::I64($values) => $body,
            Data::U8($values) => $body,
            Data::Bool($values) => $body,
        }
    };
}

impl<T> Values<'_, T> {
    fn shape(&self) -> &[usize] {
        match self {
            Values::One(_) => &[],
            Values::Many(array) => array.shape(),
        }
    }

    fn as_ptr(&self) -> *const T {
        match self {
            Values::One(value) => value,
            Values::Many(array) => array.as_ptr(),
        }
    }
}

impl<T: Clone> Values<'_, T>
where
    Tensor: From<Array<T, IxDyn>>,
{
    fn to_tensor(&self) -> Tensor {
        match self {
            Values::One(value) => Tensor::from(ndarray::arr0(value.clone()).into_dyn()),
            Values::Many(array) => Tensor::from(array.to_owned()),
        }
    }
}

impl Feed<'_> {
    /// Element type.
    pub fn dtype(&self) -> DType {
        match &self.0 {
            Data::F32(_) => DType::F32,
            Data::F64(_) => DType::F64,
            Data::I32(_) => DType::I32,
            Data::I64(_) => DType::I64,
            Data::U8(_) => DType::U8,
            Data::Bool(_) => DType::Bool,
        }
    }

    /// Extents, outermost axis first; none of a scalar.
    pub fn shape(&self) -> &[usize] {
        dispatch!(&self.0, values => values.shape())
    }

    /// Dtype and shape.
    pub fn ty(&self) -> TensorType {
        TensorType::new(self.dtype(), Shape::fixed(self.shape()))
    }

    /// A copy.
    pub fn to_tensor(&self) -> Tensor {
        dispatch!(&self.0, values => values.to_tensor())
    }

    /// The first of the elements, which follow one another in row-major order and of which there are as many as the
    /// shape says. Valid as long as the feed is borrowed.
    pub(crate) fn as_ptr(&self) -> *const u8 {
        dispatch!(&self.0, values => values.as_ptr().cast())
    }
}

macro_rules! feeds {
    ($($variant:ident: $ty:ty;)*) => {
        $(
        impl<'a, D: Dimension> From<ArrayView<'a, $ty, D>> for Feed<'a> {
            fn from(array: ArrayView<'a, $ty, D>) -> Feed<'a> {
                let dense = if array.is_standard_layout() {
                    CowArray::from(array.into_dyn())
                } else {
                    CowArray::from(array.as_standard_layout().into_owned().into_dyn())
                };
                Feed(Data::$variant(Values::Many(dense)))
            }
        }

        impl<'a, D: Dimension> From<&'a Array<$ty, D>> for Feed<'a> {
            fn from(array: &'a Array<$ty, D>) -> Feed<'a> {
                array.view().into()
            }
        }

        impl<'a> From<&'a [$ty]> for Feed<'a> {
            fn from(values: &'a [$ty]) -> Feed<'a> {
                ArrayView::from(values).into()
            }
        }

        impl<'a> From<&'a Vec<$ty>> for Feed<'a> {
            fn from(values: &'a Vec<$ty>) -> Feed<'a> {
                values.as_slice().into()
            }
        }

        impl<'a, const N: usize> From<&'a [$ty; N]> for Feed<'a> {
            fn from(values: &'a [$ty; N]) -> Feed<'a> {
                values.as_slice().into()
            }
        }

        impl From<$ty> for Feed<'_> {
            fn from(value: $ty) -> Self {
                Feed(Data::$variant(Values::One(value)))
            }
        }
        )*

        impl<'a> From<&'a Tensor> for Feed<'a> {
            fn from(tensor: &'a Tensor) -> Feed<'a> {
                match tensor {
                    $(Tensor::$variant(array) => array.view().into(),)*
                }
            }
        }

        impl From<Scalar> for Feed<'_> {
            fn from(value: Scalar) -> Self {
                match value {
                    $(Scalar::$variant(value) => value.into(),)*
                }
            }
        }
    };
}

feeds! {
    F32: f32;
    F64: f64;
    I32: i32;
    I64: i64;
    U8: u8;
    Bool: bool;
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array, s};

    use super::*;

    #[test]
    fn arrays_in_order_are_read_where_they_are() {
        let x = array![[1.0f32, 2.0], [3.0, 4.0]];
        assert_eq!(Feed::from(&x).as_ptr(), x.as_ptr().cast());
        assert_eq!(Feed::from(x.view()).as_ptr(), x.as_ptr().cast());
        let rows = x.slice(s![1.., ..]);
        assert_eq!(Feed::from(rows).as_ptr(), rows.as_ptr().cast());
        let tensor = Tensor::from(x.clone());
        assert_eq!(Feed::from(&tensor).to_tensor(), tensor);
    }

    #[test]
    fn other_arrays_are_copied_into_order() {
        let x = array![[1i64, 2, 3], [4, 5, 6]];
        let feed = Feed::from(x.t());
        assert_eq!(feed.shape(), [3, 2]);
        assert_eq!(feed.to_tensor(), Tensor::from_vec(&[3, 2], vec![1i64, 4, 2, 5, 3, 6]));
        let backwards = x.slice(s![..;-1, ..;2]);
        assert_eq!(Feed::from(backwards).to_tensor(), Tensor::from_vec(&[2, 2], vec![4i64, 6, 1, 3]));
    }

    #[test]
    fn scalars_slices_and_empty_arrays() {
        assert_eq!(Feed::from(true).to_tensor(), Tensor::from(true));
        assert_eq!(Feed::from(&[1u8, 2][..]).ty().to_string(), "u8[2]");
        assert_eq!(Feed::from(&vec![1.0f64]).ty().to_string(), "f64[1]");
        assert_eq!(Feed::from(&Array2::<i32>::zeros((0, 7))).ty().to_string(), "i32[0,7]");
    }
}
