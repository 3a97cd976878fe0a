//! What a kernel touches, and how much it computes.

use std::collections::HashMap;

use super::{
    Access, Axis, BinaryOp, Body, BufferId, BufferKind, Extent, Fold, FoldKind, FoldOp, InstKind, Kernel,
    KernelFunction, ScalarId, Schedule, Stage, UnaryOp,
};

/// The buffers that a kernel touches; instead of an alias, the one whose bytes it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Buffers that are loaded from or added to, sorted, each once.
    pub reads: Vec<BufferId>,
    /// Buffers that are stored to, sorted, each once.
    pub writes: Vec<BufferId>,
    /// Whether an index is checked.
    pub checks: bool,
}

impl Uses {
    /// Every buffer that is touched, sorted, each once.
    pub fn touched(&self) -> Vec<BufferId> {
        sorted(self.reads.iter().chain(&self.writes).copied().collect())
    }
}

/// Where in a stage an instruction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// In the body of the fold.
    Fold,
    /// In the body of the stage.
    Body,
}

impl Stage {
    /// The fold's body, if there is a fold, and the stage's.
    pub fn bodies(&self) -> impl Iterator<Item = (Part, &Body)> {
        self.fold.iter().map(|fold| (Part::Fold, &fold.body)).chain([(Part::Body, &self.body)])
    }

    /// The values that its body is for: those of its stores in order, each with the index that is added to a coordinate
    /// behind it, if there is one.
    pub fn stored(&self) -> Vec<ScalarId> {
        let values = self.stores.iter().flat_map(|s| [Some(s.value), s.indirect.map(|i| i.value)]);
        values.flatten().collect()
    }

    /// Every load, with where it stands.
    pub fn loads(&self) -> impl Iterator<Item = (Part, &Access)> {
        self.bodies().flat_map(|(part, body)| {
            body.insts.values().filter_map(move |inst| match &inst.kind {
                InstKind::Load(access) => Some((part, access)),
                _ => None,
            })
        })
    }
}

impl Kernel {
    /// Floating-point operations of one run: a multiplication and an addition each count, comparisons, selections and
    /// conversions don't. Saturates.
    pub fn flops(&self) -> u64 {
        let points = product(&self.axes);
        self.stages
            .iter()
            .map(|stage| points.saturating_mul(product(&stage.axes)).saturating_mul(flops_of_point(stage)))
            .fold(0, u64::saturating_add)
    }
}

impl Schedule {
    /// The axes of the kernel that are not run whole before the next stage is, each with how many indices are.
    pub fn parts(&self) -> impl Iterator<Item = (Axis, usize)> {
        let chunks = self.chunks.iter().map(|chunks| (chunks.axis, chunks.block));
        chunks.chain(self.each.iter().map(|&axis| (axis, 1)))
    }
}

impl KernelFunction {
    /// The buffer whose bytes `buffer` has: itself, unless it is an alias.
    pub fn storage(&self, mut buffer: BufferId) -> BufferId {
        while let BufferKind::Alias(of) = self.buffers[buffer].kind {
            buffer = of;
        }
        buffer
    }

    /// The buffers that a kernel of the function touches, those that are local to it included.
    pub fn uses(&self, kernel: &Kernel) -> Uses {
        let stores = || kernel.stages.iter().flat_map(|stage| &stage.stores);
        let loaded = kernel.stages.iter().flat_map(Stage::loads).map(|(_, access)| access.buffer);
        let added = stores().filter(|store| store.add).map(|store| store.buffer);
        let mut insts =
            kernel.stages.iter().flat_map(Stage::bodies).flat_map(|(_, body)| body.insts.values());
        Uses {
            reads: sorted(loaded.chain(added).map(|b| self.storage(b)).collect()),
            writes: sorted(stores().map(|store| self.storage(store.buffer)).collect()),
            checks: insts.any(|inst| matches!(inst.kind, InstKind::Check { .. })),
        }
    }

    /// Floating-point operations of one run, the sum of the kernels' ([`Kernel::flops`]). Saturates.
    pub fn flops(&self) -> u64 {
        self.kernels.iter().map(Kernel::flops).fold(0, u64::saturating_add)
    }
}

impl KernelFunction {
    /// Bytes that one run moves: of every buffer that a kernel loads from or stores to and that is not local to it, the
    /// elements that it touches, each once, where loads, stores and updates count for themselves. What stands at an index
    /// that is data counts for every point, up to the whole buffer. Saturates.
    pub fn bytes_moved(&self) -> u64 {
        self.kernels.iter().map(|kernel| self.bytes_moved_by(kernel)).fold(0, u64::saturating_add)
    }

