//! Producers into consumers: an element is computed where it is used, instead of stored and read.
//!
//! ```text
//! kernel k0 (i0 < 4) { s0 = load buf0[i0]; s1 = neg s0; store s1, buf1[i0] }
//! kernel k1 (i0 < 4, i1 < 3) { s0 = load buf1[i0]; … }
//! ```
//! becomes `k1` with `s0 = load buf0[i0]; s1 = neg s0`. Two passes use it: `fold-views` for producers that only move
//! elements (transpose, broadcast, slice, pad, constants), wherever they are used, and `fuse-producers` for
//! elementwise producers where nothing is computed more often than before, or is cheaper to compute again than to read.
//!
//! At entry and at exit: kernels in an order that dependencies allow. The scalar code is the same, so are the bits.

use crate::kernel::{
    Access, Affine, BinaryOp, Body, BodyBuilder, BufferId, BufferKind, FoldOp, Inst, InstKind, Kernel,
    KernelFunction, ScalarId, Stage, UnaryOp,
};

use super::deps::{Links, loads};
use super::splice::{fold_roots, guarded, splice, store_roots};
use super::{MAX_BODY, Report};

/// Which producers are inlined.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Producers {
    /// Those that only move elements.
    Views,
    /// Elementwise ones.
    Maps,
}

/// Inlines producers of one kind.
pub fn run(f: &mut KernelFunction, which: Producers, report: &mut Report) {
    if which == Producers::Views {
        fold_constants(f);
    }
    let mut links = Links::of(f);
    for p in 0..f.kernels.len() {
        let Some(producer) = Producer::of(f, p) else { continue };
        let is_view = producer.cost == 0;
        if is_view != (which == Producers::Views) {
            continue;
        }
        let readers = links.readers(producer.buffer).to_vec();
        if which == Producers::Maps && !pays(f, &producer, &readers, report) {
            continue;
        }
        let origin = f.kernels[p].origin.clone();
        for c in readers {
            if links.change(f, c, |kernel| inline_into(kernel, &producer)) {
                report.fused(which.pass(), &f.kernels[p], &f.kernels[c]);
                let kernel = &mut f.kernels[c];
                let own = std::mem::take(&mut kernel.origin);
                kernel.origin =
                    origin.iter().filter(|o| !own.contains(o)).cloned().chain(own.iter().cloned()).collect();
            }
        }
    }
    super::dead::remove(f);
}

impl Producers {
    fn pass(self) -> &'static str {
        match self {
            Producers::Views => "fold-views",
            Producers::Maps => "fuse-producers",
        }
    }
}

/// A kernel whose element at any coordinates can be computed elsewhere.
struct Producer {
    buffer: BufferId,
    elements: usize,
    body: Body,
    value: ScalarId,
    /// For every axis of the kernel, the axis of the buffer whose coordinate it is; `None` where it is always 0.
    axes: Vec<Option<usize>>,
    /// Instructions that compute.
    cost: usize,
    /// Loads of more than one element.
    large_loads: usize,
}

impl Producer {
    fn of(f: &KernelFunction, p: usize) -> Option<Producer> {
        let kernel = &f.kernels[p];
        let [Stage { axes: stage_axes, fold: None, body, stores }] = kernel.stages.as_slice() else {
            return None;
        };
        let [store] = stores.as_slice() else { return None };
        let buffer = &f.buffers[store.buffer];
        let has_check = body.insts.values().any(|i| matches!(i.kind, InstKind::Check { .. }));
        if !matches!(buffer.kind, BufferKind::Temp) || store.add || store.indirect.is_some() || has_check {
            return None;
        }
        let extents = [kernel.axes.as_slice(), stage_axes].concat();
        let axes = invert(&store.index, &buffer.shape, &extents)?;
        let large = |a: &&Access| a.index.iter().any(|e| !e.is_constant());
        Some(Producer {
            buffer: store.buffer,
            elements: buffer.elements(),
            value: store.value,
            axes,
            cost: body.insts.values().map(cost).sum(),
            large_loads: loads(body).filter(large).count(),
            body: body.clone(),
        })
    }
}

