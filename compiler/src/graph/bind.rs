//! Binding of the batch size.

use super::{Function, Module};
use crate::diagnostic::Diagnostic;
use crate::ops::InferCx;
use crate::ops::attributes::Attribute;
use crate::types::{Extent, TensorType};

/// The function with every extent `c·N` replaced by the number that it is for batch size `n`, in types and attributes.
///
/// # Errors
/// E0601 if a tensor would have more elements than any may have; E02xx if an op refuses the extents that result, as
/// some do an empty axis.
pub fn bind(module: &Module, function: &Function, n: usize) -> Result<Function, Diagnostic> {
    let too_large = |what: &str, ty: &TensorType| {
        Diagnostic::new("E0601", format!("{what} of type {ty} is too large at batch size {n}"))
            .help("use a smaller batch")
    };
    let mut bound = function.clone();
    for (id, value) in &mut bound.values {
        match value.ty.shape.bind(n) {
            Some(shape) => value.ty.shape = shape,
            None => {
                let place = function.def(id).map_or(&function.place, |node| &node.place);
                return Err(too_large(&format!("`%{}`", function.value_name(id)), &value.ty).or_at(place));
            }
        }
    }
    let number = |a: &Attribute| match a {
        // What does not fit in an attribute does not fit in the types, which were checked above.
        Attribute::Batch(c) => Attribute::Int(Extent::Batch(*c).bind(n).map_or(i64::MAX, |v| v as i64)),
        other => other.clone(),
    };
    for id in function.nodes.keys() {
        let node = &mut bound.nodes[id];
        node.op = node.op.map_attributes(&number);
        let types: Vec<TensorType> = node.operands.iter().map(|&v| bound.values[v].ty.clone()).collect();
        let inferred =
            node.op.infer(&InferCx { module }, &types).map_err(|e| e.or_at(&function.nodes[id].place))?;
        for (&value, ty) in node.results.iter().zip(inferred) {
            if ty.shape.elements().is_none_or(|(c, _)| c > crate::types::MAX_ELEMENTS) {
                return Err(too_large("a value", &ty).or_at(&function.nodes[id].place));
            }
            bound.values[value].ty = ty;
        }
    }
    Ok(bound)
}

/// Whether any extent of the function depends on the batch size.
pub fn is_symbolic(function: &Function) -> bool {
    function.values.values().any(|v| v.ty.shape.as_fixed().is_none())
}
