//! Random functions of several kernels, compared with the evaluator bit by bit: what goes wrong if two buffers that are
//! alive together share memory, a variable is overwritten too early or kernels run in a wrong order.

use bessemer_runtime::instance::{Instance, Threads};
use bessemer_runtime::pool::Pool;

use super::JitProgram;
use crate::backend::testing::source_of;
use crate::codegen::Target;
use crate::kernel::testing::{access, buffer, push, store};
use crate::kernel::{
    Affine, BodyBuilder, BufferId, BufferKind, Chunks, KernelFunction, Memory, Options, Stage, StageSchedule,
    evaluate,
};
use crate::tensor::{Scalar, Tensor};
use crate::types::DType::I32;

const VARIABLES: usize = 4;
const EXTENT: usize = 37;

/// Numbers below the bound given, from a linear congruential generator.
fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    }
}

/// A function that assigns all variables and has two results. Every kernel combines two values that are there, each at
/// its own index or, at times, backwards.
fn random_function(below: &mut dyn FnMut(usize) -> usize) -> KernelFunction {
    let mut f = KernelFunction { name: "f".into(), ..KernelFunction::default() };
    let mut known = vec![buffer(&mut f, I32, &[EXTENT], BufferKind::Param(0))];
    known.extend((0..VARIABLES).map(|v| buffer(&mut f, I32, &[EXTENT], BufferKind::Variable(v))));
    let temporaries = 2 + below(8);
    let mut targets: Vec<BufferKind> = (0..VARIABLES).map(BufferKind::Next).collect();
    targets.extend((0..2).map(BufferKind::Result));
    targets.extend((0..temporaries).map(|_| BufferKind::Temp));
    while !targets.is_empty() {
        let kind = targets.swap_remove(below(targets.len()));
        let to = buffer(&mut f, I32, &[EXTENT], kind);
        random_kernel(&mut f, &known, to, below);
        known.push(to);
    }
    f
}

fn random_kernel(
    f: &mut KernelFunction,
    known: &[BufferId],
    to: BufferId,
    below: &mut dyn FnMut(usize) -> usize,
) {
    let b = BodyBuilder::new();
    let mut operand = || {
        // Younger values more often, so that some die early.
        let from = known[below(known.len()).max(below(known.len()))];
        let backwards = Affine::axis(0).times(-1).plus_constant(EXTENT as i64 - 1);
        let index = if below(4) == 0 { backwards } else { Affine::axis(0) };
        b.load(access(f, from, &[index]), I32)
    };
    let (x, y) = (operand(), operand());
    let sum = b.add(b.mul(x, b.int(I32, 3)), y);
    let stores = vec![store(sum, to, &[Affine::axis(0)])];
    push(f, vec![EXTENT], vec![Stage { axes: vec![], fold: None, body: b.finish(), stores }]);
    let schedule = &mut f.kernels.last_mut().expect("it was pushed").schedule;
    schedule.threads = below(2) == 0;
    schedule.chunks = (below(2) == 0).then(|| Chunks { axis: 0, block: 1 + below(EXTENT) });
    if schedule.chunks.is_none() && below(4) == 0 {
        schedule.each.push(0);
    }
    if below(2) == 0 {
        schedule.stages = vec![StageSchedule::Strip { axis: 0, lanes: Target::host().unwrap().lanes(I32) }];
    }
}

fn numbers(salt: usize) -> Tensor {
    Tensor::from_vec(&[EXTENT], (0..EXTENT).map(|i| (i * 31 + salt * 1009) as i32).collect())
}

/// The results and the new values of the variables, by the evaluator.
fn expected(f: &KernelFunction) -> Vec<Tensor> {
    let mut memory = Memory::new(f);
    for (id, buffer) in &f.buffers {
        match buffer.kind {
            BufferKind::Param(_) => memory.set(id, &numbers(0)),
            BufferKind::Variable(v) => memory.set(id, &numbers(1 + v)),
            _ => {}
        }
    }
    evaluate(f, &mut memory, Options { fused_multiply_add: true }).unwrap();
    let find = |kind: BufferKind| f.buffers.iter().find(|(_, b)| b.kind == kind).expect("it was made").0;
    let results = (0..2).map(BufferKind::Result).chain((0..VARIABLES).map(BufferKind::Next));
    results.map(|kind| memory.get(find(kind))).collect()
}

/// The same, by compiled code.
fn found(program: &std::sync::Arc<JitProgram>, threads: Threads) -> Vec<Tensor> {
    let instance = Instance::guarded(*program.layout(), threads).unwrap();
    let variables = &program.program().state.variables;
    for (v, slot) in variables.iter().enumerate() {
        instance.write(slot.offset, &numbers(1 + v).to_bytes()).unwrap();
    }
    let mut values = vec![Tensor::full(&[EXTENT], Scalar::I32(-1)); 2];
    program.entry("f").unwrap().call(&instance, &[&numbers(0)], &mut values).unwrap();
    for slot in variables {
        let mut bytes = vec![0; slot.bytes];
        instance.read(slot.offset, &mut bytes).unwrap();
        values.push(Tensor::from_bytes(I32, &[EXTENT], &bytes).expect("the size is that of the type"));
    }
    values
}

#[test]
fn random_functions_are_compiled_as_they_are_evaluated() {
    let target = Target::host().unwrap();
    let pool = Pool::new(3).unwrap();
    let (mut in_place, mut copied) = (0, 0);
    for seed in 0..60 {
        let f = random_function(&mut random(seed));
        let expected = expected(&f);
        let program =
            JitProgram::compile(source_of(vec![f.clone()]), &target).unwrap_or_else(|e| panic!("{e}"));
        let copies = program.program().entries[0].memory.copied.len();
        in_place += VARIABLES - copies;
        copied += copies;
        for threads in [Threads::serial(), pool.clone().into()] {
            let found = found(&program, threads);
            let same = expected.iter().zip(&found).all(|(a, b)| a.same_bits(b));
            assert!(same, "seed {seed}:\n{f}\nexpected {expected:?}\nfound {found:?}");
        }
    }
    assert!(in_place > 20 && copied > 20, "{in_place} variables in place, {copied} copied");
}
