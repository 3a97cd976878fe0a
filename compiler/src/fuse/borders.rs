//! Padding into a copy of what is inside, and fills of what is around it.
//!
//! ```text
//! kernel k1 (i0 < 6, i1 < 8) { s0 = load buf0[i0 - 1, i1] where 0 <= i0 - 1 < 4; store s0, buf1[i0, i1] }
//! ```
//! becomes a kernel over `(i0 < 4, i1 < 8)` that stores `buf0[i0, i1]` to `buf1[i0 + 1, i1]`, and two that fill the
//! rows before and after. Pass `split-borders`. Then the copy has no guards, and `fuse-epilogues` puts it behind
//! whatever computes what is padded: a value that a convolution reads is stored with its border.
//!
//! At entry: views are folded into what reads them, so what is left is worth a buffer. At exit: the same values in every buffer.

use crate::kernel::{
    Access, Affine, BodyBuilder, BufferKind, Extent, Guard, InstKind, Kernel, KernelFunction, ScalarId,
    Stage, Store, move_index, points,
};
use crate::types::DType;

use super::Report;
use super::inline::invert;

/// Splits every kernel that does nothing but pad.
pub fn run(f: &mut KernelFunction, report: &mut Report) {
    for kernel in std::mem::take(&mut f.kernels) {
        match Padding::of(f, &kernel) {
            None => f.kernels.push(kernel),
            Some(padding) => {
                report.split(&kernel);
                f.kernels.extend(padding.parts(&kernel));
            }
        }
    }
}

/// A kernel that stores a buffer within bounds of its axes, and a constant outside.
struct Padding {
    access: Access,
    dtype: DType,
    store: Store,
    /// The first coordinate of every axis at which all guards hold, and at how many they do.
    inside: Vec<(usize, Extent)>,
}

impl Padding {
    fn of(f: &KernelFunction, kernel: &Kernel) -> Option<Padding> {
        let [Stage { axes, fold: None, body, stores }] = kernel.stages.as_slice() else { return None };
        let ([], [store], false) = (axes.as_slice(), stores.as_slice(), points(&kernel.axes) == 0) else {
            return None;
        };
        let inst = &body.insts[store.value];
        let InstKind::Load(access) = &inst.kind else { return None };
        let is_temp = matches!(f.buffers[store.buffer].kind, BufferKind::Temp);
        if !is_temp
            || store.add
            || store.indirect.is_some()
            || access.indirect.is_some()
            || access.guards.is_empty()
        {
            return None;
        }
        invert(&store.index, &f.buffers[store.buffer].shape, &kernel.axes)?;
        let mut inside: Vec<(usize, Extent)> = kernel.axes.iter().map(|&extent| (0, extent)).collect();
        for Guard { expr, below } in &access.guards {
            let [(axis, 1)] = *expr.terms() else { return None };
            let (first, length) = inside[axis];
            if length.each().is_some() {
                return None;
            }
            // 0 ≤ i + offset < below.
            let low = usize::try_from(-expr.offset()).unwrap_or(0).max(first);
            let end = usize::try_from(*below as i64 - expr.offset()).unwrap_or(0).min(first + length.most());
            let low = low.min(end);
            inside[axis] = (low, (end - low).into());
        }
        Some(Padding { access: access.clone(), dtype: inst.dtype, store: store.clone(), inside })
    }

    /// The kernel for what is inside, and those for what is before and after it on every axis.
    fn parts(&self, kernel: &Kernel) -> Vec<Kernel> {
        let whole: Vec<(usize, Extent)> = kernel.axes.iter().map(|&extent| (0, extent)).collect();
        let mut parts = vec![self.part(kernel, &self.inside, |b, at| {
            let mut access = Access { guards: vec![], ..self.access.clone() };
            move_index(&mut access.index, at);
            b.load(access, self.dtype)
        })];
        for axis in 0..whole.len() {
            let ((low, length), (_, all)) = (self.inside[axis], whole[axis]);
            let high = low + length.most();
            for border in [(0, low.into()), (high, (all.most() - high).into())] {
                let range = [&self.inside[..axis], &[border], &whole[axis + 1..]].concat();
                parts.push(self.part(kernel, &range, |b, _| b.constant(self.access.fill)));
            }
        }
        parts.into_iter().filter(|part| points(&part.axes) > 0).collect()
    }

    /// The kernel for some coordinates of every axis.
    fn part(
        &self,
        kernel: &Kernel,
        range: &[(usize, Extent)],
        value: impl FnOnce(&BodyBuilder, &dyn Fn(usize) -> Affine) -> ScalarId,
    ) -> Kernel {
        let at = |axis: usize| Affine::axis(axis).plus_constant(range[axis].0 as i64);
        let b = BodyBuilder::new();
        let mut store = Store { value: value(&b, &at), ..self.store.clone() };
        move_index(&mut store.index, &at);
        Kernel {
            axes: range.iter().map(|&(_, length)| length).collect(),
            stages: vec![Stage { axes: vec![], fold: None, body: b.finish(), stores: vec![store] }],
            ..kernel.clone()
        }
    }
}
