//! Host tensors: dense arrays of any dtype, at API borders and in both evaluators.

use ndarray::{ArrayD, IxDyn};

use crate::types::{DType, Shape, TensorType};

/// Runs an expression with the array inside a tensor bound to a name, whatever its element type.
macro_rules! dispatch {
    ($tensor:expr, $array:ident => $body:expr) => {
        match $tensor {
            $crate::tensor::Tensor::F32($array) => $body,
            $crate::tensor::Tensor::F64($array) => $body,
            $crate::tensor::Tensor::I32($array) => $body,
            $crate::tensor::Tensor::I64($array) => $body,
            $crate::tensor::Tensor::U8($array) => $body,
            $crate::tensor::Tensor::Bool($array) => $body,
        }
    };
}

/// Runs an expression with a type name bound to the element type of a dtype.
macro_rules! with_element {
    (@as $t:ident = $ty:ty => $body:expr) => {{
        type $t = $ty;
        $body
    }};
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            $crate::types::DType::F32 => with_element!(@as $t = f32 => $body),
            $crate::types::DType::F64 => with_element!(@as $t = f64 => $body),
            $crate::types::DType::I32 => with_element!(@as $t = i32 => $body),
            $crate::types::DType::I64 => with_element!(@as $t = i64 => $body),
            $crate::types::DType::U8 => with_element!(@as $t = u8 => $body),
            $crate::types::DType::Bool => with_element!(@as $t = bool => $body),
            dtype @ ($crate::types::DType::F16 | $crate::types::DType::BF16) => {
                unreachable!("no op accepts {dtype} yet")
            }
        }
    };
}

pub(crate) use {dispatch, with_element};

/// One element, of any dtype that a tensor can hold. Equality is of bits, so `nan` equals itself and `-0.0` is not `0.0`.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Scalar {
    F32(f32),
    F64(f64),
    I32(i32),
    I64(i64),
    U8(u8),
    Bool(bool),
}

/// A dense array of one dtype, in row-major order.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Tensor {
    F32(ArrayD<f32>),
    F64(ArrayD<f64>),
    I32(ArrayD<i32>),
    I64(ArrayD<i64>),
    U8(ArrayD<u8>),
    Bool(ArrayD<bool>),
}

/// A Rust type that is the element type of some [`Tensor`].
pub trait Element: Copy + PartialEq + PartialOrd + std::fmt::Debug + Send + Sync + 'static {
    /// The dtype of a tensor with such elements.
    const DTYPE: DType;
    /// Wraps an array.
    fn wrap(array: ArrayD<Self>) -> Tensor;
    /// The array inside, if it has this element type.
    fn unwrap(tensor: &Tensor) -> Option<&ArrayD<Self>>;
    /// The array inside, if it has this element type.
    fn unwrap_mut(tensor: &mut Tensor) -> Option<&mut ArrayD<Self>>;
    /// Wraps one element.
    fn scalar(self) -> Scalar;
    /// Conversion as op `cast` defines it: float to integer truncates and saturates and takes NaN to 0; between
    /// integers it wraps; to bool it is `≠ 0`.
    fn convert(from: Scalar) -> Self;
}

macro_rules! elements {
    ($($variant:ident: $ty:ty, $from:ident => $convert:expr;)*) => {
        $(impl Element for $ty {
            const DTYPE: DType = DType::$variant;
            fn wrap(array: ArrayD<$ty>) -> Tensor {
                Tensor::$variant(array)
            }
            fn unwrap(tensor: &Tensor) -> Option<&ArrayD<$ty>> {
                match tensor {
                    Tensor::$variant(a) => Some(a),
                    _ => None,
                }
            }
            fn unwrap_mut(tensor: &mut Tensor) -> Option<&mut ArrayD<$ty>> {
                match tensor {
                    Tensor::$variant(a) => Some(a),
                    _ => None,
                }
            }
            fn scalar(self) -> Scalar {
                Scalar::$variant(self)
            }
            fn convert($from: Scalar) -> $ty {
                $convert
            }
        })*

        impl Scalar {
            /// The dtype of this element.
            pub fn dtype(self) -> DType {
                match self {
                    $(Scalar::$variant(_) => DType::$variant,)*
                }
            }
        }
    };
}

