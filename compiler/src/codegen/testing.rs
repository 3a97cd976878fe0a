//! Runs kernels in this process, for tests: every buffer ends where a page begins that must not be touched.

use bessemer_runtime::abi::{Context, IndexError, TaskFn};
use bessemer_runtime::memory::Block;
use cranelift_entity::PrimaryMap;
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::default_libcall_names;

use super::kernel::{EmittedKernel, KnownCode, emit_kernel};
use super::wide::Level;
use super::{CpuLevel, Target, Vectors, frame};
use crate::kernel::{
    self, Buffer, BufferId, BufferKind, KernelFunction, Packed, Schedule, StageSchedule, evaluate, most,
    parse, verify,
};
use crate::tensor::{Scalar, Tensor};
use crate::types::DType;

/// Every choice of which operands are packed.
pub(super) const PACKED: [Packed; 4] = [Packed::Neither, Packed::Streamed, Packed::Vectors, Packed::Both];

/// A function whose kernels were compiled.
pub(super) struct Compiled {
    module: JITModule,
    pub(super) kernels: Vec<EmittedKernel>,
}

/// Memory of a buffer, up to the end of its last page.
struct Memory {
    block: Block,
    start: usize,
}

/// Everything that the kernels of a function read and write.
pub(super) struct Buffers(PrimaryMap<BufferId, Option<Memory>>);

/// The function in a text.
pub(super) fn function(text: &str) -> KernelFunction {
    parse("test", text).unwrap_or_else(|e| panic!("{e}"))
}

/// The function with other schedules of its kernels.
pub(super) fn scheduled(function: &KernelFunction, schedule: &Schedule) -> KernelFunction {
    let mut function = function.clone();
    for kernel in &mut function.kernels {
        kernel.schedule = schedule.clone();
    }
    function
}

/// Compiles every kernel of a function.
pub(super) fn compile(function: &KernelFunction, target: &Target) -> Compiled {
    let mut module =
        JITModule::new(JITBuilder::with_isa(target.jit_isa().expect("an isa"), default_libcall_names()));
    let mut known = KnownCode::default();
    let mut emit = |kernel| emit_kernel(&mut module, target, function, kernel, &mut known);
    let kernels =
        function.kernels.iter().map(|kernel| emit(kernel).unwrap_or_else(|e| panic!("{e:?}"))).collect();
    module.finalize_definitions().expect("finalized code");
    Compiled { module, kernels }
}

impl Buffers {
    /// Memory of all buffers: what a function reads holds its [`contents`], and all others bytes that mean nothing.
    pub(super) fn new(function: &KernelFunction, inputs: Inputs<'_>) -> Buffers {
        let mut all = PrimaryMap::new();
        for (id, buffer) in &function.buffers {
            if matches!(buffer.kind, BufferKind::Local | BufferKind::Alias(_)) {
                all.push(None);
                continue;
            }
            let bytes = buffer.bytes();
            let mut block = Block::guarded(bytes).expect("memory");
            // The block starts aligned; its end is at most 63 bytes below the forbidden page.
            let start = bytes.next_multiple_of(64) - bytes;
            let mut content = vec![0xa5; bytes];
            if let Some(tensor) = contents(function, id, inputs) {
                let (dense, row) = (bytes_of(&tensor), row_bytes(buffer));
                for (stored, row) in content.chunks_mut(pitch_bytes(buffer)).zip(dense.chunks(row)) {
                    stored[..row.len()].copy_from_slice(row);
                }
            }
            // SAFETY: `start + bytes` is the block's size rounded up to 64, all of which is accessible.
            unsafe {
                block.as_mut_slice().as_mut_ptr().add(start).copy_from(content.as_ptr(), bytes);
            }
            all.push(Some(Memory { block, start }));
        }
        Buffers(all)
    }

    /// Address of a buffer.
    fn address(&self, function: &KernelFunction, mut buffer: BufferId) -> u64 {
        while let BufferKind::Alias(of) = function.buffers[buffer].kind {
            buffer = of;
        }
        let memory = self.0[buffer].as_ref().expect("a buffer with memory");
        memory.block.as_ptr() as u64 + memory.start as u64
    }