/// For every axis of a stage, the axis of the buffer that `index` gives it, if that is a one-to-one correspondence: so it
/// is none if several stages store to parts of the buffer (concat).
pub fn invert(index: &[Affine], shape: &[usize], extents: &[usize]) -> Option<Vec<Option<usize>>> {
    let mut axes = vec![None; extents.len()];
    for (d, expr) in index.iter().enumerate() {
        match expr.as_axis() {
            Some(axis) if axes[axis].is_none() && extents[axis] == shape[d] => axes[axis] = Some(d),
            _ if expr.is_constant() && expr.offset() == 0 && shape[d] == 1 => {}
            _ => return None,
        }
    }
    let all = axes.iter().zip(extents).all(|(axis, &extent)| axis.is_some() || extent == 1);
    all.then_some(axes)
}

/// Instructions that an element costs; moving elements is free.
pub fn cost(inst: &Inst) -> usize {
    match &inst.kind {
        InstKind::Const(_) | InstKind::Index(_) | InstKind::Load(_) | InstKind::Acc { .. } => 0,
        InstKind::Unary(UnaryOp::Neg | UnaryOp::Abs | UnaryOp::Not | UnaryOp::Sign, _) => 1,
        InstKind::Unary(UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Round, _) => 1,
        InstKind::Binary(BinaryOp::Pow, ..) | InstKind::Philox { .. } => 60,
        InstKind::Binary(BinaryOp::Div, ..) | InstKind::Unary(UnaryOp::Sqrt, _) => 4,
        InstKind::Unary(..) => 20,
        _ => 1,
    }
}

/// Whether inlining computes next to nothing more often, or little that is cheaper than what reading costs. A reduction
/// that is cut into chunks has a few more points than elements.
fn pays(f: &KernelFunction, producer: &Producer, readers: &[usize], report: &mut Report) -> bool {
    let mut uses = 0;
    let mut repeated = false;
    for &c in readers {
        let kernel = &f.kernels[c];
        for stage in &kernel.stages {
            let outer: usize = kernel.axes.iter().chain(&stage.axes).product();
            let bodies = stage
                .fold
                .iter()
                .map(|fold| (&fold.body, fold.axes.iter().product()))
                .chain([(&stage.body, 1)]);
            for (body, inner) in bodies {
                let here = loads(body).filter(|a| a.buffer == producer.buffer).count();
                uses += here;
                let points = outer.saturating_mul(inner);
                repeated |=
                    here > 0 && points.saturating_sub(producer.elements.max(1)) > producer.elements / 8;
            }
        }
    }
    let cheap = producer.cost <= 2 && producer.large_loads <= 1;
    if !repeated && (uses == 1 || cheap) {
        return true;
    }
    let why =
        if repeated { "it would be computed more than once per element" } else { "it has several users" };
    report.kept(&f.buffers[producer.buffer].name, why);
    false
}

fn inline_into(kernel: &mut Kernel, producer: &Producer) -> bool {
    let mut changed = false;
    for stage in &mut kernel.stages {
        if let Some(fold) = &mut stage.fold {
            // The operands of a contraction stay plain loads, which its tiles are made for.
            let plain = fold.accumulators.iter().any(|a| matches!(a.op, FoldOp::Dot(..)));
            let mut body = fold.body.clone();
            let mut accumulators = fold.accumulators.clone();
            if substitute(&mut body, fold_roots(&mut accumulators), producer, plain) {
                (fold.body, fold.accumulators) = (body, accumulators);
                changed = true;
            }
        }
        let mut stores = stage.stores.clone();
        let mut body = stage.body.clone();
        if substitute(&mut body, store_roots(&mut stores), producer, false) {
            (stage.body, stage.stores) = (body, stores);
            changed = true;
        }
    }
    changed
}

