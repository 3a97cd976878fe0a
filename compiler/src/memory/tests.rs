use super::*;
use crate::kernel::testing::{access, axes, buffer, check, map, push, store};
use crate::kernel::{Access, Affine, BodyBuilder, Fold, FoldKind, Guard, Indirect, ScalarId, Stage, Store};
use crate::tensor::Scalar;
use crate::types::DType::{F32, I32};

/// A function with `Variable(0)` and `Next(0)`, both f32[8, 4].
fn with_variable() -> (KernelFunction, BufferId, BufferId) {
    let mut f = KernelFunction::default();
    let w = buffer(&mut f, F32, &[8, 4], BufferKind::Variable(0));
    let next = buffer(&mut f, F32, &[8, 4], BufferKind::Next(0));
    (f, w, next)
}

fn in_place(f: &KernelFunction) -> bool {
    let plan = plan(f, 9, &[64]).unwrap();
    let next = f.buffers.iter().find(|(_, b)| matches!(b.kind, BufferKind::Next(0))).unwrap().0;
    match plan.locations[next] {
        Location::State(64) => assert!(plan.copies.is_empty() && plan.in_place == [0]),
        Location::Arena(_) => assert_eq!(plan.copies, [VariableCopy { from: next, to: 64, bytes: 128 }]),
        other => panic!("a next value is in the state or in the arena, found {other:?}"),
    }
    plan.in_place == [0]
}

/// A stage that loads what `load` says and stores what `store` says, without axes of its own.
fn stage(f: &KernelFunction, loads: &[Access], stores: impl FnOnce(ScalarId) -> Vec<Store>) -> Stage {
    let b = BodyBuilder::new();
    let one = b.float(F32, 1.0);
    let sum = loads.iter().fold(one, |sum, a| b.add(sum, b.load(a.clone(), f.buffers[a.buffer].dtype)));
    Stage { axes: vec![], fold: None, body: b.finish(), stores: stores(sum) }
}

#[test]
fn an_update_at_one_index_is_done_in_place() {
    let (mut f, w, next) = with_variable();
    let g = buffer(&mut f, F32, &[8, 4], BufferKind::Param(0));
    map(&mut f, &[w, g], next, |b, x| b.sub(x[0], x[1]));
    assert!(in_place(&f));
    // Reading the new value later changes nothing.
    let sum = buffer(&mut f, F32, &[8, 4], BufferKind::Result(0));
    map(&mut f, &[next], sum, |_, x| x[0]);
    assert!(in_place(&f));
    assert_eq!(plan(&f, 9, &[64]).unwrap().locations[sum], Location::Argument(9));
}

#[test]
fn p1_a_later_load_of_the_old_value_needs_two_buffers() {
    let (mut f, w, next) = with_variable();
    map(&mut f, &[w], next, |b, x| b.neg(x[0]));
    let old = buffer(&mut f, F32, &[8, 4], BufferKind::Result(0));
    map(&mut f, &[w], old, |_, x| x[0]);
    assert!(!in_place(&f));
    // The kernels don't depend on each other, so the other order is as good.
    order(&mut f);
    assert_eq!(f.kernels[0].name, "k1");
    assert!(in_place(&f));
}