    /// What a buffer holds.
    pub(super) fn read(&self, function: &KernelFunction, buffer: BufferId) -> Vec<Scalar> {
        let data = &function.buffers[buffer];
        let width = data.dtype.bytes();
        let address = self.address(function, buffer) as *const u8;
        (0..data.elements())
            .map(|n| {
                let mut bits = [0; 8];
                let (row, column) = (n * width / row_bytes(data), n * width % row_bytes(data));
                let at = row * pitch_bytes(data) + column;
                // SAFETY: the buffer's memory has these rows of elements of this width.
                unsafe { bits.as_mut_ptr().copy_from(address.add(at), width) };
                Scalar::from_bits(data.dtype, u64::from_le_bytes(bits))
            })
            .collect()
    }

    /// What all results hold, in order of the buffers.
    pub(super) fn results(&self, function: &KernelFunction) -> Vec<Vec<Scalar>> {
        function
            .buffers
            .iter()
            .filter(|(_, b)| matches!(b.kind, BufferKind::Result(_) | BufferKind::Next(_)))
            .map(|(id, _)| self.read(function, id))
            .collect()
    }
}

impl Compiled {
    /// Runs all kernels in order, the later half of the chunks first and at once, the others one by one. If extents depend
    /// on the batch size, it is given.
    pub(super) fn run(
        &self,
        function: &KernelFunction,
        batch: Option<usize>,
        buffers: &Buffers,
        context: &mut Context,
    ) {
        for kernel in &self.kernels {
            let scratch = Block::guarded(2 * kernel.worker_bytes).expect("memory");
            let mut words =
                vec![context as *mut Context as u64, scratch.as_ptr() as u64, kernel.worker_bytes as u64];
            words.extend(kernel.buffers.iter().map(|&b| buffers.address(function, b)));
            assert_eq!(words.len() * 8, frame::batch(kernel.buffers.len()));
            words.extend(batch.map(|n| n as u64));
            let code = self.module.get_finalized_function(kernel.func);
            // SAFETY: the function was compiled with the signature of a task.
            let task: TaskFn = unsafe { std::mem::transmute(code) };
            let chunks = kernel.chunks.at(batch.unwrap_or(1));
            let half = chunks / 2;
            let singles = (0..half).map(|chunk| (chunk, chunk + 1, 1));
            for (begin, end, worker) in [(half, chunks, 0), (half, half, 1)].into_iter().chain(singles) {
                // SAFETY: the frame is what the kernel's layout asks for, and scratch serves two workers.
                unsafe { task(words.as_ptr().cast(), begin, end, worker) };
            }
        }
    }
}

/// Bytes of a row, at least 1.
fn row_bytes(buffer: &Buffer) -> usize {
    (buffer.shape.last().map_or(1, |row| row.most()) * buffer.dtype.bytes()).max(1)
}

/// Bytes from a row to the next one, at least 1.
fn pitch_bytes(buffer: &Buffer) -> usize {
    buffer.pitch.map_or(row_bytes(buffer), |pitch| (pitch * buffer.dtype.bytes()).max(1))
}

fn bytes_of(tensor: &Tensor) -> Vec<u8> {
    let width = tensor.dtype().bytes();
    tensor.scalars().flat_map(|v| v.bits().to_le_bytes()[..width].to_vec()).collect()
}

/// What a function is given.
#[derive(Clone, Copy)]
pub(super) enum Inputs<'a> {
    /// The n-th element of a dtype; no two buffers start with the same n.
    Rule(fn(DType, usize) -> Scalar),
    /// The parameters.
    Params(&'a [Tensor]),
}

/// What a buffer holds before a function runs, if that is defined.
fn contents(function: &KernelFunction, id: BufferId, inputs: Inputs<'_>) -> Option<Tensor> {
    let buffer = &function.buffers[id];
    match (&buffer.kind, inputs) {
        (BufferKind::Constant(tensor), _) => Some(tensor.clone()),
        (BufferKind::Param(n), Inputs::Params(params)) => Some(params[*n].clone()),
        (BufferKind::Param(_) | BufferKind::Variable(_) | BufferKind::RandomState, Inputs::Rule(value)) => {
            let first = 5 * id.as_u32() as usize;
            let elements = (first..first + buffer.elements()).map(|n| value(buffer.dtype, n));
            Some(Tensor::from_scalars(buffer.dtype, &most(&buffer.shape), elements))
        }
        _ => None,
    }
}

