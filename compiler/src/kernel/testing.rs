//! Short ways to write Kernel IR in tests.

use super::{
    Access, Affine, BodyBuilder, Buffer, BufferId, BufferKind, CheckSite, Extent, Kernel, KernelFunction,
    ScalarId, Schedule, Stage, Store, fixed, most,
};
use crate::tensor::Scalar;
use crate::types::DType;

/// Adds a buffer.
pub fn buffer(f: &mut KernelFunction, dtype: DType, shape: &[usize], kind: BufferKind) -> BufferId {
    f.buffers.push(Buffer { name: String::new(), dtype, shape: fixed(shape), pitch: None, kind })
}

/// A view of a buffer without guards.
pub fn access(f: &KernelFunction, buffer: BufferId, index: &[Affine]) -> Access {
    let fill = Scalar::zero(f.buffers[buffer].dtype);
    Access { buffer, index: index.to_vec(), indirect: None, guards: Vec::new(), fill }
}

/// A plain store.
pub fn store(value: ScalarId, buffer: BufferId, index: &[Affine]) -> Store {
    Store { value, buffer, index: index.to_vec(), indirect: None, add: false }
}

/// One affine expression per axis, as numbers: `i0, i1, …`.
pub fn axes(rank: usize) -> Vec<Affine> {
    (0..rank).map(Affine::axis).collect()
}

/// A kernel of one stage without a fold: `to[i…] = value(from[i…])`, with the axes of `to`.
pub fn map(
    f: &mut KernelFunction,
    from: &[BufferId],
    to: BufferId,
    value: impl FnOnce(&BodyBuilder, &[ScalarId]) -> ScalarId,
) {
    let extents = f.buffers[to].shape.clone();
    let index = axes(extents.len());
    let b = BodyBuilder::new();
    let operands: Vec<ScalarId> =
        from.iter().map(|&x| b.load(access(f, x, &index), f.buffers[x].dtype)).collect();
    let value = value(&b, &operands);
    let stage = Stage { axes: vec![], fold: None, body: b.finish(), stores: vec![store(value, to, &index)] };
    push(f, extents, vec![stage]);
}

/// A kernel that copies `from` and checks that the elements, which are indices, are below `bound`.
pub fn check(f: &mut KernelFunction, from: BufferId, to: BufferId, bound: usize) {
    let shape = most(&f.buffers[from].shape);
    let position = match shape.len() {
        1 => Affine::axis(0),
        rank => panic!("expected indices in one axis, found {rank}"),
    };
    f.checks.push(CheckSite { name: "index".into(), shape, bound });
    let site = f.checks.len() - 1;
    map(f, &[from], to, |b, x| b.check(x[0], site, position));
}

/// Adds a kernel with the default schedule.
pub fn push(f: &mut KernelFunction, axes: Vec<impl Into<Extent>>, stages: Vec<Stage>) {
    let axes = axes.into_iter().map(Into::into).collect();
    let name = format!("k{}", f.kernels.len());
    f.kernels.push(Kernel { name, axes, stages, schedule: Schedule::default(), origin: vec![] });
}
