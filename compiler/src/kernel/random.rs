//! Random kernels that keep every rule, for tests of whatever reads Kernel IR.

use super::testing::{axes, push, store};
use super::{
    Access, Accumulator, Affine, Axis, BinaryOp, Body, BodyBuilder, Buffer, BufferId, BufferKind, CheckSite,
    CompareOp, Fold, FoldKind, FoldOp, Guard, Indirect, KernelFunction, Memory, ScalarId, Stage, Store,
    UnaryOp, fixed, most,
};
use crate::ops::sample::Sampler;
use crate::tensor::{Scalar, Tensor};
use crate::types::DType;

/// A function and parameters for it, in which no check fails.
pub struct RandomCase {
    pub function: KernelFunction,
    /// The n-th is of the buffer that is parameter n.
    pub params: Vec<Tensor>,
}

impl RandomCase {
    /// The case of a seed: a few kernels over small extents (1, odd and round ones, now and then 0), which read through
    /// views of all kinds, some of them what earlier kernels stored. No functions that are expanded only to within a bound.
    pub fn new(seed: u64) -> RandomCase {
        let mut draw = Draw {
            sampler: Sampler::new(seed),
            function: KernelFunction { name: format!("random/{seed}"), ..KernelFunction::default() },
            params: Vec::new(),
            results: 0,
            unfinished: Vec::new(),
        };
        for _ in 0..draw.below(3) + 1 {
            match draw.below(7) {
                0 => draw.map(),
                1 => draw.reduction(),
                2 => draw.contraction(),
                3 => draw.scan(),
                4 => draw.gather(),
                5 => draw.scatter(),
                _ => draw.stages(),
            }
        }
        RandomCase { function: draw.function, params: draw.params }
    }

    /// Memory with the parameters in place.
    pub fn memory(&self) -> Memory {
        let mut memory = Memory::new(&self.function);
        for (id, buffer) in &self.function.buffers {
            if let BufferKind::Param(n) = buffer.kind {
                memory.set(id, &self.params[n]);
            }
        }
        memory
    }
}

const DTYPES: [DType; 6] = [DType::F32, DType::F64, DType::I32, DType::I64, DType::U8, DType::Bool];

/// Elements that a random buffer has at most.
const MAX_DRAWN: usize = 4096;

struct Draw {
    sampler: Sampler,
    function: KernelFunction,
    params: Vec<Tensor>,
    results: usize,
    /// Buffers that the kernel stores to which is being made.
    unfinished: Vec<BufferId>,
}

impl Draw {
    /// A number of `0 .. n`.
    fn below(&mut self, n: usize) -> usize {
        self.sampler.int(0, n as i64) as usize
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Whether something happens that does once in `n` times.
    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// f32 half of the time.
    fn dtype(&mut self) -> DType {
        if self.once_in(2) { DType::F32 } else { self.pick(&DTYPES) }
    }

    fn number_dtype(&mut self) -> DType {
        if self.once_in(2) { DType::F32 } else { self.pick(&DTYPES[..5]) }
    }

    fn extents(&mut self, most: usize) -> Vec<usize> {
        (0..self.below(most + 1)).map(|_| self.extent()).collect()
    }

    fn extent(&mut self) -> usize {
        if self.once_in(40) { 0 } else { self.pick(&[1, 2, 3, 4, 5, 7, 8, 11, 16, 19]) }
    }

    /// Ordinary numbers, small integers among them, and now and then a special one.
    fn scalar(&mut self, dtype: DType) -> Scalar {
        const SPECIAL: [f64; 6] = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-40];
        if dtype.is_float() {
            let value = match self.below(12) {
                0 => self.pick(&SPECIAL),
                1..4 => self.below(5) as f64 - 2.0,
                _ => self.sampler.real(-4.0, 4.0),
            };
            // A conversion from f64 would flush nothing here, so that subnormal elements occur.
            return Scalar::F64(value).convert(dtype);
        }
        match self.below(8) {
            0 => Scalar::I64(self.sampler.bits() as i64).convert(dtype),
            _ => Scalar::I64(self.below(9) as i64 - 4).convert(dtype),
        }
    }