#[test]
fn p1_kernels_of_different_elements_work_in_place() {
    let (f, w, next) = with_variable();
    let rows = |first: i64| vec![Affine::axis(0).plus_constant(first), Affine::axis(1)];
    // The first and the last rows are updated in turn; then some are read, or those before the last while these are updated.
    for (read, also, expected) in [
        (None, None, true),
        (Some(0), None, false),
        (Some(4), None, false),
        (None, Some(0), false),
        (None, Some(1), false),
    ] {
        let mut f = f.clone();
        for first in [0, 4] {
            let also = also.filter(|_| first > 0).map(|from| access(&f, w, &rows(from)));
            let loads = [Some(access(&f, w, &rows(first))), also].into_iter().flatten().collect::<Vec<_>>();
            let stage = stage(&f, &loads, |sum| vec![store(sum, next, &rows(first))]);
            push(&mut f, vec![4, 4], vec![stage]);
        }
        if let Some(first) = read {
            let old = buffer(&mut f, F32, &[4, 4], BufferKind::Result(0));
            let stage = stage(&f, &[access(&f, w, &rows(first))], |sum| vec![store(sum, old, &axes(2))]);
            push(&mut f, vec![4, 4], vec![stage]);
        }
        assert_eq!(in_place(&f), expected, "{read:?} {also:?}");
    }
    // What is read before it is overwritten may be read anywhere.
    let mut f = f.clone();
    let old = buffer(&mut f, F32, &[4, 4], BufferKind::Result(0));
    for (from, to) in [(0, next), (4, old), (4, next)] {
        let at = if to == old { axes(2) } else { rows(from) };
        let stage = stage(&f, &[access(&f, w, &rows(from))], |sum| vec![store(sum, to, &at)]);
        push(&mut f, vec![4, 4], vec![stage]);
    }
    assert!(in_place(&f));
    // Where a coordinate is data, or another name is used, nobody knows.
    let alias = buffer(&mut f, F32, &[8, 4], BufferKind::Alias(w));
    let last = f.kernels.pop().unwrap();
    let load = access(&f, alias, &rows(4));
    let late = buffer(&mut f, F32, &[4, 4], BufferKind::Result(1));
    let stage = stage(&f, &[load], |sum| vec![store(sum, late, &axes(2))]);
    push(&mut f, vec![4, 4], vec![stage]);
    assert!(!in_place(&f));
    f.kernels.pop();
    f.kernels.push(last);
    assert!(in_place(&f));
}

#[test]
fn p2_loads_at_other_elements_need_two_buffers() {
    let (f, w, next) = with_variable();
    let here = axes(2);
    let plain = access(&f, w, &here);
    let row = access(&f, w, &[Affine::axis(0), Affine::constant(0)]);
    let mut f = f;
    let alias = buffer(&mut f, F32, &[8, 4], BufferKind::Alias(w));
    let aliased = access(&f, alias, &here);
    let guarded = Access { guards: vec![Guard { expr: Affine::axis(0), below: 4 }], ..plain.clone() };
    for (loads, expected) in [
        (vec![], true),
        (vec![plain.clone()], true),
        (vec![plain.clone(), plain.clone()], true),
        (vec![row.clone()], false),
        (vec![plain.clone(), row], false),
        (vec![guarded], false),
        (vec![aliased], false),
    ] {
        let mut f = f.clone();
        let stage = stage(&f, &loads, |sum| vec![store(sum, next, &here)]);
        push(&mut f, vec![8, 4], vec![stage]);
        assert_eq!(in_place(&f), expected, "{loads:?}");
    }

    // An indirect coordinate.
    let mut f = f.clone();
    let b = BodyBuilder::new();
    let zero = b.int(I32, 0);
    let value = b.load(Access { indirect: Some(Indirect { axis: 0, value: zero }), ..plain }, F32);
    let stage = Stage { axes: vec![], fold: None, body: b.finish(), stores: vec![store(value, next, &here)] };
    push(&mut f, vec![8, 4], vec![stage]);
    assert!(!in_place(&f));
}

#[test]
fn p2_a_load_in_a_fold_needs_two_buffers() {
    let (mut f, w, next) = with_variable();
    let b = BodyBuilder::new();
    b.load(access(&f, w, &axes(2)), F32);
    let fold = Fold {
        kind: FoldKind::Reduce,
        axes: vec![3.into()],
        lanes: 1,
        body: b.finish(),
        accumulators: vec![],
    };
    let mut stage = stage(&f, &[], |sum| vec![store(sum, next, &axes(2))]);
    stage.fold = Some(fold);
    push(&mut f, vec![8, 4], vec![stage]);
    assert!(!in_place(&f));
}

