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

use std::collections::HashMap;

use crate::kernel::{
    self, Access, Affine, BinaryOp, Body, BodyBuilder, BufferId, BufferKind, Extent, FoldKind, FoldOp, Guard,
    Inst, InstKind, Kernel, KernelFunction, ScalarId, Stage, UnaryOp, stays_within,
};

use super::deps::{Links, loads};
use super::splice::{fold_roots, splice, store_roots, within};
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
    /// Extents of the buffers that are loaded.
    shapes: HashMap<BufferId, Vec<Extent>>,
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
            shapes: loads(body).map(|a| (a.buffer, f.buffers[a.buffer].shape.clone())).collect(),
            body: body.clone(),
        })
    }

    /// A load of the producer, with its axes replaced, behind guards that the consumer's load has. Where all of these hold, so
    /// do guards on the coordinates: they are added where that cannot be seen from the others (K0114). `None` if there is no
    /// such guard, for it would depend on the batch size.
    fn behind(&self, own: &Access, guards: &[Guard], extents: &[Extent]) -> Option<Access> {
        let mut all: Vec<Guard> = own.guards.iter().chain(guards).cloned().collect();
        for (d, expr) in own.index.iter().enumerate() {
            let below = self.shapes[&own.buffer][d];
            let is_data = own.indirect.is_some_and(|i| i.axis == d);
            if !is_data && !always_within(expr, below, extents, &all) {
                if below.each().is_some() {
                    return None;
                }
                all.push(Guard { expr: expr.clone(), below: below.most() });
            }
        }
        Some(Access { guards: all, ..own.clone() })
    }
}

/// Whether a coordinate [stays within](stays_within) an extent for every batch size: if it does for the smallest and the
/// largest one, for all of it is linear.
fn always_within(expr: &Affine, below: Extent, extents: &[Extent], guards: &[Guard]) -> bool {
    let smallest: Vec<usize> = extents.iter().map(|extent| extent.at(1)).collect();
    stays_within(expr, below.most(), &kernel::most(extents), guards)
        && stays_within(expr, below.at(1), &smallest, guards)
}

/// For every axis of a stage, the axis of the buffer that `index` gives it, if that is a one-to-one correspondence: so it
/// is none if several stages store to parts of the buffer (concat).
pub fn invert(index: &[Affine], shape: &[Extent], extents: &[Extent]) -> Option<Vec<Option<usize>>> {
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
        InstKind::Const(_)
        | InstKind::Index(_)
        | InstKind::Extent(_)
        | InstKind::Load(_)
        | InstKind::Acc { .. } => 0,
        InstKind::Unary(UnaryOp::Neg | UnaryOp::Abs | UnaryOp::Not | UnaryOp::Sign, _) => 1,
        InstKind::Unary(UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Round, _) => 1,
        InstKind::Binary(BinaryOp::Pow, ..) | InstKind::Philox { .. } => 60,
        InstKind::Binary(BinaryOp::Div, ..) | InstKind::Unary(UnaryOp::Sqrt, _) => 4,
        InstKind::Unary(..) => 20,
        _ => 1,
    }
}

/// Whether inlining computes next to nothing more often, or little that is cheaper than what reading costs, as is, however
/// often, what is made of coordinates alone: which positions a causal mask hides. A reduction
/// that is cut into chunks has a few more points than elements.
fn pays(f: &KernelFunction, producer: &Producer, readers: &[usize], report: &mut Report) -> bool {
    let few_more = producer.elements / 8;
    let (mut total, mut most) = (0usize, 0);
    for &c in readers {
        let kernel = &f.kernels[c];
        for stage in &kernel.stages {
            let outer = [kernel.axes.as_slice(), &stage.axes].concat();
            let folded = stage.fold.iter().map(|fold| (&fold.body, fold.axes.as_slice()));
            for (body, inner) in folded.chain([(&stage.body, [].as_slice())]) {
                let extents = kernel::most(&[&outer, inner].concat());
                let here = loads(body).filter(|a| a.buffer == producer.buffer);
                for points in here.map(|access| points_of(access, &extents, producer.elements)) {
                    total = total.saturating_add(points);
                    most = most.max(points);
                }
            }
        }
    }
    let repeated = |points: usize| points.saturating_sub(producer.elements.max(1)) > few_more;
    let cheap = producer.cost <= 2 && producer.large_loads <= 1;
    let reads_nothing = producer.cost <= 2 && producer.shapes.is_empty() && producer.elements > 1;
    if !repeated(total) || cheap && !repeated(most) || reads_nothing {
        return true;
    }
    let why = if repeated(most) {
        "it would be computed more than once per element"
    } else {
        "it has several users"
    };
    report.kept(&f.buffers[producer.buffer].name, why);
    false
}

