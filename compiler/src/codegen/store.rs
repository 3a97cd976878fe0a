//! Emits the stores of a stage's body.

use super::access::FlatAccess;
use super::body::{Lanes, Site, lane_point};
use super::emitter::{VectorEmitter, VectorType};
use super::plan::BodyPlan;
use crate::kernel::BinaryOp;

/// A store of a body, flattened.
pub(super) struct FlatStore {
    pub(super) access: FlatAccess,
    /// Whether the value is added to what is there.
    pub(super) add: bool,
}

/// Emits the stores of a body whose roots are, for each store in order, its value and then the value that is added to
/// a coordinate, if there is one.
pub(super) fn emit_stores<E: VectorEmitter>(
    e: &mut E,
    plan: &BodyPlan<'_>,
    stores: &[FlatStore],
    values: &[Lanes<E::Value>],
    site: &Site<'_, E>,
) {
    let mut roots = plan.roots.iter().zip(values);
    for store in stores {
        let Some((_, &value)) = roots.next() else { return };
        let dtype = store.access.dtype;
        let full = VectorType { dtype, lanes: plan.lanes() };
        let indirect = store.access.indirect.and_then(|_| roots.next());
        let contiguous = plan.vector.is_none_or(|v| {
            store.access.is_contiguous(v.axis, |s| plan.varies(s))
                && plan.vectors.has_memory(dtype, v.lanes, v.active)
        });
        // What is not contiguous is stored lane by lane, in order.
        let (count, ty, active) = match contiguous {
            true => (1, full, plan.active()),
            false => (plan.active(), VectorType::scalar(dtype), 1),
        };
        for lane in 0..count {
            let point = lane_point(plan, site.point, lane);
            let added = indirect.map(|(&s, v)| {
                let index = VectorType { dtype: plan.dtype(s), lanes: full.lanes };
                let index_value = v.lane(e, index, lane);
                e.value_word(index_value, index.dtype)
            });
            let stored = if contiguous { value.vector(e, full) } else { value.lane(e, full, lane) };
            let (address, offset) = store.access.address(e, site.bases, &point, added);
            let stored = if store.add {
                let there = e.load(ty, active, address, offset, false);
                e.binary(BinaryOp::Add, ty, there, stored)
            } else {
                stored
            };
            e.store(ty, active, stored, address, offset);
        }
    }
}