    fn param(&mut self, tensor: Tensor) -> BufferId {
        let kind = BufferKind::Param(self.params.len());
        let buffer = Buffer {
            name: "x".into(),
            dtype: tensor.dtype(),
            shape: fixed(tensor.shape()),
            pitch: None,
            kind,
        };
        self.params.push(tensor);
        self.function.buffers.push(buffer)
    }

    /// A buffer of this type with contents: a new parameter or constant, or one that is there.
    fn source(&mut self, dtype: DType, shape: &[usize]) -> BufferId {
        let buffers = self.function.buffers.iter();
        let known: Vec<BufferId> = buffers
            .filter(|(_, b)| b.dtype == dtype && b.shape == fixed(shape) && b.kind != BufferKind::Local)
            .map(|(id, _)| id)
            .filter(|id| !self.unfinished.contains(id))
            .collect();
        if !known.is_empty() && !self.once_in(3) {
            return self.pick(&known);
        }
        let elements: Vec<Scalar> = (0..shape.iter().product()).map(|_| self.scalar(dtype)).collect();
        let tensor = Tensor::from_scalars(dtype, shape, elements);
        if self.once_in(6) {
            let kind = BufferKind::Constant(tensor);
            let pitch = match shape {
                [_, .., row] if self.once_in(2) => Some(row + self.below(5)),
                _ => None,
            };
            return self.function.buffers.push(Buffer {
                name: "c".into(),
                dtype,
                shape: fixed(shape),
                pitch,
                kind,
            });
        }
        self.param(tensor)
    }

    /// A new buffer for what a kernel computes.
    fn target(&mut self, dtype: DType, shape: Vec<usize>) -> BufferId {
        let kind = if self.once_in(3) {
            BufferKind::Temp
        } else {
            self.results += 1;
            BufferKind::Result(self.results - 1)
        };
        let pitch = match (&kind, shape.as_slice()) {
            (BufferKind::Temp, [_, .., row]) if self.once_in(2) => Some(row + self.below(5)),
            _ => None,
        };
        let buffer =
            self.function.buffers.push(Buffer { name: "r".into(), dtype, shape: fixed(&shape), pitch, kind });
        self.unfinished.push(buffer);
        buffer
    }

    /// Ends a kernel.
    fn kernel(&mut self, axes: Vec<usize>, stages: Vec<Stage>) {
        push(&mut self.function, axes, stages);
        self.unfinished.clear();
    }

    /// A view of some buffer by axes with these extents: each of its coordinates is an axis, forwards, backwards, or with
    /// a stride, a sum of two, or none; some reach outside, with a guard.
    fn view(&mut self, dtype: DType, extents: &[usize]) -> Access {
        let (mut index, mut shape, mut guards) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.below(4) {
            let form = if extents.is_empty() { 0 } else { self.below(8) };
            let axis = self.below(extents.len());
            let extent = extents.get(axis).map_or(1, |&e| e.max(1));
            let (expr, reach) = match form {
                0 => {
                    let c = self.below(3);
                    (Affine::constant(c as i64), c + 1)
                }
                1 | 2 => (Affine::axis(axis), extent),
                3 => (Affine::axis(axis).times(-1).plus_constant(extent as i64 - 1), extent),
                4 => {
                    let (stride, c) = (self.below(2) + 2, self.below(2));
                    (
                        Affine::axis(axis).times(stride as i64).plus_constant(c as i64),
                        stride * (extent - 1) + c + 1,
                    )
                }
                5 => {
                    let other = self.below(extents.len());
                    let reach = extent + extents[other].max(1) - 1;
                    (Affine::axis(axis).plus(&Affine::axis(other)), reach)
                }
                _ => {
                    let (pad, cut) = (self.below(3), self.below(3));
                    let expr = Affine::axis(axis).plus_constant(-(pad as i64));
                    let below = extent.saturating_sub(pad + cut).max(1);
                    guards.push(Guard { expr: expr.clone(), below });
                    (expr, below)
                }
            };
            index.push(expr);
            shape.push(reach + usize::from(self.once_in(4)));
        }
        if shape.iter().product::<usize>() > MAX_DRAWN {
            (index, shape, guards) = Default::default();
        }
        let buffer = self.source(dtype, &shape);
        let fill = if guards.is_empty() { Scalar::zero(dtype) } else { self.scalar(dtype) };
        Access { buffer, index, indirect: None, guards, fill }
    }