macro_rules! numeric {
    ($from:ident, $t:ty) => {
        match $from {
            Scalar::F32(v) => v as $t,
            Scalar::F64(v) => v as $t,
            Scalar::I32(v) => v as $t,
            Scalar::I64(v) => v as $t,
            Scalar::U8(v) => v as $t,
            Scalar::Bool(v) => v as u8 as $t,
        }
    };
}

elements! {
    F32: f32, from => numeric!(from, f32);
    F64: f64, from => numeric!(from, f64);
    I32: i32, from => numeric!(from, i32);
    I64: i64, from => numeric!(from, i64);
    U8: u8, from => numeric!(from, u8);
    Bool: bool, from => match from {
        Scalar::F32(v) => v != 0.0,
        Scalar::F64(v) => v != 0.0,
        Scalar::I32(v) => v != 0,
        Scalar::I64(v) => v != 0,
        Scalar::U8(v) => v != 0,
        Scalar::Bool(v) => v,
    };
}

impl Scalar {
    /// Zero, or false.
    pub fn zero(dtype: DType) -> Scalar {
        Scalar::F64(0.0).convert(dtype)
    }

    /// The element converted as op `cast` defines it.
    pub fn convert(self, dtype: DType) -> Scalar {
        with_element!(dtype, T => T::convert(self).scalar())
    }

    /// The value as f64; large i64 round to nearest.
    pub fn as_f64(self) -> f64 {
        f64::convert(self)
    }

    /// The bytes of the element, zero-extended.
    pub fn bits(self) -> u64 {
        match self {
            Scalar::F32(v) => u64::from(v.to_bits()),
            Scalar::F64(v) => v.to_bits(),
            Scalar::I32(v) => u64::from(v as u32),
            Scalar::I64(v) => v as u64,
            Scalar::U8(v) => u64::from(v),
            Scalar::Bool(v) => u64::from(v),
        }
    }

    /// The element of `dtype` with these bits.
    pub fn from_bits(dtype: DType, bits: u64) -> Scalar {
        match dtype {
            DType::F32 => Scalar::F32(f32::from_bits(bits as u32)),
            DType::F64 => Scalar::F64(f64::from_bits(bits)),
            DType::I32 => Scalar::I32(bits as i32),
            DType::I64 => Scalar::I64(bits as i64),
            DType::U8 => Scalar::U8(bits as u8),
            DType::Bool => Scalar::Bool(bits & 1 != 0),
            DType::F16 | DType::BF16 => unreachable!("no op accepts {dtype} yet"),
        }
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Scalar) -> bool {
        self.dtype() == other.dtype() && self.bits() == other.bits()
    }
}

impl Eq for Scalar {}

impl std::hash::Hash for Scalar {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.dtype(), self.bits()).hash(state);
    }
}

/// Prints so that parsing gives back the same bits: `1.5`, `-inf`, `nan`, `nan(0xffc00000)`, `3`, `true`.
impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Scalar::F32(v) if v.to_bits() == f32::NAN.to_bits() => f.write_str("nan"),
            Scalar::F64(v) if v.to_bits() == f64::NAN.to_bits() => f.write_str("nan"),
            Scalar::F32(v) if v.is_nan() => write!(f, "nan({:#x})", v.to_bits()),
            Scalar::F64(v) if v.is_nan() => write!(f, "nan({:#x})", v.to_bits()),
            Scalar::F32(v) => write!(f, "{v:?}"),
            Scalar::F64(v) => write!(f, "{v:?}"),
            Scalar::I32(v) => write!(f, "{v}"),
            Scalar::I64(v) => write!(f, "{v}"),
            Scalar::U8(v) => write!(f, "{v}"),
            Scalar::Bool(v) => write!(f, "{v}"),
        }
    }
}

impl Tensor {
    /// A tensor from elements in row-major order.
    ///
    /// # Panics
    /// If the number of elements is not that of the shape.
    pub fn from_vec<T: Element>(shape: &[usize], elements: Vec<T>) -> Tensor {
        let n = elements.len();
        T::wrap(
            ArrayD::from_shape_vec(IxDyn(shape), elements)
                .unwrap_or_else(|_| panic!("{n} elements do not fill the shape {shape:?}")),
        )
    }

    /// A tensor without axes.
    pub fn scalar(value: Scalar) -> Tensor {
        Tensor::full(&[], value)
    }

    /// A tensor with all elements alike.
    pub fn full(shape: &[usize], value: Scalar) -> Tensor {
        with_element!(value.dtype(), T => T::wrap(ArrayD::from_elem(IxDyn(shape), T::convert(value))))
    }

