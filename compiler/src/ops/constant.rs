use std::sync::{Arc, OnceLock};

use super::attributes::{Attribute, AttributeValue as _, Attributes, Field, no_other_attributes, read_attribute};
use super::elementwise::expect_operands;
use super::sample::{Case, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, RewriteCx, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::lower::LowerCx;
use crate::tensor::{Scalar, Tensor};
use crate::types::{DType, TensorType};

/// A tensor that is known when the graph is built.
///
/// - C1 the result has dtype `dtype` and shape `shape`.
/// - C2 `value` holds the elements in row-major order, or is one number that all elements are.
/// - C3 every number is of the dtype: whole and within range for integers, `true` or `false` for bool.
///
/// # Errors
/// E0211, E0212, E0213 for attributes that are missing, break C2 or C3, or are unknown.
///
/// Reference: StableHLO `constant`.
#[derive(Clone, Debug)]
pub struct Constant {
    dtype: DType,
    shape: Vec<usize>,
    splat: Option<Scalar>,
    /// Set from the start unless there is a splat, which takes no memory before somebody asks for the elements.
    tensor: OnceLock<Arc<Tensor>>,
}

impl PartialEq for Constant {
    fn eq(&self, other: &Constant) -> bool {
        let alike = (self.dtype, &self.shape, self.splat) == (other.dtype, &other.shape, other.splat);
        alike && (self.splat.is_some() || self.tensor().same_bits(other.tensor()))
    }
}

impl Constant {
    /// The constant with these elements.
    pub fn new(tensor: Tensor) -> Constant {
        let (dtype, shape) = (tensor.dtype(), tensor.shape().to_vec());
        let mut elements = tensor.scalars();
        let splat = elements.next().filter(|&first| elements.all(|e| e == first));
        drop(elements);
        let tensor = if splat.is_some() { OnceLock::new() } else { Arc::new(tensor).into() };
        Constant { dtype, shape, splat, tensor }
    }

    /// The constant of this shape, which has elements, that are all this number.
    fn full(shape: Vec<usize>, value: Scalar) -> Constant {
        Constant { dtype: value.dtype(), shape, splat: Some(value), tensor: OnceLock::new() }
    }

    /// The constant without axes.
    pub fn scalar(value: Scalar) -> Constant {
        Constant::full(Vec::new(), value)
    }

    /// The elements.
    pub fn tensor(&self) -> &Tensor {
        self.elements()
    }

    /// The elements, to keep.
    pub fn shared(&self) -> Arc<Tensor> {
        self.elements().clone()
    }

    fn elements(&self) -> &Arc<Tensor> {
        self.tensor.get_or_init(|| {
            let splat = self.splat.expect("elements that are not alike are kept");
            Arc::new(Tensor::full(&self.shape, splat))
        })
    }

    /// The one number that all elements are, if there are any and it is one.
    pub fn splat(&self) -> Option<Scalar> {
        self.splat
    }
}

impl Attributes for Constant {
    const FIELDS: &'static [Field] = &[
        Field::of::<DType>("dtype", false),
        Field::of::<Vec<usize>>("shape", false),
        Field {
            name: "value",
            expected: "a number, `true` or `false`, or a list of as many as the shape has elements",
            optional: false,
        },
    ];

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        let value = match self.splat() {
            Some(splat) => Attribute::number(splat),
            None => Attribute::Elements(self.shared()),
        };
        vec![
            ("dtype", self.dtype.to_attribute()),
            ("shape", self.shape.to_attribute()),
            ("value", value),
        ]
    }

    fn from_attributes(attributes: &[(String, Attribute)]) -> Result<Constant, Diagnostic> {
        let dtype: DType = read_attribute("constant", "dtype", attributes)?;
        let shape: Vec<usize> = read_attribute("constant", "shape", attributes)?;
        no_other_attributes("constant", Self::FIELDS, attributes)?;
        let refuse = |why: String| Diagnostic::new("E0212", "attribute `value` of `constant` is invalid").note(why);
        if matches!(dtype, DType::F16 | DType::BF16) {
            return Err(refuse(format!("{dtype} is not supported yet")));
        }
        let count = shape
            .iter()
            .try_fold(1usize, |n, &e| n.checked_mul(e))
            .filter(|&n| n <= MAX_ELEMENTS)
            .ok_or_else(|| {
                refuse(format!("a constant has at most {MAX_ELEMENTS} elements"))
                    .help("keep a larger tensor in a variable, or `broadcast` one element")
            })?;
        let scalar = |a: &Attribute| {
            number(a, dtype).ok_or_else(|| refuse(format!("`{a}` is not a {dtype}")))
        };
        let value = attributes.iter().find(|(n, _)| n == "value").map(|(_, a)| a);
        match value {
            Some(Attribute::Elements(tensor)) if tensor.ty() == TensorType::new(dtype, shape.as_slice()) => {
                Ok(Constant { dtype, shape, splat: None, tensor: Arc::clone(tensor).into() })
            }
            Some(Attribute::Elements(tensor)) if tensor.len() == count => {
                let elements = tensor.scalars().map(|s| scalar(&Attribute::number(s)));
                Ok(Constant::new(Tensor::from_scalars(dtype, &shape, elements.collect::<Result<Vec<_>, _>>()?)))
            }
            Some(Attribute::List(items)) if items.len() == count => {
                let elements = items.iter().map(scalar).collect::<Result<Vec<_>, _>>()?;
                Ok(Constant::new(Tensor::from_scalars(dtype, &shape, elements)))
            }
            Some(Attribute::List(items)) => {
                Err(refuse(format!("the shape has {count} elements, found {}", items.len())))
            }
            Some(splat) => {
                let splat = scalar(splat)?;
                Ok(if count == 0 { Constant::new(Tensor::full(&shape, splat)) } else { Constant::full(shape, splat) })
            }
            None => read_attribute::<f64>("constant", "value", attributes).map(|_| unreachable!()),
        }
    }
}

