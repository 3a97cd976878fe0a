//! From Graph IR to Kernel IR: every node becomes kernels of its own, as its op's rule says; fusion comes after.
//!
//! At entry: a verified function whose batch size is bound. At exit: a [`KernelFunction`] in which every value has a
//! buffer, results and assignments are copies, and no kernel shares a loop with another.

pub mod pad;
pub mod reduce;
pub mod reshape;
pub mod windows;

use cranelift_entity::SecondaryMap;
use cranelift_entity::packed_option::PackedOption;

use crate::graph::{Function, Module, Node, ValueId, VariableId};
use crate::kernel::{
    Access, Accumulator, Affine, BodyBuilder, Buffer, BufferId, BufferKind, CheckSite, Fold, FoldKind,
    FoldOp, Guard, Kernel, KernelFunction, ScalarId, Schedule, Stage, Store,
};
use crate::tensor::{Scalar, Tensor};
use crate::types::DType;

/// Lowers a function of `module` whose batch size is bound.
///
/// # Panics
/// If the function was not verified or not bound.
pub fn lower(module: &Module, function: &Function) -> KernelFunction {
    let mut out = KernelFunction { name: function.name.clone(), ..KernelFunction::default() };
    let mut known = Known { names: function.value_names(), ..Known::default() };
    for (n, &param) in function.params.iter().enumerate() {
        let buffer = buffer_of(function, &known.names, param, BufferKind::Param(n));
        known.values[param] = out.buffers.push(buffer).into();
    }
    for node in function.nodes.values() {
        let mut cx = LowerCx { module, function, node, out: &mut out, known: &mut known };
        node.op.lower(&mut cx);
        for &result in &node.results {
            let is_known = known.values[result].is_some();
            assert!(is_known, "`{}` lowered without defining a result", node.op.name());
        }
    }
    let Known { names, values, .. } = known;
    for (n, result) in function.results.iter().enumerate() {
        let mut to = buffer_of(function, &names, result.value, BufferKind::Result(n));
        to.name.clone_from(&result.name);
        copy(&mut out, values[result.value].expect("results are defined"), to);
    }
    for assign in &function.assigns {
        let variable =
            module.variable(&assign.variable).expect("the verifier checked the names of variables");
        let mut to = buffer_of(function, &names, assign.value, BufferKind::Next(variable.as_u32() as usize));
        to.name.clone_from(&assign.variable);
        copy(&mut out, values[assign.value].expect("assigned values are defined"), to);
    }
    out
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
}