    /// Some values of a type: elements of views, a constant, and `given`.
    fn leaves(
        &mut self,
        b: &BodyBuilder,
        dtype: DType,
        extents: &[usize],
        given: &[ScalarId],
    ) -> Vec<ScalarId> {
        let mut leaves = given.to_vec();
        for _ in 0..self.below(2) + 1 {
            leaves.push(b.load(self.view(dtype, extents), dtype));
        }
        leaves.push(b.constant(self.scalar(dtype)));
        leaves
    }

    /// A value of `dtype` made by random operators of random values and of `given`, which are of that type too.
    fn value(&mut self, b: &BodyBuilder, dtype: DType, extents: &[usize], given: &[ScalarId]) -> ScalarId {
        let mut pool = self.leaves(b, dtype, extents, given);
        for _ in 0..self.below(5) + 1 {
            let last = pool[pool.len() - 1];
            let (x, y) = (self.pick(&pool), self.pick(&pool));
            let made = match self.below(10) {
                0 => self.conversion(b, dtype, last),
                1 => {
                    let condition = self.condition(b, extents, x, y);
                    b.select(condition, last, y)
                }
                2 if dtype.is_float() => b.fma(x, y, last),
                3 if dtype == DType::I64 => b.philox(self.sampler.bits(), x, y, last, self.below(4) as u8),
                4 if matches!(dtype, DType::I32 | DType::I64) && !extents.is_empty() => {
                    b.index(Affine::axis(self.below(extents.len())).plus_constant(3), dtype)
                }
                5 | 6 => b.unary(self.unary_op(dtype), last),
                _ => {
                    let op = self.binary_op(dtype);
                    b.binary(op, last, y)
                }
            };
            pool.push(made);
        }
        pool[pool.len() - 1]
    }

    fn unary_op(&mut self, dtype: DType) -> UnaryOp {
        use UnaryOp::{Abs, Ceil, Floor, Neg, Not, Round, Sign, Sqrt};
        match dtype {
            DType::Bool => Not,
            _ if dtype.is_float() => self.pick(&[Neg, Abs, Sqrt, Floor, Ceil, Round, Sign]),
            _ => self.pick(&[Neg, Abs, Not, Sign]),
        }
    }

    fn binary_op(&mut self, dtype: DType) -> BinaryOp {
        use BinaryOp::{Add, And, Div, Max, Min, Mul, Or, Pow, Shl, ShrArith, ShrLogical, Sub, Xor};
        match dtype {
            DType::Bool => self.pick(&[And, Or, Xor]),
            DType::U8 => self.pick(&[Add, Sub, Mul, Div, Min, Max, And, Or, Xor, Pow]),
            _ if dtype.is_float() => self.pick(&[Add, Sub, Mul, Div, Min, Max]),
            _ => self.pick(&[Add, Sub, Mul, Div, Min, Max, And, Or, Xor, Shl, ShrLogical, ShrArith, Pow]),
        }
    }

    fn condition(&mut self, b: &BodyBuilder, extents: &[usize], x: ScalarId, y: ScalarId) -> ScalarId {
        if extents.is_empty() || self.once_in(2) {
            return b.inst(super::InstKind::Compare(self.pick(CompareOp::ALL), x, y), DType::Bool);
        }
        let axis = self.below(extents.len());
        b.in_bounds(vec![Guard { expr: Affine::axis(axis).plus_constant(-1), below: self.below(4) }])
    }

    /// The value through another type and back.
    fn conversion(&mut self, b: &BodyBuilder, dtype: DType, x: ScalarId) -> ScalarId {
        let bits = match dtype {
            DType::F32 => Some(DType::I32),
            DType::F64 => Some(DType::I64),
            _ => None,
        };
        match bits {
            // The bits of a NaN are not defined: only those of a number may be seen.
            Some(bits) if self.once_in(2) => {
                let number = b.select(b.eq(x, x), x, b.number(dtype, 1.0));
                b.bitcast(b.xor(b.bitcast(number, bits), b.int(bits, 1)), dtype)
            }
            _ => b.convert(b.convert(x, self.pick(&DTYPES)), dtype),
        }
    }

