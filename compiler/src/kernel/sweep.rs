//! Dropping what a body computes for nobody.

use std::collections::HashMap;

use cranelift_entity::EntitySet;

use super::{Body, InstKind, ScalarId};

/// Drops every value that neither `roots` nor a check needs, and returns the new name of each that stays.
pub fn sweep(body: &mut Body, roots: &[ScalarId]) -> HashMap<ScalarId, ScalarId> {
    let mut live = EntitySet::new();
    live.extend(roots.iter().copied());
    for (value, inst) in body.insts.iter().rev() {
        if live.contains(value) || matches!(inst.kind, InstKind::Check { .. }) {
            live.insert(value);
            inst.kind.each_operand(|s| {
                live.insert(s);
            });
        }
    }
    let mut names = HashMap::new();
    let insts = std::mem::take(&mut body.insts);
    for (value, mut inst) in insts {
        if live.contains(value) {
            inst.kind.each_operand_mut(|s| *s = names[s]);
            names.insert(value, body.insts.push(inst));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Affine, BodyBuilder};
    use crate::types::DType;

    #[test]
    fn only_what_is_used_stays_and_checks_do() {
        let b = BodyBuilder::new();
        let index = b.index(Affine::axis(0), DType::I32);
        b.check(index, 0, Affine::axis(0));
        let unused = b.float(DType::F32, 1.0);
        b.neg(unused);
        let x = b.float(DType::F32, 2.0);
        let root = b.add(x, x);
        let mut body = b.finish();
        let names = sweep(&mut body, &[root]);
        assert_eq!(body.insts.len(), 4);
        assert!(!names.contains_key(&unused));
        let InstKind::Binary(_, a, _) = body.insts[names[&root]].kind else { panic!("the sum is gone") };
        assert_eq!(a, names[&x]);
    }
}