/// What all results hold after compiled code has run.
pub(super) fn results(function: &KernelFunction, target: &Target, inputs: Inputs<'_>) -> Vec<Vec<Scalar>> {
    let buffers = Buffers::new(function, inputs);
    compile(function, target).run(function, None, &buffers, &mut Context::serial());
    buffers.results(function)
}

/// Checks that under every schedule that fits a target, compiled code gives for every batch size what the evaluator does.
pub(super) fn check_range(what: &str, function: &KernelFunction, schedules: &[Schedule]) {
    let largest = function.largest.expect("extents depend on the batch size");
    let inputs = Inputs::Rule(plain);
    for target in targets() {
        let expected: Vec<_> = (1..=largest).map(|n| expected(&function.at(n), &target, inputs)).collect();
        for schedule in schedules.iter().filter(|schedule| fits(schedule, &target)) {
            let function = scheduled(function, schedule);
            let compiled = compile(&function, &target);
            for (n, expected) in (1..).zip(&expected) {
                // What the caller provides ends where it ends for this batch size; other memory is for the largest.
                let mut sized = function.at(n);
                for (id, buffer) in &function.buffers {
                    if buffer.kind == BufferKind::Temp {
                        sized.buffers[id].shape = kernel::fixed(&most(&buffer.shape));
                    }
                }
                let buffers = Buffers::new(&sized, inputs);
                compiled.run(&function, Some(n), &buffers, &mut Context::serial());
                let what = format!("{what} at {n} on {target} ({:?}) with {schedule:?}", target.vectors());
                assert_same(&what, &buffers.results(&sized), expected);
            }
        }
    }
}

/// What all results hold after the evaluator has run.
pub(super) fn expected(function: &KernelFunction, target: &Target, inputs: Inputs<'_>) -> Vec<Vec<Scalar>> {
    verify(function).unwrap_or_else(|e| panic!("{e}"));
    let mut memory = kernel::Memory::new(function);
    for id in function.buffers.keys() {
        if let Some(tensor) = contents(function, id, inputs) {
            memory.set(id, &tensor);
        }
    }
    let options = kernel::Options { fused_multiply_add: target.has_fma() };
    evaluate(function, &mut memory, options).unwrap_or_else(|e| panic!("{e}"));
    let is_result =
        |id: &BufferId| matches!(function.buffers[*id].kind, BufferKind::Result(_) | BufferKind::Next(_));
    function.buffers.keys().filter(is_result).map(|id| memory.get(id).scalars().collect()).collect()
}

/// This machine with every kind of vectors that it has, and with the least that code is emitted for.
pub(super) fn targets() -> Vec<Target> {
    let host = Target::host().expect("a host");
    let mut targets = Vec::new();
    match host.vectors() {
        Vectors::Wide(Level::Avx512) => targets.push(host.clone().with_vectors(Vectors::Wide(Level::Avx2))),
        Vectors::None | Vectors::Cranelift { .. } | Vectors::Wide(Level::Avx2) => {}
    }
    if host.vectors() != Vectors::None {
        let vectors = [false, true].map(|partial| Vectors::Cranelift { partial, registers: None });
        targets.extend(vectors.map(|vectors| host.clone().with_vectors(vectors)));
    }
    if cfg!(target_arch = "x86_64") {
        targets.push(Target::new(target_lexicon::Triple::host(), CpuLevel::X86_64V2).expect("a target"));
    }
    if !targets.iter().any(|target| target.vectors() == host.vectors()) {
        targets.insert(0, host);
    }
    targets
}

/// Whether a target has all vectors that a schedule names.
pub(super) fn fits(schedule: &Schedule, target: &Target) -> bool {
    schedule.stages.iter().all(|stage| match *stage {
        StageSchedule::Scalar => true,
        StageSchedule::Strip { lanes, .. } | StageSchedule::Tile { lanes, .. } => {
            lanes == 1 || target.vectors().lane_counts().contains(&lanes)
        }
    })
}

/// Checks that under every schedule that fits a target, compiled code gives what the evaluator does.
pub(super) fn check(
    what: &str,
    function: &KernelFunction,
    value: fn(DType, usize) -> Scalar,
    schedules: &[Schedule],
) {
    let inputs = Inputs::Rule(value);
    for target in targets() {
        let expected = expected(function, &target, inputs);
        for schedule in schedules.iter().filter(|schedule| fits(schedule, &target)) {
            let function = scheduled(function, schedule);
            let what = format!("{what} on {target} ({:?}) with {schedule:?}", target.vectors());
            assert_same(&what, &results(&function, &target, inputs), &expected);
        }
    }
}