/// The most elements that text may ask for with one number; larger tensors belong in a variable.
const MAX_ELEMENTS: usize = 1 << 28;

fn number(attribute: &Attribute, dtype: DType) -> Option<Scalar> {
    let scalar = match (attribute, dtype) {
        (Attribute::Float(v), _) if dtype.is_float() => Scalar::F64(*v),
        (Attribute::Int(v), _) if dtype.is_float() => Scalar::F64(*v as f64),
        (Attribute::Int(v), _) if dtype.is_int() => Scalar::I64(*v),
        (Attribute::Bool(v), DType::Bool) => Scalar::Bool(*v),
        _ => return None,
    };
    let converted = scalar.convert(dtype);
    let exact = !dtype.is_int() || converted.convert(DType::I64) == scalar;
    exact.then_some(converted)
}

impl OpDef for Constant {
    const NAME: &'static str = "constant";
    const TRAITS: OpTraits = OpTraits::PLAIN;
    const RULES: &'static [Rule<Self>] =
        &[Rule { pass: "canonicalize", law: "constant of equal elements = broadcast of a scalar", apply: splat }];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        expect_operands(Self::NAME, operands, 0)?;
        Ok(vec![TensorType::new(self.dtype, self.shape.as_slice())])
    }

    fn eval(&self, _: &EvalCx<'_>, _: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        Ok(vec![self.tensor().clone()])
    }

    fn vjp<'g>(&self, _: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        match self.splat {
            // Code that stores a number takes less room than the elements.
            Some(splat) if !self.shape.is_empty() => cx.map(|_, b| b.constant(splat)),
            _ => {
                let buffer = cx.constant(self.tensor().clone());
                cx.set_result(0, buffer);
            }
        }
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let tensors = [
            Tensor::scalar(Scalar::F32(-0.0)),
            Tensor::from_vec(&[4], vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.1]),
            Tensor::full(&[2, 3], Scalar::F32(1.5)),
            Tensor::zeros(DType::F32, &[0, 3]),
            Tensor::from_vec(&[3], vec![i64::MIN, 0, i64::MAX]),
            s.ints(&[5], -9, 9),
            s.bools(&[3]),
            Tensor::from_vec(&[2], vec![0u8, 255]),
            s.floats(&[17], -1e9, 1e9),
        ];
        tensors.into_iter().map(|t| Case::smooth(Constant::new(t), vec![])).collect()
    }
}

/// A broadcast takes no memory, and rules see what it repeats.
fn splat<'g>(op: &Constant, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let (shape, number) = (&cx.results[0].shape, op.splat()?);
    (shape.rank() > 0).then(|| vec![cx.graph.constant(Tensor::scalar(number)).broadcast_to(shape.clone())])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A short text must not take much memory: the elements are made when somebody needs them.
    #[test]
    fn equal_elements_take_no_memory() {
        let attributes = Constant::new(Tensor::full(&[2, 3], Scalar::F64(0.5))).attributes();
        let mut attributes: Vec<(String, Attribute)> =
            attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        attributes[1].1 = vec![MAX_ELEMENTS].to_attribute();
        let huge = Constant::from_attributes(&attributes).unwrap();
        assert_eq!(huge, huge.clone());
        assert_eq!(huge.splat(), Some(Scalar::F64(0.5)));
        assert!(huge.tensor.get().is_none());
        assert_eq!(huge.attributes().len(), 3);
    }

    #[test]
    fn equality_is_of_bits_and_shapes() {
        let of = |shape: &[usize], elements: &[f32]| Constant::new(Tensor::from_vec(shape, elements.to_vec()));
        assert_eq!(of(&[2], &[f32::NAN; 2]), of(&[2], &[f32::NAN; 2]));
        assert_ne!(of(&[2], &[0.0, 0.0]), of(&[2], &[0.0, -0.0]));
        assert_ne!(of(&[2], &[1.0, 1.0]), of(&[2, 1], &[1.0, 1.0]));
        assert_ne!(of(&[2], &[1.0, 2.0]), of(&[2], &[1.0, 3.0]));
        assert_ne!(of(&[0, 2], &[]), of(&[2, 0], &[]));
        assert_ne!(Constant::scalar(Scalar::F32(1.0)), Constant::scalar(Scalar::F64(1.0)));
    }
}