/// At how many points of axes with these extents an access is made, or would have to be if it had no guards.
fn points_of(access: &Access, extents: &[usize], elements: usize) -> usize {
    let points = extents.iter().product();
    match !access.guards.is_empty() && reads_once(access, extents) {
        true => elements.min(points),
        false => points,
    }
}

/// Whether no two points read one element: if coordinates say, one after the other, which point it is.
fn reads_once(access: &Access, extents: &[usize]) -> bool {
    let mut known: Vec<bool> = extents.iter().map(|&extent| extent <= 1).collect();
    // A coordinate says what its axes are, but for those that are known, if each steps further than all smaller ones reach.
    let tells = |expr: &Affine, known: &[bool]| {
        let mut steps: Vec<(i64, i64)> = (expr.terms().iter().filter(|t| !known[t.0]))
            .map(|&(axis, factor)| (factor.abs(), extents[axis] as i64 - 1))
            .collect();
        steps.sort_unstable();
        let mut reach = 0;
        steps.into_iter().all(|(step, last)| {
            let further = step > reach;
            reach += step * last;
            further
        })
    };
    // Every round but the last learns an axis.
    for _ in 0..=extents.len() {
        for expr in access.index.iter().filter(|_| access.indirect.is_none()) {
            if tells(expr, &known) {
                expr.terms().iter().for_each(|t| known[t.0] = true);
            }
        }
    }
    known.into_iter().all(|axis| axis)
}

fn inline_into(kernel: &mut Kernel, producer: &Producer) -> bool {
    let mut changed = false;
    for stage in &mut kernel.stages {
        let outer = [kernel.axes.as_slice(), &stage.axes].concat();
        if let Some(fold) = &mut stage.fold {
            // The operands of a contraction stay plain loads without guards, which its tiles are made for.
            let plain = fold.accumulators.iter().any(|a| matches!(a.op, FoldOp::Dot(..)));
            let mut body = fold.body.clone();
            let mut accumulators = fold.accumulators.clone();
            let extents = [outer.as_slice(), &fold.axes].concat();
            if substitute(&mut body, fold_roots(&mut accumulators), &extents, producer, plain) {
                (fold.body, fold.accumulators) = (body, accumulators);
                changed = true;
            }
        }
        let mut stores = stage.stores.clone();
        let mut body = stage.body.clone();
        let scan = stage.fold.iter().filter(|fold| fold.kind == FoldKind::Scan).flat_map(|fold| &fold.axes);
        let extents: Vec<Extent> = outer.iter().chain(scan).copied().collect();
        if substitute(&mut body, store_roots(&mut stores), &extents, producer, false) {
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
    extents: &[Extent],
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
    let (mut all_plain, mut all_guarded) = (true, true);
    let mut behind = |own: &Access, access: &Access| {
        let behind = producer.behind(own, &access.guards, extents);
        all_guarded &= behind.is_some();
        // If there is none, all of it is dropped.
        behind.unwrap_or_else(|| own.clone())
    };
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
            Some(to.load(behind(own, access), inner.dtype))
        })[&producer.value];
        let last = producer.body.insts[producer.value].clone();
        let value = match (&last.kind, unguarded) {
            (_, true) => inner,
            (InstKind::Load(own), _) if own.indirect.is_none() => {
                let mut moved = last.clone();
                moved.kind.move_axes(&axes);
                match &moved.kind {
                    // It takes the guards itself.
                    InstKind::Load(own) if own.guards.is_empty() || own.fill == access.fill => {
                        let own = behind(own, access);
                        to.load(Access { fill: access.fill, ..own }, last.dtype)
                    }
                    _ => within(to, inner, access),
                }
            }
            _ => within(to, inner, access),
        };
        all_plain &= unguarded && matches!(&last.kind, InstKind::Load(own) if own.guards.is_empty());
        Some(value)
    });
    for root in &mut roots {
        **root = values[&**root];
    }
    let built = to.finish();
    if plain && !all_plain || !all_guarded || built.insts.len() > MAX_BODY {
        return false;
    }
    *body = built;
    true
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
    let splats: HashMap<_, _> = f.buffers.keys().filter_map(|b| Some((b, splat(b)?))).collect();
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
                    false => within(to, value, access),
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