#[test]
fn p3_the_stage_that_loads_must_be_the_first_to_store() {
    let (f, w, next) = with_variable();
    let here = axes(2);
    let load = [access(&f, w, &here)];
    let plain = |sum| vec![store(sum, next, &here)];
    let added = |sum| vec![Store { add: true, ..store(sum, next, &here) }];
    let twice = |sum| vec![store(sum, next, &here), store(sum, next, &here)];
    let none = |_| vec![];
    let copies = stage(&f, &load, plain);
    for (stages, expected) in [
        (vec![copies.clone(), stage(&f, &[], added)], true),
        (vec![copies.clone(), stage(&f, &[], plain)], true),
        (vec![stage(&f, &[], plain), copies.clone()], false),
        (vec![stage(&f, &load, added)], false),
        (vec![stage(&f, &load, twice)], false),
        (vec![stage(&f, &load, none), stage(&f, &[], plain)], false),
        (vec![copies.clone(), copies], false),
    ] {
        let mut f = f.clone();
        push(&mut f, vec![8, 4], stages);
        assert_eq!(in_place(&f), expected, "{:?}", f.kernels[0].stages);
    }
}

#[test]
fn a_kernel_that_adds_to_a_copy_works_in_place() {
    let (mut f, w, next) = with_variable();
    map(&mut f, &[w], next, |_, x| x[0]);
    let scatter = stage(&f, &[], |sum| vec![Store { add: true, ..store(sum, next, &axes(2)) }]);
    push(&mut f, vec![8, 4], vec![scatter]);
    order(&mut f);
    assert_eq!(names(&f), ["k0", "k1"]);
    assert!(in_place(&f));
}

#[test]
fn a_copy_of_a_variable_to_itself_is_dropped_where_something_else_is_stored() {
    let (mut f, w, next) = with_variable();
    map(&mut f, &[w], next, |_, x| x[0]);
    let alone = f.clone();
    drop_copies(&mut f);
    assert_eq!(f, alone);
    let scatter = stage(&f, &[], |sum| vec![Store { add: true, ..store(sum, next, &axes(2)) }]);
    push(&mut f, vec![8, 4], vec![scatter]);
    let mut read_later = f.clone();
    drop_copies(&mut f);
    assert_eq!(names(&f), ["k1"]);
    assert!(in_place(&f));
    // With the old value read later the variable has two buffers, and the second one needs all elements.
    let old = buffer(&mut read_later, F32, &[8, 4], BufferKind::Result(0));
    map(&mut read_later, &[w], old, |_, x| x[0]);
    drop_copies(&mut read_later);
    assert_eq!(names(&read_later), ["k0", "k1", "k2"]);
    order(&mut read_later);
    drop_copies(&mut read_later);
    assert_eq!(names(&read_later), ["k2", "k1"]);
}

#[test]
fn p4_checks_come_before_the_first_assignment_in_place() {
    let (mut f, w, next) = with_variable();
    let index = buffer(&mut f, I32, &[3], BufferKind::Param(0));
    let checked = buffer(&mut f, I32, &[3], BufferKind::Result(0));
    map(&mut f, &[w], next, |b, x| b.neg(x[0]));
    check(&mut f, index, checked, 10);
    assert!(!in_place(&f));
    order(&mut f);
    assert_eq!(names(&f), ["k1", "k0"]);
    assert!(in_place(&f));
}

#[test]
fn p4_a_check_that_needs_the_assigned_value_needs_two_buffers() {
    let mut f = KernelFunction::default();
    let w = buffer(&mut f, I32, &[3], BufferKind::Variable(0));
    let next = buffer(&mut f, I32, &[3], BufferKind::Next(0));
    let checked = buffer(&mut f, I32, &[3], BufferKind::Result(0));
    map(&mut f, &[w], next, |b, x| b.neg(x[0]));
    check(&mut f, next, checked, 10);
    order(&mut f);
    assert_eq!(names(&f), ["k0", "k1"]);
    let plan = plan(&f, 1, &[64]).unwrap();
    assert_eq!(plan.in_place, []);
    assert_eq!(plan.copies, [VariableCopy { from: next, to: 64, bytes: 12 }]);
}

