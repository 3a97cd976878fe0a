//! Checks of indices that another kernel makes too.
//!
//! ```text
//! kernel k0 (i0 < 7) { s0 = load buf0[i0]; s1 = check s0 site 0 at i0; … }
//! kernel k4 (i0 < 7) { s0 = load buf0[i0]; s1 = check s0 site 1 at i0; … }
//! ```
//! If the bound of site 0 is not above that of site 1, `k4` becomes `… s1 = min s0, bound - 1; s2 = max s1, 0 …`. Pass
//! `drop-checks`. An index out of range ends the function with an error as before, for `k0` checks every element; and
//! until then `k4` touches what it touched before. What a look-up has checked, its gradient need not check again: so an
//! update of the rows that were looked up cannot fail half-way, and may be made in place.
//!
//! At entry: the index of a check is loaded in the same body, as lowering leaves it. At exit: of the checks of one buffer
//! only the first and those with smaller bounds are left.

use std::collections::{HashMap, HashSet};

use crate::kernel::{
    Access, Affine, Body, BufferId, Extent, FoldKind, InstKind, KernelFunction, Stage, points,
};

use super::Report;
use super::splice::{fold_roots, splice, store_roots};

/// Drops the checks that others make.
pub fn run(f: &mut KernelFunction, report: &mut Report) {
    // The least bound that all elements of a buffer are checked against.
    let mut checked: HashMap<BufferId, usize> = HashMap::new();
    for k in 0..f.kernels.len() {
        let mut dropped = HashSet::new();
        for stage in &f.kernels[k].stages {
            let outer = [&f.kernels[k].axes[..], &stage.axes].concat();
            for (body, extents) in bodies(stage, outer) {
                for (site, access) in checks(body) {
                    let (buffer, bound) = (f.storage(access.buffer), f.checks[site].bound);
                    match checked.get(&buffer) {
                        Some(&known) if known <= bound => {
                            dropped.insert(site);
                        }
                        _ if covers(access, &f.buffers[access.buffer].shape, &extents) => {
                            checked.insert(buffer, bound);
                        }
                        _ => {}
                    }
                }
            }
        }
        if dropped.is_empty() {
            continue;
        }
        let names = f.kernels[k].origin.join(" + ");
        report.lines.push(format!("drop-checks: the indices of {names} are checked before"));
        let bound = |site: usize| dropped.contains(&site).then(|| f.checks[site].bound as i64);
        for stage in &mut f.kernels[k].stages {
            if let Some(fold) = &mut stage.fold {
                clamp(&mut fold.body, fold_roots(&mut fold.accumulators).collect(), &bound);
            }
            clamp(&mut stage.body, store_roots(&mut stage.stores).collect(), &bound);
        }
    }
}

/// The bodies of a stage, each with the extents of its axes; `outer` are those of the kernel and the stage.
fn bodies(stage: &Stage, outer: Vec<Extent>) -> impl Iterator<Item = (&Body, Vec<Extent>)> {
    let within = |fold: &[Extent]| [&outer[..], fold].concat();
    let of_fold = stage.fold.as_ref().map(|fold| (&fold.body, within(&fold.axes)));
    let scanned = stage.fold.as_ref().filter(|f| f.kind == FoldKind::Scan).map_or(&[][..], |f| &f.axes);
    let own = (&stage.body, within(scanned));
    of_fold.into_iter().chain([own])
}

/// The sites of a body's checks whose index is an element of a buffer, with how it is loaded.
fn checks(body: &Body) -> impl Iterator<Item = (usize, &Access)> {
    body.insts.values().filter_map(|inst| {
        let InstKind::Check { value, site, .. } = inst.kind else { return None };
        match &body.insts[value].kind {
            InstKind::Load(access) if access.guards.is_empty() && access.indirect.is_none() => {
                Some((site, access))
            }
            _ => None,
        }
    })
}

/// Whether the points of axes with these extents load every element of a buffer.
fn covers(access: &Access, shape: &[Extent], extents: &[Extent]) -> bool {
    let mut used = HashSet::new();
    let whole = |(expr, &extent): (&Affine, &Extent)| match expr.as_axis() {
        Some(axis) => extents[axis] == extent && used.insert(axis),
        None => extent == 1,
    };
    points(extents) > 0 && access.index.iter().zip(shape).all(whole)
}

/// Replaces the checks for which there is a bound by the nearest index within it.
fn clamp(body: &mut Body, roots: Vec<&mut crate::kernel::ScalarId>, bound: &dyn Fn(usize) -> Option<i64>) {
    let to = crate::kernel::BodyBuilder::new();
    let wanted: Vec<_> = roots.iter().map(|root| **root).collect();
    let values = splice(&to, body, wanted, &Affine::axis, &mut |to, inst| match inst.kind {
        InstKind::Check { value, site, .. } => {
            let bound = bound(site)?;
            let below = to.min(value, to.int(inst.dtype, bound - 1));
            Some(to.max(below, to.int(inst.dtype, 0)))
        }
        _ => None,
    });
    for root in roots {
        *root = values[&*root];
    }
    *body = to.finish();
}