/// A schedule of stages, cut into chunks of so many indices of an axis.
pub(super) fn schedule(chunks: Option<(usize, usize)>, stages: &[StageSchedule]) -> Schedule {
    Schedule {
        chunks: chunks.map(|(axis, block)| kernel::Chunks { axis, block }),
        stages: stages.to_vec(),
        ..Schedule::default()
    }
}

/// Strips along an axis.
pub(super) fn strip(axis: usize, lanes: usize) -> StageSchedule {
    StageSchedule::Strip { axis, lanes }
}

/// Numbers between -2 and 2 (or small integers), by a fixed rule.
pub(super) fn plain(dtype: DType, n: usize) -> Scalar {
    let mixed = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) >> 40;
    match dtype {
        DType::Bool => Scalar::Bool(mixed & 1 != 0),
        DType::U8 => Scalar::U8(mixed as u8),
        DType::I32 | DType::I64 => Scalar::I64(mixed as i64 % 41 - 20).convert(dtype),
        _ => Scalar::F64(mixed as f64 / f64::from(1 << 22) - 2.0).convert(dtype),
    }
}

/// Numbers where arithmetic has its corners, mixed with plain ones.
pub(super) fn corners(dtype: DType, n: usize) -> Scalar {
    const FLOATS: [f64; 16] = [
        0.0,
        -0.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1.0,
        -1.0,
        0.5,
        -2.5,
        3e9,
        -3e9,
        1e30,
        255.9,
        1.5,
        1e-40,
        -1e-310,
    ];
    const INTEGERS: [i64; 10] =
        [0, 1, -1, i64::MAX, i64::MIN, i32::MAX as i64, i32::MIN as i64, 31, 255, 1 << 33];
    match dtype {
        DType::F32 | DType::F64 if n % 20 < 16 => Scalar::F64(FLOATS[n % 20]).convert(dtype),
        DType::I64 | DType::I32 if n % 14 < 10 => Scalar::I64(INTEGERS[n % 14]).convert(dtype),
        _ => plain(dtype, n),
    }
}

/// Compares results bit for bit; NaNs are equal whatever they carry.
pub(super) fn assert_same(what: &str, found: &[Vec<Scalar>], expected: &[Vec<Scalar>]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (r, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len(), "{what}");
        for (n, (f, e)) in found.iter().zip(expected).enumerate() {
            let both_nan = f.dtype().is_float() && f.as_f64().is_nan() && e.as_f64().is_nan();
            assert!(both_nan || f == e, "{what}: result {r}, element {n}: found {f}, expected {e}");
        }
    }
}

/// A hook that records the last index out of range.
pub(super) unsafe extern "C" fn record(ctx: *mut Context, site: u32, position: u64, value: i64) {
    // SAFETY: generated code passes the context that it was called with, which the test owns.
    let error = unsafe { &mut (*ctx).index_error };
    *error.flag.get_mut() = IndexError::RECORDED;
    (error.site, error.position, error.value) = (site, position, value);
    forget_registers();
}

/// Leaves nothing in the vector registers and masks that a function may overwrite.
fn forget_registers() {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            // SAFETY: the machine has the registers; all that are overwritten are named.
            unsafe {
                std::arch::asm!(
                    "vpternlogd zmm0, zmm0, zmm0, 255",
                    "vpternlogd zmm1, zmm1, zmm1, 255",
                    "vpternlogd zmm2, zmm2, zmm2, 255",
                    "vpternlogd zmm15, zmm15, zmm15, 255",
                    "vpternlogd zmm16, zmm16, zmm16, 255",
                    "vpternlogd zmm31, zmm31, zmm31, 255",
                    "kxnorw k1, k1, k1",
                    "kxnorw k2, k2, k2",
                    out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm15") _, out("zmm16") _, out("zmm31") _,
                    out("k1") _, out("k2") _,
                );
            }
        }
        if std::arch::is_x86_feature_detected!("avx") {
            // SAFETY: the machine has the registers; all that are overwritten are those that a function may overwrite.
            unsafe { std::arch::asm!("vzeroall", clobber_abi("sysv64")) };
        }
    }
}
