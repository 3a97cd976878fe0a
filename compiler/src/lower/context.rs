//! What the lowering rule of an op works with.

use super::{Known, accumulator, buffer_of, extents, identity, push_kernel, store};
use crate::graph::{Function, Module, Node};
use crate::kernel::{
    Access, Accumulator, Affine, BodyBuilder, Buffer, BufferId, BufferKind, CheckSite, Extent, Fold,
    FoldKind, FoldOp, Guard, KernelFunction, ScalarId, Stage, fixed, lanes_of_products, most,
};
use crate::tensor::{Scalar, Tensor};
use crate::types::{self, DType, Shape};

/// What the lowering rule of an op is given: the node's operands and results as buffers, and ways to add kernels.
pub struct LowerCx<'a> {
    pub(super) module: &'a Module,
    pub(super) function: &'a Function,
    pub(super) node: &'a Node,
    pub(super) out: &'a mut KernelFunction,
    pub(super) known: &'a mut Known,
}

/// What a fold kernel is made of; see [`LowerCx::fold`].
pub struct FoldSpec<E = Extent> {
    /// Extents of the kernel's axes; the result is stored at the same coordinates.
    pub axes: Vec<E>,
    /// Whether the body runs once at the end or after every element.
    pub kind: FoldKind,
    /// Extents of the axes that are folded, numbered after the kernel's.
    pub fold_axes: Vec<E>,
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

    /// Number of axes of the n-th operand.
    pub fn operand_rank(&self, n: usize) -> usize {
        self.function.ty(self.node.operands[n]).rank()
    }

    /// Extents of the n-th operand.
    pub fn operand_extents(&self, n: usize) -> Vec<Extent> {
        extents(&self.function.ty(self.node.operands[n]).shape, self.out.largest)
    }

    /// Extents of the n-th operand as numbers: none may depend on the batch size.
    pub fn operand_shape(&self, n: usize) -> Vec<usize> {
        self.operand_extents(n).into_iter().map(|extent| self.fixed(extent)).collect()
    }

    /// An extent of the graph as one of kernels.
    pub fn extent(&self, extent: types::Extent) -> Extent {
        extents(&Shape(vec![extent]), self.out.largest)[0]
    }

    /// An extent as a number: it may not depend on the batch size.
    pub fn fixed(&self, extent: Extent) -> usize {
        if extent.each().is_some() {
            self.refuse("it computes with an extent that depends on the batch size");
        }
        extent.most()
    }

    /// Extents as numbers, for positions in row-major order: only the outermost may depend on the batch size, and is the
    /// largest that it may be.
    pub fn row_major(&self, extents: &[Extent]) -> Vec<usize> {
        if extents.iter().skip(1).any(|extent| extent.each().is_some()) {
            self.refuse("only the outermost axis of what it numbers may depend on the batch size");
        }
        most(extents)
    }

    /// Says that the node cannot be lowered.
    fn refuse(&self, why: &str) {
        self.known.refused.borrow_mut().get_or_insert_with(|| why.to_owned());
    }

    /// Dtype of the n-th operand.
    pub fn operand_dtype(&self, n: usize) -> DType {
        self.function.ty(self.node.operands[n]).dtype
    }

    /// Name of the n-th operand, for errors.
    pub fn operand_name(&self, n: usize) -> String {
        self.known.names[self.node.operands[n]].clone()
    }

    /// Number of axes of the n-th result.
    pub fn result_rank(&self, n: usize) -> usize {
        self.function.ty(self.node.results[n]).rank()
    }

    /// Extents of the n-th result.
    pub fn result_extents(&self, n: usize) -> Vec<Extent> {
        extents(&self.function.ty(self.node.results[n]).shape, self.out.largest)
    }

    /// Extents of the n-th result as numbers: none may depend on the batch size.
    pub fn result_shape(&self, n: usize) -> Vec<usize> {
        self.result_extents(n).into_iter().map(|extent| self.fixed(extent)).collect()
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
        let buffer = buffer_of(self.out, self.function, &self.known.names, value, BufferKind::Temp);
        let buffer = self.out.buffers.push(buffer);
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
        self.row_major(&self.operand_extents(0));
        self.row_major(&self.result_extents(0));
        let kind = BufferKind::Alias(self.operand(0));
        let buffer = buffer_of(self.out, self.function, &self.known.names, value, kind);
        self.known.values[value] = self.out.buffers.push(buffer).into();
    }

    /// A further buffer for a value between two kernels of this op.
    pub fn temp(&mut self, dtype: DType, shape: Vec<impl Into<Extent>>) -> BufferId {
        let shape = shape.into_iter().map(Into::into).collect();
        let name = format!("{}.part", self.known.names[self.node.results[0]]);
        self.out.buffers.push(Buffer { name, dtype, shape, pitch: None, kind: BufferKind::Temp })
    }