#[test]
fn variables_that_swap_need_one_buffer_more() {
    let mut f = KernelFunction::default();
    let old: Vec<_> = (0..2).map(|v| buffer(&mut f, F32, &[16], BufferKind::Variable(v))).collect();
    let next: Vec<_> = (0..2).map(|v| buffer(&mut f, F32, &[16], BufferKind::Next(v))).collect();
    map(&mut f, &[old[1]], next[0], |_, x| x[0]);
    map(&mut f, &[old[0]], next[1], |_, x| x[0]);
    order(&mut f);
    assert_eq!(names(&f), ["k0", "k1"]);
    let plan = plan(&f, 0, &[64, 128]).unwrap();
    assert_eq!(plan.in_place, [1]);
    assert_eq!(plan.copies, [VariableCopy { from: next[0], to: 64, bytes: 64 }]);
    // The copy lives until the end.
    assert_eq!(plan.peak.bytes, 64);
}

#[test]
fn a_value_is_alive_from_its_first_kernel_to_its_last() {
    let mut f = KernelFunction::default();
    let x = buffer(&mut f, F32, &[17], BufferKind::Param(0));
    let temps: Vec<_> = (0..4).map(|_| buffer(&mut f, F32, &[17], BufferKind::Temp)).collect();
    let alias = buffer(&mut f, F32, &[17], BufferKind::Alias(temps[1]));
    let unused = buffer(&mut f, F32, &[17], BufferKind::Temp);
    let empty = buffer(&mut f, F32, &[0], BufferKind::Temp);
    let y = buffer(&mut f, F32, &[17], BufferKind::Result(0));
    let chain = [(x, temps[0]), (temps[0], temps[1]), (alias, temps[2]), (temps[2], temps[3]), (temps[3], y)];
    for (from, to) in chain {
        map(&mut f, &[from], to, |b, x| b.neg(x[0]));
    }
    map(&mut f, &[], empty, |b, _| b.float(F32, 0.0));
    let plan = plan(&f, 1, &[]).unwrap();
    // 17 elements take 68 bytes, that is 128; two of them are alive at any time.
    assert_eq!((plan.arena_bytes, plan.without_reuse_bytes), (256, 576));
    let holder =
        |n: usize| Holder { buffer: temps[n], range: LiveRange { first: n, last: n + 1, bytes: 128 } };
    assert_eq!(plan.peak, Peak { kernel: 1, bytes: 256, holders: vec![holder(0), holder(1)] });
    assert_eq!(plan.locations[x], Location::Argument(0));
    assert_eq!(plan.locations[y], Location::Argument(1));
    assert_eq!(plan.locations[unused], Location::None);
    assert_eq!(plan.locations[alias], plan.locations[temps[1]]);
    assert_ne!(plan.locations[temps[1]], plan.locations[temps[2]]);
}

#[test]
fn constants_and_the_random_state_are_where_they_are() {
    let mut f = KernelFunction::default();
    let seed = buffer(&mut f, crate::types::DType::I64, &[2], BufferKind::RandomState);
    let tensor = crate::tensor::Tensor::scalar(Scalar::F32(1.0));
    let one = buffer(&mut f, F32, &[], BufferKind::Constant(tensor));
    let plan = plan(&f, 0, &[]).unwrap();
    assert_eq!(plan.locations[seed], Location::State(StateHeader::SEED_OFFSET));
    assert_eq!(plan.locations[one], Location::Constant);
}

#[test]
fn temporaries_beyond_the_address_space_are_refused() {
    let mut f = KernelFunction { name: "huge".into(), ..KernelFunction::default() };
    let temps: Vec<_> = (0..3).map(|_| buffer(&mut f, F32, &[1 << 60], BufferKind::Temp)).collect();
    for &t in &temps {
        map(&mut f, &[], t, |b, _| b.float(F32, 0.0));
    }
    assert_eq!(plan(&f, 0, &[]).unwrap_err().code, "E0610");
}