fn buffer_of(
    function: &Function,
    names: &SecondaryMap<ValueId, String>,
    value: ValueId,
    kind: BufferKind,
) -> Buffer {
    let ty = function.ty(value);
    Buffer { name: names[value].clone(), dtype: ty.dtype, shape: ty.shape.bound(), pitch: None, kind }
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

fn push_kernel(out: &mut KernelFunction, axes: Vec<usize>, stages: Vec<Stage>, origin: String) {
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

/// What the lowering rule of an op is given: the node's operands and results as buffers, and ways to add kernels.
pub struct LowerCx<'a> {
    module: &'a Module,
    function: &'a Function,
    node: &'a Node,
    out: &'a mut KernelFunction,
    known: &'a mut Known,
}

/// What a fold kernel is made of; see [`LowerCx::fold`].
pub struct FoldSpec {
    /// Extents of the kernel's axes; the result is stored at the same coordinates.
    pub axes: Vec<usize>,
    /// Whether the body runs once at the end or after every element.
    pub kind: FoldKind,
    /// Extents of the axes that are folded, numbered after the kernel's.
    pub fold_axes: Vec<usize>,
    /// Number of partial results.
    pub lanes: usize,
}

impl LowerCx<'_> {
    /// Number of operands.
    pub fn operand_count(&self) -> usize {
        self.node.operands.len()
    }

    /// Buffer of the n-th operand.
    pub fn operand(&self, n: usize) -> BufferId {
        self.known.values[self.node.operands[n]].expect("operands are defined before their uses")
    }

    /// Extents of the n-th operand.
    pub fn operand_shape(&self, n: usize) -> Vec<usize> {
        self.function.ty(self.node.operands[n]).shape.bound()
    }

    /// Dtype of the n-th operand.
    pub fn operand_dtype(&self, n: usize) -> DType {
        self.function.ty(self.node.operands[n]).dtype
    }

    /// Name of the n-th operand, for errors.
    pub fn operand_name(&self, n: usize) -> String {
        self.known.names[self.node.operands[n]].clone()
    }

    /// Extents of the n-th result.
    pub fn result_shape(&self, n: usize) -> Vec<usize> {
        self.function.ty(self.node.results[n]).shape.bound()
    }

    /// Dtype of the n-th result.
    pub fn result_dtype(&self, n: usize) -> DType {
        self.function.ty(self.node.results[n]).dtype
    }

    /// Buffer of the n-th result, made when first asked for.
    pub fn result(&mut self, n: usize) -> BufferId {
        let value = self.node.results[n];
        if let Some(buffer) = self.known.values[value].expand() {
            return buffer;
        }
        let buffer =
            self.out.buffers.push(buffer_of(self.function, &self.known.names, value, BufferKind::Temp));
        self.known.values[value] = buffer.into();
        buffer
    }

    /// Makes the n-th result the contents of a buffer that exists: nothing is computed.
    pub fn set_result(&mut self, n: usize, buffer: BufferId) {
        self.known.values[self.node.results[n]] = buffer.into();
    }

    /// Makes the first result the bytes of the first operand under the result's shape: nothing is computed.
    pub fn alias(&mut self) {
        let value = self.node.results[0];
        let buffer = buffer_of(self.function, &self.known.names, value, BufferKind::Alias(self.operand(0)));
        self.known.values[value] = self.out.buffers.push(buffer).into();
    }

    /// A further buffer for a value between two kernels of this op.
    pub fn temp(&mut self, dtype: DType, shape: Vec<usize>) -> BufferId {
        let name = format!("{}.part", self.known.names[self.node.results[0]]);
        self.out.buffers.push(Buffer { name, dtype, shape, pitch: None, kind: BufferKind::Temp })
    }

    /// A buffer that holds a constant.
    pub fn constant(&mut self, tensor: Tensor) -> BufferId {
        let (dtype, shape) = (tensor.dtype(), tensor.shape().to_vec());
        let name = self.known.names[self.node.results[0]].clone();
        self.out.buffers.push(Buffer { name, dtype, shape, pitch: None, kind: BufferKind::Constant(tensor) })
    }

    /// The buffer of the value at entry of the variable with this name.
    pub fn variable(&mut self, name: &str) -> BufferId {
        let id = self.module.variable(name).expect("the verifier checked the names of variables");
        if let Some(buffer) = self.known.variables[id].expand() {
            return buffer;
        }
        let ty = &self.module.variables[id].ty;
        let (dtype, shape) = (ty.dtype, ty.shape.bound());
        let kind = BufferKind::Variable(id.as_u32() as usize);
        let buffer = self.out.buffers.push(Buffer { name: name.to_owned(), dtype, shape, pitch: None, kind });
        self.known.variables[id] = buffer.into();
        buffer
    }

    /// The buffer with the instance's seed and step, `i64[2]`.
    pub fn random_state(&mut self) -> BufferId {
        *self.known.random_state.get_or_insert_with(|| {
            let (name, kind) = ("random".to_owned(), BufferKind::RandomState);
            self.out.buffers.push(Buffer { name, dtype: DType::I64, shape: vec![2], pitch: None, kind })
        })
    }

    /// A new check site for indices held by the n-th operand.
    pub fn check_site(&mut self, operand: usize, bound: usize) -> usize {
        self.out.checks.push(CheckSite {
            name: self.operand_name(operand),
            shape: self.operand_shape(operand),
            bound,
        });
        self.out.checks.len() - 1
    }

    /// An element of a buffer at this index.
    pub fn load(&self, b: &BodyBuilder, buffer: BufferId, index: Vec<Affine>) -> ScalarId {
        self.load_within(b, buffer, index, vec![], None)
    }

    /// An element of a buffer where all guards hold, else `fill`, which is zero if not given.
    pub fn load_within(
        &self,
        b: &BodyBuilder,
        buffer: BufferId,
        index: Vec<Affine>,
        guards: Vec<Guard>,
        fill: Option<Scalar>,
    ) -> ScalarId {
        let dtype = self.out.buffers[buffer].dtype;
        let fill = fill.unwrap_or(Scalar::zero(dtype));
        b.load(Access { buffer, index, indirect: None, guards, fill }, dtype)
    }

    /// Adds a kernel over the elements of the first result; `body` gives the one at the kernel's axes.
    pub fn map(&mut self, body: impl FnOnce(&LowerCx<'_>, &BodyBuilder) -> ScalarId) {
        let (axes, to) = (self.result_shape(0), self.result(0));
        let index = identity(axes.len());
        self.map_to(axes, to, index, body);
    }

    /// Adds a kernel over `axes`; `body` gives the element of `to` at `index`.
    pub fn map_to(
        &mut self,
        axes: Vec<usize>,
        to: BufferId,
        index: Vec<Affine>,
        body: impl FnOnce(&LowerCx<'_>, &BodyBuilder) -> ScalarId,
    ) {
        let b = BodyBuilder::new();
        let value = body(self, &b);
        let stores = vec![store(value, to, index)];
        self.kernel(axes, vec![Stage { axes: vec![], fold: None, body: b.finish(), stores }]);
    }

    /// Adds a kernel for an elementwise op; `body` gives an element of the result from those of the operands.
    pub fn elementwise(&mut self, body: impl FnOnce(&BodyBuilder, &[ScalarId]) -> ScalarId) {
        self.map(|cx, b| {
            let rank = cx.result_shape(0).len();
            let operands: Vec<_> =
                (0..cx.operand_count()).map(|n| cx.load(b, cx.operand(n), identity(rank))).collect();
            body(b, &operands)
        });
    }

    /// Adds a kernel with one fold. `element` gives what is combined for one point; `body` gives the value that is
    /// stored in `to`, at the kernel's axes (and the fold's, in a scan), from the accumulators.
    pub fn fold(
        &mut self,
        spec: FoldSpec,
        to: BufferId,
        element: impl FnOnce(&LowerCx<'_>, &BodyBuilder) -> Vec<Accumulator>,
        body: impl FnOnce(&LowerCx<'_>, &BodyBuilder) -> ScalarId,
    ) {
        let index = identity(self.out.buffers[to].shape.len());
        self.fold_to(spec, to, index, element, body);
    }

    /// Like [`fold`](LowerCx::fold), with the value stored at `index`.
    pub fn fold_to(
        &mut self,
        spec: FoldSpec,
        to: BufferId,
        index: Vec<Affine>,
        element: impl FnOnce(&LowerCx<'_>, &BodyBuilder) -> Vec<Accumulator>,
        body: impl FnOnce(&LowerCx<'_>, &BodyBuilder) -> ScalarId,
    ) {
        let b = BodyBuilder::new();
        let accumulators = element(self, &b);
        let fold = Fold {
            kind: spec.kind,
            axes: spec.fold_axes.clone(),
            lanes: spec.lanes,
            body: b.finish(),
            accumulators,
        };
        let b = BodyBuilder::new();
        let value = body(self, &b);
        let store = store(value, to, index);
        let stage = Stage { axes: vec![], fold: Some(fold), body: b.finish(), stores: vec![store] };
        self.kernel(spec.axes, vec![stage]);
    }

    /// Adds a kernel.
    pub fn kernel(&mut self, axes: Vec<usize>, stages: Vec<Stage>) {
        let origin = format!("{} %{}", self.node.op.name(), self.known.names[self.node.results[0]]);
        push_kernel(self.out, axes, stages, origin);
    }
}

/// An accumulator of this type.
pub fn accumulator(op: FoldOp, dtype: DType) -> Accumulator {
    Accumulator { op, dtype }
}

/// A store of a value at an index.
pub fn store(value: ScalarId, buffer: BufferId, index: Vec<Affine>) -> Store {
    Store { value, buffer, index, indirect: None, add: false }
}