    /// A buffer that holds a constant.
    pub fn constant(&mut self, tensor: Tensor) -> BufferId {
        let (dtype, shape) = (tensor.dtype(), fixed(tensor.shape()));
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
        let (dtype, shape) = (ty.dtype, extents(&ty.shape, None));
        let kind = BufferKind::Variable(id.as_u32() as usize);
        let buffer = self.out.buffers.push(Buffer { name: name.to_owned(), dtype, shape, pitch: None, kind });
        self.known.variables[id] = buffer.into();
        buffer
    }

    /// The buffer with the instance's seed and step, `i64[2]`.
    pub fn random_state(&mut self) -> BufferId {
        *self.known.random_state.get_or_insert_with(|| {
            let (name, kind) = ("random".to_owned(), BufferKind::RandomState);
            self.out.buffers.push(Buffer { name, dtype: DType::I64, shape: fixed(&[2]), pitch: None, kind })
        })
    }

    /// A new check site for indices held by the n-th operand.
    pub fn check_site(&mut self, operand: usize, bound: usize) -> usize {
        self.out.checks.push(CheckSite {
            name: self.operand_name(operand),
            shape: self.row_major(&self.operand_extents(operand)),
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
        let (axes, to) = (self.result_extents(0), self.result(0));
        let index = identity(axes.len());
        self.map_to(axes, to, index, body);
    }

    /// Adds a kernel over `axes`; `body` gives the element of `to` at `index`.
    pub fn map_to(
        &mut self,
        axes: Vec<impl Into<Extent>>,
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
            let rank = cx.result_rank(0);
            let operands: Vec<_> =
                (0..cx.operand_count()).map(|n| cx.load(b, cx.operand(n), identity(rank))).collect();
            body(b, &operands)
        });
    }

    /// Adds a kernel with one fold. `element` gives what is combined for one point; `body` gives the value that is
    /// stored in `to`, at the kernel's axes (and the fold's, in a scan), from the accumulators.
    pub fn fold<E: Into<Extent>>(
        &mut self,
        spec: FoldSpec<E>,
        to: BufferId,
        element: impl FnOnce(&LowerCx<'_>, &BodyBuilder) -> Vec<Accumulator>,
        body: impl FnOnce(&LowerCx<'_>, &BodyBuilder) -> ScalarId,
    ) {
        let index = identity(self.out.buffers[to].shape.len());
        self.fold_to(spec, to, index, element, body);
    }

    /// Like [`fold`](LowerCx::fold), with the value stored at `index`.
    pub fn fold_to<E: Into<Extent>>(
        &mut self,
        spec: FoldSpec<E>,
        to: BufferId,
        index: Vec<Affine>,
        element: impl FnOnce(&LowerCx<'_>, &BodyBuilder) -> Vec<Accumulator>,
        body: impl FnOnce(&LowerCx<'_>, &BodyBuilder) -> ScalarId,
    ) {
        let b = BodyBuilder::new();
        let accumulators = element(self, &b);
        let fold = Fold {
            kind: spec.kind,
            axes: spec.fold_axes.into_iter().map(Into::into).collect(),
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

    /// Adds a kernel with one contraction: at every point of the first axes, the sum over the second ones, in order or with
    /// partial results where [`lanes_of_products`] says so, of the products of an element of each operand. Both indices are of
    /// all these axes; the sum is stored in `to` at `index`.
    pub fn contract(
        &mut self,
        [axes, fold_axes]: [Vec<Extent>; 2],
        [(a, a_index), (b, b_index)]: [(BufferId, Vec<Affine>); 2],
        (to, index): (BufferId, Vec<Affine>),
    ) {
        let dtype = self.out.buffers[to].dtype;
        let operands = [(a, &a_index), (b, &b_index)]
            .map(|(operand, index)| (&self.out.buffers[operand].shape[..], &index[..]));
        let lanes = lanes_of_products(&axes, &fold_axes, operands);
        let spec = FoldSpec { axes, kind: FoldKind::Reduce, fold_axes, lanes };
        self.fold_to(
            spec,
            to,
            index,
            |cx, body| {
                let (a, b) = (cx.load(body, a, a_index), cx.load(body, b, b_index));
                vec![accumulator(FoldOp::Dot(a, b), dtype)]
            },
            |_, body| body.acc(0, false, dtype),
        );
    }

    /// Adds a kernel.
    pub fn kernel(&mut self, axes: Vec<impl Into<Extent>>, stages: Vec<Stage>) {
        let axes = axes.into_iter().map(Into::into).collect();
        let origin = format!("{} %{}", self.node.op.name(), self.known.names[self.node.results[0]]);
        push_kernel(self.out, axes, stages, origin);
    }
}