/// Replaces the loads of the producer's buffer in a body; false, with the body as it was or not to be used, if there is
/// none or it cannot be done.
fn substitute<'a>(
    body: &mut Body,
    roots: impl Iterator<Item = &'a mut ScalarId>,
    producer: &Producer,
    plain: bool,
) -> bool {
    let mine = |a: &Access| a.buffer == producer.buffer;
    if !loads(body).any(mine) || loads(body).any(|a| mine(a) && a.indirect.is_some()) {
        return false;
    }
    let mut roots: Vec<&mut ScalarId> = roots.collect();
    let to = BodyBuilder::new();
    let wanted: Vec<ScalarId> = roots.iter().map(|r| **r).collect();
    let mut all_plain = true;
    let values = splice(&to, body, wanted, &Affine::axis, &mut |to, inst| {
        let InstKind::Load(access) = &inst.kind else { return None };
        if !mine(access) {
            return None;
        }
        let axes = |axis: usize| {
            producer.axes[axis].map_or_else(|| Affine::constant(0), |d| access.index[d].clone())
        };
        let unguarded = access.guards.is_empty();
        // Where the outer guards fail, no load of the producer may be made.
        let inner = splice(to, &producer.body, [producer.value], &axes, &mut |to, inner| {
            let InstKind::Load(own) = &inner.kind else { return None };
            if unguarded {
                return None;
            }
            let guards = own.guards.iter().chain(&access.guards).cloned().collect();
            Some(to.load(Access { guards, ..own.clone() }, inner.dtype))
        })[&producer.value];
        let last = producer.body.insts[producer.value].clone();
        let value = match (&last.kind, unguarded) {
            (_, true) => inner,
            (InstKind::Load(own), _) if own.indirect.is_none() => {
                let mut moved = last.clone();
                super::splice::move_axes(&mut moved.kind, &axes);
                guarded(to, inner, &moved, access)
            }
            _ => guarded(to, inner, &Inst { kind: InstKind::Const(access.fill), dtype: inst.dtype }, access),
        };
        all_plain &=
            matches!(last.kind, InstKind::Load(_)) && (unguarded || producer_load_fits(&last, access));
        Some(value)
    });
    for root in &mut roots {
        **root = values[&**root];
    }
    let built = to.finish();
    if plain && !all_plain || built.insts.len() > MAX_BODY {
        return false;
    }
    *body = built;
    true
}

fn producer_load_fits(inst: &Inst, access: &Access) -> bool {
    matches!(&inst.kind, InstKind::Load(own) if own.guards.is_empty() || own.fill == access.fill)
}

/// Loads of constants that are one number become that number.
fn fold_constants(f: &mut KernelFunction) {
    let splat = |buffer: BufferId| match &f.buffers[buffer].kind {
        BufferKind::Constant(t) => {
            let first = t.scalars().next()?;
            t.scalars().all(|s| s == first).then_some(first)
        }
        _ => None,
    };
    let splats: std::collections::HashMap<_, _> =
        f.buffers.keys().filter_map(|b| Some((b, splat(b)?))).collect();
    let fold = |body: &mut Body, roots: Vec<&mut ScalarId>| {
        if !loads(body).any(|a| splats.contains_key(&a.buffer)) {
            return;
        }
        let to = BodyBuilder::new();
        let wanted: Vec<ScalarId> = roots.iter().map(|r| **r).collect();
        let values = splice(&to, body, wanted, &Affine::axis, &mut |to, inst| match &inst.kind {
            InstKind::Load(access) => {
                let value = to.constant(*splats.get(&access.buffer)?);
                Some(match access.guards.is_empty() {
                    true => value,
                    false => to.select(to.in_bounds(access.guards.clone()), value, to.constant(access.fill)),
                })
            }
            _ => None,
        });
        for root in roots {
            *root = values[&*root];
        }
        *body = to.finish();
    };
    for stage in f.kernels.iter_mut().flat_map(|k| &mut k.stages) {
        if let Some(inner) = &mut stage.fold
            && !inner.accumulators.iter().any(|a| matches!(a.op, FoldOp::Dot(..)))
        {
            fold(&mut inner.body, fold_roots(&mut inner.accumulators).collect());
        }
        fold(&mut stage.body, store_roots(&mut stage.stores).collect());
    }
}