    fn bytes_moved_by(&self, kernel: &Kernel) -> u64 {
        // Of every buffer, elements loaded and elements stored.
        let mut elements: HashMap<(BufferId, bool), u64> = HashMap::new();
        let mut touch = |buffer: BufferId, is_store: bool, points: u64| {
            let count = elements.entry((self.storage(buffer), is_store)).or_default();
            *count = count.saturating_add(points);
        };
        for stage in &kernel.stages {
            let points = product(&kernel.axes).saturating_mul(product(&stage.axes));
            let folded = points.saturating_mul(stage.fold.as_ref().map_or(1, |fold| product(&fold.axes)));
            let is_scan = stage.fold.as_ref().is_some_and(|fold| fold.kind == FoldKind::Scan);
            let of_body = if is_scan { folded } else { points };
            for (part, access) in stage.loads() {
                touch(access.buffer, false, if part == Part::Fold { folded } else { of_body });
            }
            for store in &stage.stores {
                touch(store.buffer, true, of_body);
                if store.add {
                    touch(store.buffer, false, of_body);
                }
            }
        }
        let bytes = elements.into_iter().map(|((buffer, _), count)| {
            let buffer = &self.buffers[buffer];
            match buffer.kind {
                BufferKind::Local => 0,
                _ => count.min(product(&buffer.shape)).saturating_mul(buffer.dtype.bytes() as u64),
            }
        });
        bytes.fold(0, u64::saturating_add)
    }
}

fn sorted(mut buffers: Vec<BufferId>) -> Vec<BufferId> {
    buffers.sort_unstable();
    buffers.dedup();
    buffers
}

fn product(extents: &[Extent]) -> u64 {
    // An empty axis makes the nest empty, whatever the others are.
    let extents = extents.iter().map(|e| e.most() as u64);
    if extents.clone().any(|e| e == 0) { 0 } else { extents.fold(1, u64::saturating_mul) }
}

/// Operations for one point of the stage's axes.
fn flops_of_point(stage: &Stage) -> u64 {
    let body = flops_of_body(&stage.body);
    let Some(fold) = &stage.fold else { return body };
    let elements = product(&fold.axes);
    match fold.kind {
        FoldKind::Reduce => elements.saturating_mul(flops_of_element(fold)).saturating_add(body),
        FoldKind::Scan => elements.saturating_mul(flops_of_element(fold).saturating_add(body)),
    }
}

fn flops_of_element(fold: &Fold) -> u64 {
    let combined = fold.accumulators.iter().filter(|a| a.dtype.is_float()).map(|a| match a.op {
        FoldOp::Sum(_) | FoldOp::Prod(_) => 1,
        FoldOp::Dot(..) => 2,
        FoldOp::Max(_) | FoldOp::Min(_) | FoldOp::ArgMax(_) | FoldOp::ArgMin(_) => 0,
    });
    flops_of_body(&fold.body) + combined.sum::<u64>()
}

fn flops_of_body(body: &Body) -> u64 {
    let of_inst = |kind: &InstKind| match kind {
        InstKind::Unary(UnaryOp::Neg | UnaryOp::Abs | UnaryOp::Not | UnaryOp::Sign, _) => 0,
        InstKind::Unary(..) => 1,
        InstKind::Binary(
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Pow,
            ..,
        ) => 1,
        InstKind::Fma(..) => 2,
        _ => 0,
    };
    body.insts.values().filter(|inst| inst.dtype.is_float()).map(|inst| of_inst(&inst.kind)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{access, axes, buffer, map, push, store};
    use crate::kernel::{Accumulator, Affine, BodyBuilder, Store};
    use crate::types::DType::F32;

    #[test]
    fn a_matrix_product_counts_two_for_each_of_its_products() {
        let mut f = KernelFunction::default();
        let a = buffer(&mut f, F32, &[3, 5], BufferKind::Param(0));
        let b = buffer(&mut f, F32, &[5, 7], BufferKind::Param(1));
        let c = buffer(&mut f, F32, &[3, 7], BufferKind::Result(0));
        let [i, j, k] = [Affine::axis(0), Affine::axis(1), Affine::axis(2)];
        let products = BodyBuilder::new();
        let x = products.load(access(&f, a, &[i, k.clone()]), F32);
        let y = products.load(access(&f, b, &[k, j]), F32);
        let body = BodyBuilder::new();
        let sum = body.acc(0, false, F32);
        let stage = Stage {
            axes: vec![],
            fold: Some(Fold {
                kind: FoldKind::Reduce,
                axes: vec![5.into()],
                lanes: 1,
                body: products.finish(),
                accumulators: vec![Accumulator { op: FoldOp::Dot(x, y), dtype: F32 }],
            }),
            body: body.finish(),
            stores: vec![Store { add: true, ..store(sum, c, &axes(2)) }],
        };
        push(&mut f, vec![3, 7], vec![stage]);
        assert_eq!(f.flops(), 2 * 3 * 5 * 7);
        assert_eq!(f.bytes_moved(), 4 * (3 * 5 + 5 * 7 + 2 * 3 * 7));
        let uses = f.uses(&f.kernels[0]);
        assert_eq!(uses, Uses { reads: vec![a, b, c], writes: vec![c], checks: false });
        assert_eq!(uses.touched(), [a, b, c]);
    }

    #[test]
    fn empty_and_enormous_kernels_are_counted() {
        let mut f = KernelFunction::default();
        for shape in [&[usize::MAX, 0][..], &[1 << 40, 1 << 40]] {
            let to = buffer(&mut f, F32, shape, BufferKind::Temp);
            map(&mut f, &[], to, |b, _| b.add(b.float(F32, 1.0), b.float(F32, 2.0)));
        }
        assert_eq!(f.kernels[0].flops(), 0);
        assert_eq!((f.bytes_moved_by(&f.kernels[0]), f.bytes_moved()), (0, u64::MAX));
        assert_eq!(f.flops(), u64::MAX);
    }
}
