//! Scalar code for one point.

use super::super::{
    Affine, BinaryOp, Body, BufferId, Guard, Indirect, Inst, InstKind, KernelFunction, ScalarId, Store, most,
    scalar,
};
use super::fold::Accumulators;
use super::{IndexError, Memory, Options};
use crate::tensor::Scalar;
use crate::types::{DType, dense_strides};

/// What scalar code runs on, besides the coordinates of its axes.
pub(super) struct Env<'a> {
    pub memory: &'a mut Memory,
    pub options: Options,
    /// The smallest error of the kernel so far.
    pub error: Option<IndexError>,
}

/// Where an access goes.
pub(super) struct View {
    storage: BufferId,
    /// Row-major position, without the indirect coordinate.
    position: Affine,
    /// The value that is added to it, and how far one of it goes.
    indirect: Option<(ScalarId, i64)>,
}

impl View {
    pub fn new(
        function: &KernelFunction,
        buffer: BufferId,
        index: &[Affine],
        indirect: Option<Indirect>,
    ) -> View {
        let strides = dense_strides(&most(&function.buffers[buffer].shape));
        let position = index
            .iter()
            .zip(&strides)
            .fold(Affine::constant(0), |sum, (expr, &stride)| sum.plus(&expr.times(stride as i64)));
        let indirect = indirect.map(|i| (i.value, strides[i.axis] as i64));
        View { storage: function.storage(buffer), position, indirect }
    }

    fn position(&self, point: &[usize], values: &[Scalar]) -> usize {
        let indirect = self.indirect.map_or(0, |(value, stride)| integer(values[at(value)]) * stride);
        usize::try_from(self.position.at(point) + indirect).expect("accesses are within bounds")
    }

    pub fn store(&self, memory: &mut Memory, point: &[usize], values: &[Scalar], store: &Store) {
        let position = self.position(point, values);
        let element = memory.element_mut(self.storage, position);
        let value = values[at(store.value)];
        *element = if store.add { scalar::binary(BinaryOp::Add, *element, value) } else { value };
    }
}

fn at(value: ScalarId) -> usize {
    value.as_u32() as usize
}

fn integer(value: Scalar) -> i64 {
    match value {
        Scalar::I32(v) => i64::from(v),
        Scalar::I64(v) => v,
        other => panic!("expected an index, found {}", other.dtype()),
    }
}

fn holds(value: Scalar) -> bool {
    value == Scalar::Bool(true)
}

fn all_hold(guards: &[Guard], point: &[usize]) -> bool {
    guards.is_empty() || guards.iter().all(|g| usize::try_from(g.expr.at(point)).is_ok_and(|v| v < g.below))
}

/// A body with its accesses worked out.
pub(super) struct Code<'a> {
    function: &'a KernelFunction,
    insts: Vec<(&'a Inst, Option<View>)>,
}

impl<'a> Code<'a> {
    pub fn new(function: &'a KernelFunction, body: &'a Body) -> Code<'a> {
        let view = |inst: &Inst| match &inst.kind {
            InstKind::Load(access) => {
                Some(View::new(function, access.buffer, &access.index, access.indirect))
            }
            _ => None,
        };
        Code { function, insts: body.insts.values().map(|inst| (inst, view(inst))).collect() }
    }

    pub fn len(&self) -> usize {
        self.insts.len()
    }

    /// Leaves the values of all instructions in `values`.
    pub fn run(
        &self,
        env: &mut Env<'_>,
        point: &[usize],
        values: &mut Vec<Scalar>,
        accumulators: Option<&Accumulators<'_>>,
    ) {
        values.clear();
        for (inst, view) in &self.insts {
            let value = match (&inst.kind, view) {
                (InstKind::Load(access), Some(view)) => match all_hold(&access.guards, point) {
                    true => env.memory.load(view.storage, view.position(point, values)),
                    false => access.fill,
                },
                (&InstKind::Acc { index, before }, _) => {
                    accumulators.expect("an accumulator is used where there is a fold").value(index, before)
                }
                (InstKind::Check { value, site, position }, _) => {
                    self.check(env, point, values[at(*value)], *site, position)
                }
                (kind, _) => compute(kind, inst.dtype, env.options, point, values),
            };
            values.push(value);
        }
    }

    /// The index if it is in range, else the nearest one that is, with the error noted.
    fn check(
        &self,
        env: &mut Env<'_>,
        point: &[usize],
        value: Scalar,
        site: usize,
        position: &Affine,
    ) -> Scalar {
        let index = integer(value);
        let last = self.function.checks[site].bound as i64 - 1;
        let nearest = index.clamp(0, last);
        if nearest != index {
            let position = usize::try_from(position.at(point)).expect("positions are within bounds");
            let error = IndexError { site, position, value: index };
            env.error = Some(env.error.map_or(error, |smallest| smallest.min(error)));
        }
        Scalar::I64(nearest).convert(value.dtype())
    }
}

/// The value of an instruction that touches nothing but values and axes.
fn compute(kind: &InstKind, dtype: DType, options: Options, point: &[usize], values: &[Scalar]) -> Scalar {
    let value = |s: ScalarId| values[at(s)];
    match *kind {
        InstKind::Const(constant) => constant,
        InstKind::Extent(extent) => Scalar::I64(extent.most() as i64),
        InstKind::Index(ref expr) => Scalar::I64(expr.at(point)).convert(dtype),
        InstKind::Unary(op, a) => scalar::unary(op, value(a)),
        InstKind::Binary(op, a, b) => scalar::binary(op, value(a), value(b)),
        InstKind::Fma(a, b, c) => scalar::fma(value(a), value(b), value(c), options.fused_multiply_add),
        InstKind::Compare(op, a, b) => Scalar::Bool(scalar::compare(op, value(a), value(b))),
        InstKind::Select(condition, a, b) => {
            if holds(value(condition)) {
                value(a)
            } else {
                value(b)
            }
        }
        InstKind::Convert(a) => scalar::convert(value(a), dtype),
        InstKind::Bitcast(a) => scalar::bitcast(value(a), dtype),
        InstKind::InBounds(ref guards) => Scalar::Bool(all_hold(guards, point)),
        InstKind::Philox { key, seed, step, element, word } => {
            let [seed, step, element] = [seed, step, element].map(|s| integer(value(s)));
            Scalar::I64(scalar::philox(key, seed, step, element, word))
        }
        InstKind::Load(_) | InstKind::Acc { .. } | InstKind::Check { .. } => {
            unreachable!("loads, accumulators and checks reach beyond values")
        }
    }
}