    /// A store to a new buffer with one axis for each of the points' axes, in any order, forwards or backwards.
    fn store(&mut self, value: ScalarId, dtype: DType, extents: &[usize]) -> Store {
        let mut order: Vec<Axis> = (0..extents.len()).collect();
        if self.once_in(3) {
            order.reverse();
        }
        let index: Vec<Affine> = order
            .iter()
            .map(|&axis| match self.once_in(5) {
                true => Affine::axis(axis).times(-1).plus_constant(extents[axis] as i64 - 1),
                false => Affine::axis(axis),
            })
            .collect();
        let to = self.target(dtype, order.iter().map(|&axis| extents[axis]).collect());
        store(value, to, &index)
    }

    /// A body that ends in a value of `dtype` that is stored, made with what `given` adds to it.
    fn stored(
        &mut self,
        dtype: DType,
        extents: &[usize],
        given: impl FnOnce(&BodyBuilder) -> Vec<ScalarId>,
    ) -> (Body, Vec<Store>) {
        let b = BodyBuilder::new();
        let given = given(&b);
        let value = self.value(&b, dtype, extents, &given);
        let mut stores = vec![self.store(value, dtype, extents)];
        if self.once_in(4) {
            // A second output, of another type.
            let other = self.dtype();
            let value = b.convert(value, other);
            stores.push(self.store(value, other, extents));
        }
        (b.finish(), stores)
    }

    fn map(&mut self) {
        let (dtype, extents) = (self.dtype(), self.extents(3));
        let (body, stores) = self.stored(dtype, &extents, |_| vec![]);
        self.kernel(extents, vec![Stage { axes: vec![], fold: None, body, stores }]);
    }

    /// Combinations of random values of one type over axes that follow `outer`, and the type of each.
    fn fold(&mut self, kind: FoldKind, outer: &[usize]) -> Fold {
        let dtype = self.dtype();
        let mut axes = self.extents(2);
        if axes.is_empty() && !self.once_in(4) {
            axes.push(self.extent());
        }
        let lanes = if kind == FoldKind::Scan { 1 } else { self.pick(&[1, 1, 2, 4, 8, 16]) };
        let b = BodyBuilder::new();
        let extents = [outer, &axes].concat();
        let accumulators = (0..self.below(2) + 1).map(|_| self.accumulator(&b, dtype, &extents)).collect();
        Fold { kind, axes: fixed(&axes), lanes, body: b.finish(), accumulators }
    }

    fn accumulator(&mut self, b: &BodyBuilder, dtype: DType, extents: &[usize]) -> Accumulator {
        let x = self.value(b, dtype, extents, &[]);
        let index = self.pick(&[DType::I32, DType::I64]);
        let (op, dtype) = match self.below(7) {
            0 if dtype.is_float() => (FoldOp::Dot(x, self.value(b, dtype, extents, &[x])), dtype),
            1 if dtype != DType::Bool => (FoldOp::Max(x), dtype),
            2 if dtype != DType::Bool => (FoldOp::Min(x), dtype),
            3 if dtype != DType::Bool => (FoldOp::ArgMax(x), index),
            4 if dtype != DType::Bool => (FoldOp::ArgMin(x), index),
            5 => (FoldOp::Prod(x), dtype),
            _ => (FoldOp::Sum(x), dtype),
        };
        Accumulator { op, dtype }
    }

    /// A stage over `axes` of a kernel over `outer`, whose body uses the accumulators of its fold.
    fn folding_stage(&mut self, kind: FoldKind, outer: &[usize], axes: Vec<usize>) -> Stage {
        let outside = [outer, &axes].concat();
        let fold = self.fold(kind, &outside);
        let extents = if kind == FoldKind::Scan { [outside, most(&fold.axes)].concat() } else { outside };
        let dtype = self.dtype();
        let before = kind == FoldKind::Scan && self.once_in(2);
        let (body, stores) = self.stored(dtype, &extents, |b| {
            let accumulators = fold.accumulators.iter().enumerate();
            accumulators.map(|(n, a)| b.convert(b.acc(n, before, a.dtype), dtype)).collect()
        });
        Stage { axes: fixed(&axes), fold: Some(fold), body, stores }
    }

    fn reduction(&mut self) {
        let outer = self.extents(2);
        let axes = if self.once_in(3) { self.extents(1) } else { vec![] };
        let stage = self.folding_stage(FoldKind::Reduce, &outer, axes);
        self.kernel(outer, vec![stage]);
    }

