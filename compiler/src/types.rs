//! Element types, extents and shapes: what the type of a tensor says.

use std::fmt;

/// Element type of a tensor.
///
/// `F16` and `BF16` hold their place in every match; no op accepts them yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum DType {
    F32,
    F64,
    F16,
    BF16,
    I32,
    I64,
    U8,
    Bool,
}

impl DType {
    /// Every dtype, in the order of the enum.
    pub const ALL: [DType; 8] =
        [DType::F32, DType::F64, DType::F16, DType::BF16, DType::I32, DType::I64, DType::U8, DType::Bool];

    /// Size of an element in memory, in bytes. A bool takes one byte, 0 or 1.
    pub const fn bytes(self) -> usize {
        match self {
            DType::F64 | DType::I64 => 8,
            DType::F32 | DType::I32 => 4,
            DType::F16 | DType::BF16 => 2,
            DType::U8 | DType::Bool => 1,
        }
    }

    /// Whether values are IEEE floating-point numbers.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64 | DType::F16 | DType::BF16)
    }

    /// Whether values are integers (bool is not).
    pub const fn is_int(self) -> bool {
        matches!(self, DType::I32 | DType::I64 | DType::U8)
    }

    /// The name in text, such as `f32`.
    pub const fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::U8 => "u8",
            DType::Bool => "bool",
        }
    }

    /// The dtype that `name` names in text.
    pub fn from_name(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|d| d.name() == name)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Number of indices along an axis: `c`, or `c·N` where `N` is the batch size, bound when a program is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extent {
    /// A fixed number.
    Const(usize),
    /// This many times the batch size. The factor is at least 1.
    Batch(usize),
}

/// The largest number of elements that a tensor may have, so that byte sizes and offsets never overflow.
pub const MAX_ELEMENTS: usize = 1 << 40;

/// The largest number of axes that a tensor may have.
pub const MAX_RANK: usize = 32;

impl Extent {
    /// The batch size itself.
    pub const N: Extent = Extent::Batch(1);

    /// The extent as a number, where it is one.
    pub fn as_const(self) -> Option<usize> {
        match self {
            Extent::Const(c) => Some(c),
            Extent::Batch(_) => None,
        }
    }

    /// The extent for batch size `n`; `None` on overflow.
    pub fn bind(self, n: usize) -> Option<usize> {
        match self {
            Extent::Const(c) => Some(c),
            Extent::Batch(c) => c.checked_mul(n),
        }
    }

    /// The sum, where it is again an extent: `c + c`, `c·N + c·N`, or anything plus zero.
    pub fn checked_add(self, other: Extent) -> Option<Extent> {
        match (self, other) {
            (Extent::Const(a), Extent::Const(b)) => a.checked_add(b).map(Extent::Const),
            (Extent::Batch(a), Extent::Batch(b)) => a.checked_add(b).map(Extent::Batch),
            (e, Extent::Const(0)) | (Extent::Const(0), e) => Some(e),
            _ => None,
        }
    }
}

impl From<usize> for Extent {
    fn from(c: usize) -> Extent {
        Extent::Const(c)
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Extent::Const(c) => write!(f, "{c}"),
            Extent::Batch(1) => f.write_str("N"),
            Extent::Batch(c) => write!(f, "{c}*N"),
        }
    }
}

/// The extents of a tensor, outermost axis first. The empty shape is a scalar.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Shape(pub Vec<Extent>);

impl Shape {
    /// The shape of a scalar.
    pub fn scalar() -> Shape {
        Shape(Vec::new())
    }

    /// A shape of fixed extents.
    pub fn fixed(extents: &[usize]) -> Shape {
        Shape(extents.iter().map(|&c| Extent::Const(c)).collect())
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The extents as numbers, where none depends on the batch size.
    pub fn as_fixed(&self) -> Option<Vec<usize>> {
        self.0.iter().map(|e| e.as_const()).collect()
    }

    /// Whether the extents are these numbers.
    pub fn is(&self, extents: &[usize]) -> bool {
        self.0.len() == extents.len() && self.0.iter().zip(extents).all(|(e, &n)| e.as_const() == Some(n))
    }

    /// The extents as numbers, of a shape that was bound to a batch size.
    ///
    /// # Panics
    /// If an extent depends on the batch size: the caller runs after binding.
    pub fn bound(&self) -> Vec<usize> {
        self.as_fixed().unwrap_or_else(|| panic!("the shape {self} was used before its batch size was bound"))
    }

    /// Number of elements as `(c, p)`, meaning `c · N^p`; `None` on overflow of `c`.
    pub fn elements(&self) -> Option<(usize, u32)> {
        // An empty axis makes the tensor empty, whatever the others are.
        if self.0.contains(&Extent::Const(0)) {
            return Some((0, 0));
        }
        self.0.iter().try_fold((1usize, 0), |(c, p), e| match e {
            Extent::Const(k) => Some((c.checked_mul(*k)?, p)),
            Extent::Batch(k) => Some((c.checked_mul(*k)?, p + 1)),
        })
    }

    /// The extents for batch size `n`; `None` if the number of elements would exceed [`MAX_ELEMENTS`].
    pub fn bind(&self, n: usize) -> Option<Shape> {
        let extents = self.0.iter().map(|e| e.bind(n)).collect::<Option<Vec<_>>>()?;
        let shape = Shape::fixed(&extents);
        shape.elements().filter(|&(c, _)| c <= MAX_ELEMENTS)?;
        Some(shape)
    }
}

impl<E: Into<Extent> + Copy, const R: usize> From<[E; R]> for Shape {
    fn from(extents: [E; R]) -> Shape {
        Shape(extents.iter().map(|&e| e.into()).collect())
    }
}

impl From<&[usize]> for Shape {
    fn from(extents: &[usize]) -> Shape {
        Shape::fixed(extents)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, e) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{e}")?;
        }
        f.write_str("]")
    }
}

/// Dtype and shape of a tensor, written `f32[N,784]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Element type.
    pub dtype: DType,
    /// Extents.
    pub shape: Shape,
}

impl TensorType {
    /// The type with these parts.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> TensorType {
        TensorType { dtype, shape: shape.into() }
    }

    /// The type of a scalar.
    pub fn scalar(dtype: DType) -> TensorType {
        TensorType { dtype, shape: Shape::scalar() }
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.shape.rank()
    }

    /// The same shape with another dtype.
    pub fn with_dtype(&self, dtype: DType) -> TensorType {
        TensorType { dtype, shape: self.shape.clone() }
    }

    /// The same dtype with another shape.
    pub fn with_shape(&self, shape: impl Into<Shape>) -> TensorType {
        TensorType { dtype: self.dtype, shape: shape.into() }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}

/// Row-major strides of a dense tensor, in elements.
pub fn dense_strides(extents: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; extents.len()];
    for d in (1..extents.len()).rev() {
        strides[d - 1] = strides[d] * extents[d].max(1);
    }
    strides
}