fn names(f: &KernelFunction) -> Vec<&str> {
    f.kernels.iter().map(|k| k.name.as_str()).collect()
}

#[test]
fn an_update_runs_as_soon_as_its_gradient_is_complete() {
    let mut f = KernelFunction::default();
    let x = buffer(&mut f, F32, &[64], BufferKind::Param(0));
    let mut updates = Vec::new();
    for v in 0..3 {
        let w = buffer(&mut f, F32, &[64], BufferKind::Variable(v));
        let next = buffer(&mut f, F32, &[64], BufferKind::Next(v));
        let gradient = buffer(&mut f, F32, &[64], BufferKind::Temp);
        map(&mut f, &[x, w], gradient, |b, x| b.mul(x[0], x[1]));
        updates.push((w, gradient, next));
    }
    for (w, gradient, next) in updates {
        map(&mut f, &[w, gradient], next, |b, x| b.sub(x[0], x[1]));
    }
    assert_eq!(plan(&f, 1, &[64, 320, 576]).unwrap().arena_bytes, 3 * 256);
    order(&mut f);
    assert_eq!(names(&f), ["k0", "k3", "k1", "k4", "k2", "k5"]);
    assert_eq!(plan(&f, 1, &[64, 320, 576]).unwrap().arena_bytes, 256);
}

#[test]
fn an_order_keeps_dependencies_and_gives_up_only_wishes_in_a_cycle() {
    let (mut f, w, next) = with_variable();
    let u = buffer(&mut f, F32, &[8, 4], BufferKind::Variable(1));
    let u_next = buffer(&mut f, F32, &[8, 4], BufferKind::Next(1));
    let results: Vec<_> = (0..2).map(|n| buffer(&mut f, F32, &[8, 4], BufferKind::Result(n))).collect();
    map(&mut f, &[u], u_next, |b, x| b.neg(x[0]));
    map(&mut f, &[w], next, |b, x| b.neg(x[0]));
    // It needs the new value of one variable and the old one of both.
    map(&mut f, &[w, next, u], results[0], |b, x| b.add(b.add(x[0], x[1]), x[2]));
    map(&mut f, &[u, w], results[1], |b, x| b.add(x[0], x[1]));
    order(&mut f);
    assert_eq!(names(&f), ["k3", "k1", "k2", "k0"]);
    assert_eq!(plan(&f, 0, &[64, 192]).unwrap().in_place, [1]);
}

#[test]
fn random_orders_keep_dependencies() {
    let mut state = 1u64;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % n
    };
    for _ in 0..200 {
        let mut f = KernelFunction::default();
        let mut ids = Vec::new();
        for v in 0..4 {
            ids.push(buffer(&mut f, I32, &[4], BufferKind::Variable(v)));
            ids.push(buffer(&mut f, I32, &[4], BufferKind::Next(v)));
            ids.push(buffer(&mut f, I32, &[4 << v], BufferKind::Temp));
        }
        for _ in 0..12 {
            let (a, b) = (ids[below(12)], ids[below(12)]);
            let to = ids[[1, 2][below(2)] + 3 * below(4)];
            if below(4) == 0 {
                check(&mut f, a, to, 3);
            } else {
                map(&mut f, &[a, b], to, |b, x| b.add(x[0], x[1]));
            }
        }
        let before = f.clone();
        order(&mut f);
        let position = |name: &str| f.kernels.iter().position(|k| k.name == name).expect("no kernel is lost");
        for (i, early) in before.kernels.iter().enumerate() {
            for late in &before.kernels[i + 1..] {
                let (a, b) = (before.uses(early), before.uses(late));
                let depends = a.writes.iter().any(|x| b.touched().contains(x))
                    || b.writes.iter().any(|x| a.touched().contains(x));
                assert!(!depends || position(&early.name) < position(&late.name));
            }
        }
        assert_eq!(f.kernels.len(), before.kernels.len());
    }
}