    fn scan(&mut self) {
        let outer = self.extents(2);
        let stage = self.folding_stage(FoldKind::Scan, &outer, vec![]);
        self.kernel(outer, vec![stage]);
    }

    /// A matrix product that could be tiled, operands transposed or not, with an epilogue.
    fn contraction(&mut self) {
        let dtype = self.pick(&[DType::F32, DType::F32, DType::F64]);
        let extents = [self.extent(), self.extent(), self.extent()];
        let b = BodyBuilder::new();
        let operands = [(0, 2), (2, 1)].map(|(p, q)| {
            let (p, q) = if self.once_in(2) { (q, p) } else { (p, q) };
            let buffer = self.source(dtype, &[extents[p], extents[q]]);
            let index = vec![Affine::axis(p), Affine::axis(q)];
            b.load(Access { buffer, index, indirect: None, guards: vec![], fill: Scalar::zero(dtype) }, dtype)
        });
        let accumulators = vec![Accumulator { op: FoldOp::Dot(operands[0], operands[1]), dtype }];
        let fold = Fold {
            kind: FoldKind::Reduce,
            axes: fixed(&extents[2..]),
            lanes: 1,
            body: b.finish(),
            accumulators,
        };
        let (body, stores) = self.stored(dtype, &extents[..2], |b| vec![b.acc(0, false, dtype)]);
        self.kernel(extents[..2].to_vec(), vec![Stage { axes: vec![], fold: Some(fold), body, stores }]);
    }

    /// A checked index, loaded at the coordinate on an axis.
    fn index(&mut self, b: &BodyBuilder, axis: Axis, extent: usize, bound: usize) -> ScalarId {
        let dtype = self.pick(&[DType::I32, DType::I64]);
        let indices: Vec<Scalar> = (0..extent).map(|_| Scalar::I64(self.below(bound) as i64)).collect();
        let buffer = self.param(Tensor::from_scalars(dtype, &[extent], indices));
        self.function.checks.push(CheckSite { name: "x".into(), shape: vec![extent], bound });
        let index = vec![Affine::axis(axis)];
        let access = Access { buffer, index, indirect: None, guards: vec![], fill: Scalar::zero(dtype) };
        b.check(b.load(access, dtype), self.function.checks.len() - 1, Affine::axis(axis))
    }

    /// Rows that indices name.
    fn gather(&mut self) {
        let dtype = self.dtype();
        let extents = [self.extent(), self.extent()];
        let bound = self.below(6) + 1;
        let table = self.source(dtype, &[bound, extents[1]]);
        let b = BodyBuilder::new();
        let row = self.index(&b, 0, extents[0], bound);
        let access = Access {
            buffer: table,
            index: vec![Affine::constant(0), Affine::axis(1)],
            indirect: Some(Indirect { axis: 0, value: row }),
            guards: vec![],
            fill: Scalar::zero(dtype),
        };
        let element = b.load(access, dtype);
        let value = self.value(&b, dtype, &extents, &[element]);
        let stores = vec![self.store(value, dtype, &extents)];
        self.kernel(extents.to_vec(), vec![Stage { axes: vec![], fold: None, body: b.finish(), stores }]);
    }

    /// Values put into, or added to, rows that indices name, of a buffer that an earlier stage fills.
    fn scatter(&mut self) {
        let dtype = self.number_dtype();
        let (columns, rows, updates) = (self.extent(), self.below(6) + 1, self.extent());
        let to = self.target(dtype, vec![rows, columns]);
        let b = BodyBuilder::new();
        let initial = self.value(&b, dtype, &[columns, rows], &[]);
        let index = [Affine::axis(1), Affine::axis(0)];
        let stores = vec![store(initial, to, &index)];
        let fill = Stage { axes: fixed(&[rows]), fold: None, body: b.finish(), stores };
        let b = BodyBuilder::new();
        let row = self.index(&b, 1, updates, rows);
        let value = self.value(&b, dtype, &[columns, updates], &[]);
        let update = Store {
            value,
            buffer: to,
            index: vec![Affine::constant(0), Affine::axis(0)],
            indirect: Some(Indirect { axis: 0, value: row }),
            add: !self.once_in(3),
        };
        let fold = Fold {
            kind: FoldKind::Scan,
            axes: fixed(&[updates]),
            lanes: 1,
            body: Body::default(),
            accumulators: vec![],
        };
        let scatter = Stage { axes: vec![], fold: Some(fold), body: b.finish(), stores: vec![update] };
        self.kernel(vec![columns], vec![fill, scatter]);
    }