    /// A tensor of zeros (or false).
    pub fn zeros(dtype: DType, shape: &[usize]) -> Tensor {
        Tensor::full(shape, Scalar::zero(dtype))
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        fn of<T: Element>(_: &ArrayD<T>) -> DType {
            T::DTYPE
        }
        dispatch!(self, a => of(a))
    }

    /// Extents.
    pub fn shape(&self) -> &[usize] {
        dispatch!(self, a => a.shape())
    }

    /// Dtype and shape.
    pub fn ty(&self) -> TensorType {
        TensorType::new(self.dtype(), Shape::fixed(self.shape()))
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        dispatch!(self, a => a.len())
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The array inside, if its element type is `T`.
    pub fn get<T: Element>(&self) -> Option<&ArrayD<T>> {
        T::unwrap(self)
    }

    /// The array inside.
    ///
    /// # Panics
    /// If its element type is not `T`: for callers that have checked the dtype.
    pub fn array<T: Element>(&self) -> &ArrayD<T> {
        T::unwrap(self).unwrap_or_else(|| panic!("expected a tensor of {}, found {}", T::DTYPE, self.ty()))
    }

    /// The element at a row-major position.
    pub fn at(&self, position: usize) -> Scalar {
        fn of<T: Element>(a: &ArrayD<T>, position: usize) -> Scalar {
            match a.as_slice() {
                Some(s) => s[position].scalar(),
                None => a.iter().nth(position).expect("position is within the tensor").scalar(),
            }
        }
        dispatch!(self, a => of(a, position))
    }

    /// The elements in row-major order.
    pub fn scalars(&self) -> impl Iterator<Item = Scalar> {
        fn of<T: Element>(a: &ArrayD<T>) -> Box<dyn Iterator<Item = Scalar> + '_> {
            Box::new(a.iter().map(|v| v.scalar()))
        }
        dispatch!(self, a => of(a))
    }

    /// A tensor from scalars of one dtype in row-major order, each converted to `dtype`.
    ///
    /// # Panics
    /// If the number of elements is not that of the shape.
    pub fn from_scalars(dtype: DType, shape: &[usize], elements: impl IntoIterator<Item = Scalar>) -> Tensor {
        with_element!(dtype, T => Tensor::from_vec(shape, elements.into_iter().map(T::convert).collect()))
    }

    /// Every element converted as op `cast` defines it.
    pub fn cast(&self, dtype: DType) -> Tensor {
        if self.dtype() == dtype {
            return self.clone();
        }
        Tensor::from_scalars(dtype, self.shape(), self.scalars())
    }

    /// The bytes of the elements in row-major order, little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let width = self.dtype().bytes();
        self.scalars().flat_map(|s| s.bits().to_le_bytes().into_iter().take(width)).collect()
    }

    /// A tensor from the little-endian bytes of its elements; `None` if their number does not fit.
    pub fn from_bytes(dtype: DType, shape: &[usize], bytes: &[u8]) -> Option<Tensor> {
        let width = dtype.bytes();
        let n: usize = shape.iter().product();
        if bytes.len() != n.checked_mul(width)? {
            return None;
        }
        Some(Tensor::from_scalars(
            dtype,
            shape,
            bytes.chunks_exact(width).map(|c| {
                let mut b = [0; 8];
                b[..width].copy_from_slice(c);
                Scalar::from_bits(dtype, u64::from_le_bytes(b))
            }),
        ))
    }

    /// Whether dtype, shape and the bits of every element agree.
    pub fn same_bits(&self, other: &Tensor) -> bool {
        self.ty() == other.ty() && self.scalars().zip(other.scalars()).all(|(a, b)| a == b)
    }
}

/// Equality is of dtype, shape and bits, as [`Tensor::same_bits`].
impl PartialEq for Tensor {
    fn eq(&self, other: &Tensor) -> bool {
        self.same_bits(other)
    }
}

impl Eq for Tensor {}

impl<T: Element, D: ndarray::Dimension> From<ndarray::Array<T, D>> for Tensor {
    fn from(array: ndarray::Array<T, D>) -> Tensor {
        let array = array.into_dyn();
        // Elements are addressed by row-major position throughout.
        T::wrap(if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() })
    }
}

impl<T: Element> From<T> for Tensor {
    fn from(value: T) -> Tensor {
        Tensor::scalar(value.scalar())
    }
}
