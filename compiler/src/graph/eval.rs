//! The evaluator of Graph IR: slow, obvious, and the definition of correct.

use std::collections::HashMap;

use cranelift_entity::SecondaryMap;

use super::{Function, Module, ValueId, Variable};
use crate::ops::EvalCx;
use crate::tensor::{Element as _, Tensor};
use crate::types::DType;

/// What outlives a call: the variables' values and the random state.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Value of every variable, by name.
    pub variables: HashMap<String, Tensor>,
    /// Seed of random ops.
    pub seed: u64,
    /// How many calls that assign variables have ended.
    pub step: u64,
}

/// An index out of range that ended a call. Variables are as they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexError {
    /// Name of the value that holds the index.
    pub name: String,
    /// Where in that value it stands.
    pub coordinates: Vec<usize>,
    /// The index.
    pub value: i64,
    /// Indices must be at least 0 and below this.
    pub bound: usize,
}

impl std::fmt::Display for IndexError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let IndexError { name, coordinates, value, bound } = self;
        write!(
            f,
            "index out of range: `%{name}`{coordinates:?} is {value}, but must be at least 0 and below {bound}"
        )
    }
}

impl std::error::Error for IndexError {}

/// Coordinates of a row-major position.
pub fn coordinates(mut position: usize, shape: &[usize]) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    for (c, &extent) in at.iter_mut().zip(shape).rev() {
        *c = position % extent.max(1);
        position /= extent.max(1);
    }
    at
}

/// Runs a verified, bound function: its results, with assignments made and the step counted in `state`.
///
/// # Errors
/// An index out of range; `state` is as it was.
///
/// # Panics
/// If the function is not verified or not bound, or parameters or variables do not have their types.
pub fn evaluate(
    module: &Module,
    function: &Function,
    params: &[Tensor],
    state: &mut State,
) -> Result<Vec<Tensor>, IndexError> {
    let values = evaluate_values(module, function, params, state)?;
    let get = |v: ValueId| values[v].clone().expect("every value was computed");
    let results = function.results.iter().map(|r| get(r.value)).collect();
    for assign in &function.assigns {
        state.variables.insert(assign.variable.clone(), get(assign.value));
    }
    if !function.assigns.is_empty() {
        state.step += 1;
    }
    Ok(results)
}

/// Every value of a function.
///
/// # Errors
/// An index out of range.
///
/// # Panics
/// As [`evaluate`].
pub fn evaluate_values(
    module: &Module,
    function: &Function,
    params: &[Tensor],
    state: &State,
) -> Result<SecondaryMap<ValueId, Option<Tensor>>, IndexError> {
    assert_eq!(params.len(), function.params.len(), "one tensor per parameter of `@{}`", function.name);
    let mut values: SecondaryMap<ValueId, Option<Tensor>> = SecondaryMap::new();
    for (&id, tensor) in function.params.iter().zip(params) {
        assert_eq!(&tensor.ty(), function.ty(id), "parameter `%{}`", function.value_name(id));
        values[id] = Some(flush(tensor.clone()));
    }
    let variable = |name: &str| {
        let id = module.variable(name).expect("the verifier checked the names of variables");
        let tensor = state.variables.get(name).unwrap_or_else(|| panic!("`@{name}` has no value"));
        assert_eq!(tensor.ty(), module.variables[id].ty, "variable `@{name}`");
        tensor.clone()
    };
    let cx = EvalCx { variable: &variable, seed: state.seed, step: state.step };
    for node in function.nodes.values() {
        let results = {
            let operands: Vec<&Tensor> =
                node.operands.iter().map(|&v| values[v].as_ref().expect("operands come first")).collect();
            node.op.eval(&cx, &operands).map_err(|fault| {
                let operand = node.operands[fault.operand];
                IndexError {
                    name: function.value_name(operand),
                    coordinates: coordinates(fault.position, &function.ty(operand).shape.bound()),
                    value: fault.value,
                    bound: fault.bound,
                }
            })?
        };
        for (&id, tensor) in node.results.iter().zip(results) {
            debug_assert_eq!(&tensor.ty(), function.ty(id), "result of `{}`", node.op.name());
            values[id] = Some(flush(tensor));
        }
    }
    Ok(values)
}

/// Subnormal floats become zero of their sign, as in compiled code.
pub(crate) fn flush(mut tensor: Tensor) -> Tensor {
    if let Some(a) = f32::unwrap_mut(&mut tensor) {
        a.mapv_inplace(|v| if v.is_subnormal() { 0.0f32.copysign(v) } else { v });
    }
    if let Some(a) = f64::unwrap_mut(&mut tensor) {
        a.mapv_inplace(|v| if v.is_subnormal() { 0.0f64.copysign(v) } else { v });
    }
    tensor
}

/// The module with f64 in place of f32, in variables, values and attributes: what it computes, nearly without rounding.
#[must_use]
pub fn in_f64(module: &Module) -> Module {
    let dtype = |d: DType| if d == DType::F32 { DType::F64 } else { d };
    let mut wide = module.clone();
    wide.variables = (module.variables.values())
        .map(|v| Variable { ty: v.ty.with_dtype(dtype(v.ty.dtype)), ..v.clone() })
        .collect();
    for function in wide.functions.values_mut() {
        for value in function.values.values_mut() {
            value.ty.dtype = dtype(value.ty.dtype);
        }
        for node in function.nodes.values_mut() {
            node.op = node.op.in_f64();
        }
    }
    for train in &mut wide.trains {
        for (_, ty) in &mut train.params {
            ty.dtype = dtype(ty.dtype);
        }
    }
    wide
}

impl State {
    /// The state with f64 in place of f32.
    #[must_use]
    pub fn in_f64(&self) -> State {
        let wide = |t: &Tensor| if t.dtype() == DType::F32 { t.cast(DType::F64) } else { t.clone() };
        State { variables: self.variables.iter().map(|(name, t)| (name.clone(), wide(t))).collect(), ..*self }
    }
}
