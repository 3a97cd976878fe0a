//! From Graph IR to Kernel IR: every node becomes kernels of its own, as its op's rule says; fusion comes after.
//!
//! At entry: a verified function. At exit: a [`KernelFunction`] in which every value has a buffer, results and assignments
//! are copies, and no kernel shares a loop with another.
//!
//! Where the batch size is not bound, it is known when code runs: extents `c·N` become [extents](Extent) `c·n`, and all else
//! must not depend on it. An op asks for extents as numbers only where it computes with them ([`LowerCx::fixed`]), and
//! is refused where one is no number.

mod context;
pub mod pad;
pub mod reduce;
pub mod reshape;
pub mod windows;

pub use context::{FoldSpec, LowerCx};

use std::cell::RefCell;

use cranelift_entity::SecondaryMap;
use cranelift_entity::packed_option::PackedOption;

use crate::diagnostic::Diagnostic;
use crate::graph::{Function, Module, ValueId, VariableId};
use crate::kernel::{
    Access, Accumulator, Affine, BodyBuilder, Buffer, BufferId, BufferKind, Extent, FoldOp, Kernel,
    KernelFunction, ScalarId, Schedule, Stage, Store,
};
use crate::tensor::Scalar;
use crate::types::{self, DType, Shape};

/// Lowers a function of `module` whose batch size is bound.
///
/// # Panics
/// If the function was not verified or not bound.
pub fn lower(module: &Module, function: &Function) -> KernelFunction {
    let lowered = lower_range(module, function, None);
    lowered.unwrap_or_else(|error| panic!("a batch size was used before it was bound: {error:?}"))
}

/// Lowers a function of `module` for every batch size up to the largest; none: the batch size is bound.
///
/// # Errors
/// E0729 at a node that computes with the batch size in a way that kernels cannot.
///
/// # Panics
/// If the function was not verified.
pub fn lower_range(
    module: &Module,
    function: &Function,
    largest: Option<usize>,
) -> Result<KernelFunction, Diagnostic> {
    let mut out = KernelFunction { name: function.name.clone(), largest, ..KernelFunction::default() };
    let mut known = Known { names: function.value_names(), ..Known::default() };
    for (n, &param) in function.params.iter().enumerate() {
        let buffer = buffer_of(&out, function, &known.names, param, BufferKind::Param(n));
        known.values[param] = out.buffers.push(buffer).into();
    }
    for node in function.nodes.values() {
        let mut cx = LowerCx { module, function, node, out: &mut out, known: &mut known };
        node.op.lower(&mut cx);
        if let Some(why) = cx.known.refused.take() {
            let what = format!(
                "`{}` cannot run for every batch size up to {}",
                node.op.name(),
                largest.unwrap_or(0)
            );
            return Err(Diagnostic::new("E0729", what)
                .or_at(&node.place)
                .note(why)
                .help("name the batch sizes one by one: each has code of its own then"));
        }
        for &result in &node.results {
            let is_known = known.values[result].is_some();
            assert!(is_known, "`{}` lowered without defining a result", node.op.name());
        }
    }
    let Known { names, values, .. } = known;
    for (n, result) in function.results.iter().enumerate() {
        let mut to = buffer_of(&out, function, &names, result.value, BufferKind::Result(n));
        to.name.clone_from(&result.name);
        copy(&mut out, values[result.value].expect("results are defined"), to);
    }
    for assign in &function.assigns {
        let variable =
            module.variable(&assign.variable).expect("the verifier checked the names of variables");
        let kind = BufferKind::Next(variable.as_u32() as usize);
        let mut to = buffer_of(&out, function, &names, assign.value, kind);
        to.name.clone_from(&assign.variable);
        copy(&mut out, values[assign.value].expect("assigned values are defined"), to);
    }
    Ok(out)
}

/// What is known of a function while it is lowered.
#[derive(Default)]
struct Known {
    /// Names of all its values.
    names: SecondaryMap<ValueId, String>,
    /// Buffers of the values that have been lowered.
    values: SecondaryMap<ValueId, PackedOption<BufferId>>,
    /// Buffers of the variables that have been read.
    variables: SecondaryMap<VariableId, PackedOption<BufferId>>,
    /// Buffer of the random state, if it has been read.
    random_state: Option<BufferId>,
    /// Why the node that is being lowered cannot be.
    refused: RefCell<Option<String>>,
}

/// Extents of a shape, where those that depend on the batch size do so for as many as `largest`.
fn extents(shape: &Shape, largest: Option<usize>) -> Vec<Extent> {
    let extent = |extent: &types::Extent| match (*extent, largest) {
        (types::Extent::Const(c), _) => c.into(),
        (types::Extent::Batch(c), Some(largest)) => Extent::batch(c, largest),
        (types::Extent::Batch(_), None) => {
            panic!("the shape {shape} was used before its batch size was bound")
        }
    };
    shape.0.iter().map(extent).collect()
}

fn buffer_of(
    out: &KernelFunction,
    function: &Function,
    names: &SecondaryMap<ValueId, String>,
    value: ValueId,
    kind: BufferKind,
) -> Buffer {
    let ty = function.ty(value);
    Buffer {
        name: names[value].clone(),
        dtype: ty.dtype,
        shape: extents(&ty.shape, out.largest),
        pitch: None,
        kind,
    }
}

/// Adds a kernel that copies a buffer to a new one of the same type.
fn copy(out: &mut KernelFunction, from: BufferId, to: Buffer) {
    let axes = to.shape.clone();
    let (dtype, name) = (to.dtype, format!("copy to {}", to.name));
    let to = out.buffers.push(to);
    let b = BodyBuilder::new();
    let value = b.load(identity_access(from, dtype, axes.len()), dtype);
    let store = store(value, to, identity(axes.len()));
    push_kernel(
        out,
        axes,
        vec![Stage { axes: vec![], fold: None, body: b.finish(), stores: vec![store] }],
        name,
    );
}

fn push_kernel(out: &mut KernelFunction, axes: Vec<Extent>, stages: Vec<Stage>, origin: String) {
    let name = format!("k{}", out.kernels.len());
    out.kernels.push(Kernel { name, axes, stages, schedule: Schedule::default(), origin: vec![origin] });
}

/// The first `rank` axes, as the index of a buffer that they walk.
pub fn identity(rank: usize) -> Vec<Affine> {
    (0..rank).map(Affine::axis).collect()
}

fn identity_access(buffer: BufferId, dtype: DType, rank: usize) -> Access {
    Access { buffer, index: identity(rank), indirect: None, guards: vec![], fill: Scalar::zero(dtype) }
}

/// An accumulator of this type.
pub fn accumulator(op: FoldOp, dtype: DType) -> Accumulator {
    Accumulator { op, dtype }
}

/// A store of a value at an index.
pub fn store(value: ScalarId, buffer: BufferId, index: Vec<Affine>) -> Store {
    Store { value, buffer, index, indirect: None, add: false }
}
