//! Moving scalar code from one place of the axes to another.

use std::collections::HashMap;

use crate::kernel::{
    Access, Accumulator, Affine, AxisMap, Body, BodyBuilder, FoldOp, Indirect, Inst, ScalarId, Store,
};

/// What a splice does with an instruction instead of copying it.
pub type Replace<'a> = &'a mut dyn FnMut(&BodyBuilder, &Inst) -> Option<ScalarId>;

/// Copies the instructions of `body` that `roots` need into `to`, with axes replaced, and gives their values there.
/// `replace` sees every instruction first, with its axes replaced, and may give a value that stands for it.
pub fn splice(
    to: &BodyBuilder,
    body: &Body,
    roots: impl IntoIterator<Item = ScalarId>,
    axes: AxisMap<'_>,
    replace: Replace<'_>,
) -> HashMap<ScalarId, ScalarId> {
    let mut needed = vec![false; body.insts.len()];
    for root in roots {
        needed[root.as_u32() as usize] = true;
    }
    for (id, inst) in body.insts.iter().rev() {
        if needed[id.as_u32() as usize] {
            inst.kind.each_operand(|v| needed[v.as_u32() as usize] = true);
        }
    }
    let mut values = HashMap::new();
    for (id, inst) in body.insts.iter().filter(|(id, _)| needed[id.as_u32() as usize]) {
        let mut inst = inst.clone();
        inst.kind.each_operand_mut(|v| *v = values[&*v]);
        inst.kind.move_axes(axes);
        let value = replace(to, &inst).unwrap_or_else(|| to.inst(inst.kind, inst.dtype));
        values.insert(id, value);
    }
    values
}

/// The body with only what its roots need, equal instructions merged; the roots are renamed in place.
pub fn compact<'a>(body: &Body, roots: impl IntoIterator<Item = &'a mut ScalarId>) -> Body {
    let roots: Vec<&mut ScalarId> = roots.into_iter().collect();
    let to = BodyBuilder::new();
    let wanted: Vec<ScalarId> = roots.iter().map(|r| **r).collect();
    let values = splice(&to, body, wanted, &Affine::axis, &mut |_, _| None);
    for root in roots {
        *root = values[root];
    }
    to.finish()
}

/// The roots of a stage's body: what is stored, and where if that is data.
pub fn store_roots(stores: &mut [Store]) -> impl Iterator<Item = &mut ScalarId> {
    stores.iter_mut().flat_map(|s| {
        let indirect: Option<&mut Indirect> = s.indirect.as_mut();
        std::iter::once(&mut s.value).chain(indirect.map(|i| &mut i.value))
    })
}

/// The roots of a fold's body.
pub fn fold_roots(accumulators: &mut [Accumulator]) -> impl Iterator<Item = &mut ScalarId> {
    accumulators.iter_mut().flat_map(|a| match &mut a.op {
        FoldOp::Sum(v)
        | FoldOp::Prod(v)
        | FoldOp::Max(v)
        | FoldOp::Min(v)
        | FoldOp::ArgMax(v)
        | FoldOp::ArgMin(v) => vec![v],
        FoldOp::Dot(a, b) => vec![a, b],
    })
}

/// A value that was loaded where the guards of an access hold, else the access's fill.
pub fn within(to: &BodyBuilder, value: ScalarId, access: &Access) -> ScalarId {
    to.select(to.in_bounds(access.guards.clone()), value, to.constant(access.fill))
}