    /// A row by row normalisation: a reduction to a local buffer, and a stage over the row that reads it.
    fn stages(&mut self) {
        let dtype = self.number_dtype();
        let (outer, columns) = (self.extents(2), self.extent());
        let row = self.function.buffers.push(Buffer {
            name: "m".into(),
            dtype,
            shape: fixed(&outer),
            pitch: None,
            kind: BufferKind::Local,
        });
        let extents = [&outer[..], &[columns]].concat();
        let b = BodyBuilder::new();
        let element = self.value(&b, dtype, &extents, &[]);
        let accumulators = vec![Accumulator { op: FoldOp::Max(element), dtype }];
        let lanes = self.pick(&[1, 4]);
        let fold =
            Fold { kind: FoldKind::Reduce, axes: fixed(&[columns]), lanes, body: b.finish(), accumulators };
        let b = BodyBuilder::new();
        let max = b.acc(0, false, dtype);
        let index = axes(outer.len());
        let stores = vec![store(max, row, &index)];
        let first = Stage { axes: vec![], fold: Some(fold), body: b.finish(), stores };
        let (body, stores) = self.stored(dtype, &extents, |b| {
            let fill = Scalar::zero(dtype);
            vec![b.load(Access { buffer: row, index, indirect: None, guards: vec![], fill }, dtype)]
        });
        let second = Stage { axes: fixed(&[columns]), fold: None, body, stores };
        self.kernel(outer, vec![first, second]);
    }
}

mod tests {
    use std::collections::HashSet;

    use super::super::{Options, evaluate, math, parse, verify};
    use super::*;

    const CASES: u64 = 400;

    #[test]
    fn random_functions_keep_every_rule_and_are_read_back() {
        for seed in 0..CASES {
            let function = RandomCase::new(seed).function;
            let text = function.to_string();
            verify(&function).unwrap_or_else(|e| panic!("{e}\n{text}"));
            let back = parse("t", &text).unwrap_or_else(|e| panic!("{e}"));
            assert!(back == function, "seed {seed}:\n{text}\n{back}");
        }
    }

    /// What is expanded exactly (powers of integers, random numbers, signs) has the bits of its definition.
    #[test]
    fn expansion_changes_no_bit_of_a_random_function() {
        for seed in 0..CASES {
            let case = RandomCase::new(seed);
            let mut expanded = case.function.clone();
            math::expand(&mut expanded);
            verify(&expanded).unwrap_or_else(|e| panic!("{e}\n{expanded}"));
            for fused_multiply_add in [true, false] {
                let (mut plain, mut other) = (case.memory(), case.memory());
                evaluate(&case.function, &mut plain, Options { fused_multiply_add }).unwrap();
                evaluate(&expanded, &mut other, Options { fused_multiply_add }).unwrap();
                for id in case.function.buffers.keys() {
                    let same = plain.get(id).same_bits(&other.get(id));
                    assert!(same, "seed {seed}, {id}:\n{}", case.function);
                }
            }
        }
    }

    /// The cases hold every word of the language that can be drawn.
    #[test]
    fn random_functions_draw_everything() {
        let words: HashSet<String> = (0..CASES)
            .flat_map(|seed| {
                let text = RandomCase::new(seed).function.to_string();
                text.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        let primitive = ["neg", "abs", "sqrt", "floor", "ceil", "round", "not", "sign"];
        let forms = [
            "reduce",
            "scan",
            "lanes",
            "before",
            "sum",
            "prod",
            "dot",
            "argmax",
            "argmin",
            "store_add",
            "where",
            "local",
            "temp",
            "constant",
            "param",
            "result",
            "check",
            "site",
            "index",
            "in_bounds",
            "philox",
            "fma",
            "select",
            "convert",
            "bitcast",
            "f32",
            "f64",
            "i32",
            "i64",
            "u8",
            "bool",
            "nan",
            "inf",
        ];
        let operators =
            BinaryOp::ALL.iter().map(|op| op.name()).chain(CompareOp::ALL.iter().map(|op| op.name()));
        for word in primitive.into_iter().chain(forms).chain(operators) {
            assert!(words.contains(word), "`{word}` is never drawn");
        }
    }
}
