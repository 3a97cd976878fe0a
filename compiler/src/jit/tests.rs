use std::arch::asm;
use std::ptr;

use bessemer_runtime::abi::{Context, IndexError, Status};
use bessemer_runtime::instance::BadIndex;
use bessemer_runtime::memory::Block;
use bessemer_runtime::pool::Pool;

use super::*;
use crate::backend::testing::source;
use crate::types::{DType, TensorType};

fn compile(texts: &[&str]) -> Arc<JitProgram> {
    JitProgram::compile(source(texts), &Target::host().unwrap()).unwrap_or_else(|e| panic!("{e}"))
}

/// Zeros for the results of an entry point.
fn results_of(entry: &CompiledEntry) -> Vec<Tensor> {
    entry.entry().results.iter().map(|r| Tensor::zeros(r.ty.dtype, &r.ty.shape.bound())).collect()
}

fn write(program: &JitProgram, instance: &Instance, variable: usize, value: &Tensor) {
    let slot = &program.program().state.variables[variable];
    assert_eq!(value.ty(), slot.variable.ty);
    instance.write(slot.offset, &value.to_bytes()).unwrap();
}

fn read(program: &JitProgram, instance: &Instance, variable: usize) -> Tensor {
    let slot = &program.program().state.variables[variable];
    let mut bytes = vec![0; slot.bytes];
    instance.read(slot.offset, &mut bytes).unwrap();
    let ty = &slot.variable.ty;
    Tensor::from_bytes(ty.dtype, &ty.shape.bound(), &bytes).unwrap()
}

fn floats(n: usize, of: impl Fn(usize) -> f32) -> Tensor {
    Tensor::from_vec(&[n], (0..n).map(of).collect())
}

fn assert_same(found: &Tensor, expected: &Tensor) {
    assert!(found.same_bits(expected), "found {found:?}, expected {expected:?}");
}

/// `w -= 0.5 · g`, with the old value of `w` as a result that is stored after the new one.
fn update(n: usize, schedule: &str) -> String {
    format!(
        r#"kernels @step {{
  buffer buf0 "w" : f32[{n}] variable 0
  buffer buf1 "g" : f32[{n}] param 0
  buffer buf2 "w" : f32[{n}] next 0
  buffer buf3 "old" : f32[{n}] result 0
  kernel k0 (i0 < {n}) {{
    stage {{
      s0 = load buf0[i0] : f32
      s1 = load buf1[i0] : f32
      s2 = const 0.5 : f32
      s3 = mul s1, s2 : f32
      s4 = sub s0, s3 : f32
      store s4, buf2[i0]
      store s0, buf3[i0]
    }}
    {schedule}
  }}
}}"#
    )
}

#[test]
fn an_update_in_place_is_right_at_odd_sizes_and_counts_steps() {
    for n in [0, 1, 3, 17, 64, 1001] {
        for schedule in [
            "",
            "schedule { stage 0 strip i0 lanes 4 }",
            "schedule { chunks i0 by 5 threads stage 0 strip i0 lanes 4 }",
        ] {
            let program = compile(&[&update(n, schedule)]);
            let entry = program.entry("step").unwrap();
            assert!(entry.entry().exclusive);
            assert_eq!(entry.entry().memory.copied, [""; 0]);
            assert_eq!(entry.entry().flops, 2 * n as u64);
            for threads in [Threads::serial(), Pool::new(3).unwrap().into()] {
                let instance = program.instance(threads).unwrap();
                let mut w = floats(n, |i| i as f32);
                write(&program, &instance, 0, &w);
                for step in 1..=3 {
                    let g = floats(n, |i| (i % 7) as f32 * 0.25);
                    let mut results = results_of(&entry);
                    entry.call(&instance, &[&g], &mut results).unwrap();
                    assert_same(&results[0], &w);
                    w = floats(n, |i| i as f32 - step as f32 * 0.5 * ((i % 7) as f32 * 0.25));
                    assert_same(&read(&program, &instance, 0), &w);
                    assert_eq!(instance.step(), Ok(step));
                }
            }
        }
    }
}

#[test]
fn the_old_value_is_read_before_it_is_overwritten() {
    for (axes, fold, schedule) in [
        ("(i0 < 17)", "", ""),
        ("(i0 < 17)", "", "schedule { stage 0 strip i0 lanes 4 }"),
        ("", "fold scan (i0 < 17) {}", ""),
    ] {
        // Nothing that the new value is made of keeps the old one in a register.
        let text = format!(
            r#"kernels @replace {{
  buffer buf0 "w" : f32[17] variable 0
  buffer buf1 "g" : f32[17] param 0
  buffer buf2 "w" : f32[17] next 0
  buffer buf3 "old" : f32[17] result 0
  kernel k0 {axes} {{
    stage {{
      {fold}
      s0 = load buf0[i0] : f32
      s1 = load buf1[i0] : f32
      store s1, buf2[i0]
      store s0, buf3[i0]
    }}
    {schedule}
  }}
}}"#
        );
        let program = compile(&[&text]);
        let entry = program.entry("replace").unwrap();
        assert_eq!(entry.entry().memory.copied, [""; 0]);
        let instance = program.instance(Threads::serial()).unwrap();
        let (w, g) = (floats(17, |i| i as f32), floats(17, |i| -(i as f32)));
        write(&program, &instance, 0, &w);
        let mut results = results_of(&entry);
        entry.call(&instance, &[&g], &mut results).unwrap();
        assert_same(&results[0], &w);
        assert_same(&read(&program, &instance, 0), &g);
    }
}

#[test]
fn variables_that_swap_are_copied_to_the_last_byte_and_no_further() {
    for (dtype, n) in [("u8", 1), ("u8", 63), ("u8", 64), ("u8", 201), ("f64", 17), ("i32", 0), ("bool", 130)]
    {
        let text = format!(
            r#"kernels @swap {{
  buffer buf0 "a" : {dtype}[{n}] variable 0
  buffer buf1 "b" : {dtype}[{n}] variable 1
  buffer buf2 "a" : {dtype}[{n}] next 0
  buffer buf3 "b" : {dtype}[{n}] next 1
  kernel k0 (i0 < {n}) {{
    stage {{
      s0 = load buf1[i0] : {dtype}
      store s0, buf2[i0]
    }}
  }}
  kernel k1 (i0 < {n}) {{
    stage {{
      s0 = load buf0[i0] : {dtype}
      store s0, buf3[i0]
    }}
  }}
}}"#
        );
        let program = compile(&[&text]);
        let entry = program.entry("swap").unwrap();
        assert_eq!(entry.entry().memory.copied, ["a"]);
        let instance = program.instance(Threads::serial()).unwrap();
        let dtype = DType::from_name(dtype).unwrap();
        let bytes =
            |salt: usize| (0..n * dtype.bytes()).map(|i| (i * 7 + salt) as u8 % 2).collect::<Vec<u8>>();
        let [a, b] = [3, 12].map(|salt| Tensor::from_bytes(dtype, &[n], &bytes(salt)).unwrap());
        write(&program, &instance, 0, &a);
        write(&program, &instance, 1, &b);
        // What lies between the end of a variable and the next one is nobody's.
        let state = &program.program().state;
        let padding = state.variables[0].offset + state.variables[0].bytes..state.variables[1].offset;
        instance.write(padding.start, &vec![0xee; padding.len()]).unwrap();
        entry.call(&instance, &[], &mut []).unwrap();
        assert_same(&read(&program, &instance, 0), &b);
        assert_same(&read(&program, &instance, 1), &a);
        let mut rest = vec![0; padding.len()];
        instance.read(padding.start, &mut rest).unwrap();
        assert!(rest.iter().all(|&byte| byte == 0xee));
    }
}

/// Assigns `w` in place or with two buffers, and gathers rows by indices that may be out of range.
fn gather(in_place: bool) -> String {
    let later = if in_place {
        ""
    } else {
        r#"kernel k2 (i0 < 4) {
    stage {
      s0 = load buf0[0] : f32
      store s0, buf5[i0]
    }
  }
  kernel k3 (i0 < 4) {
    stage {
      s0 = load buf3[i0] : f32
      s1 = load buf5[i0] : f32
      s2 = convert s0 : i32
      s3 = check s2 site 1 at i0 : i32
      s4 = convert s3 : f32
      s5 = add s4, s1 : f32
      store s5, buf6[i0]
    }
  }"#
    };
    let (second, more) = if in_place {
        ("", "")
    } else {
        (
            "check 1 \"later\" [4] < 100",
            "buffer buf5 \"t\" : f32[4] temp\n  buffer buf6 \"c\" : f32[4] result 1",
        )
    };
    format!(
        r#"kernels @gather {{
  buffer buf0 "w" : f32[4] variable 0
  buffer buf1 "index" : i32[40] param 0
  buffer buf2 "rows" : f32[40] result 0
  buffer buf3 "w" : f32[4] next 0
  buffer buf4 "unused" : f32[4] temp
  {more}
  check 0 "index" [40] < 4
  {second}
  kernel k0 (i0 < 4) {{
    stage {{
      s0 = load buf0[i0] : f32
      s1 = add s0, s0 : f32
      store s1, buf3[i0]
    }}
  }}
  kernel k1 (i0 < 40) {{
    stage {{
      s0 = load buf1[i0] : i32
      s1 = check s0 site 0 at i0 : i32
      s2 = load buf0[s1] : f32
      store s2, buf2[i0]
    }}
    schedule {{
      chunks i0 by 3
      threads
    }}
  }}
  {later}
}}"#
    )
}

#[test]
fn an_index_out_of_range_leaves_variables_and_step() {
    for in_place in [true, false] {
        let program = compile(&[&gather(in_place)]);
        let entry = program.entry("gather").unwrap();
        assert_eq!(entry.entry().memory.copied.is_empty(), in_place);
        for threads in [Threads::serial(), Pool::new(4).unwrap().into()] {
            let instance = program.instance(threads).unwrap();
            let w = floats(4, |i| 10.0 * (i as f32 + 1.0));
            write(&program, &instance, 0, &w);
            let mut index = vec![2i32; 40];
            let mut results = results_of(&entry);
            for (bad, position) in [(4, 39), (-1, 20), (i32::MAX, 3)] {
                index[position] = bad;
                let call = entry.call(&instance, &[&Tensor::from_vec(&[40], index.clone())], &mut results);
                let index = BadIndex { site: 0, position: position as u64, value: i64::from(bad) };
                let expected = Failure { status: Status::IndexOutOfRange, index: Some(index) };
                assert_eq!(call, Err(CallError::Failed(expected)));
                assert_same(&read(&program, &instance, 0), &w);
                assert_eq!(instance.step(), Ok(0));
            }
            let good = Tensor::from_vec(&[40], (0..40).map(|i| i % 4).collect::<Vec<i32>>());
            entry.call(&instance, &[&good], &mut results).unwrap();
            let rows = floats(40, |i| 10.0 * ((i % 4) as f32 + 1.0));
            assert_same(&results[0], &rows);
            assert_same(&read(&program, &instance, 0), &floats(4, |i| 20.0 * (i as f32 + 1.0)));
            assert_eq!(instance.step(), Ok(1));
            if !in_place {
                // Now a check fails after the new value is there: 80 doubled is out of range.
                let doubled = read(&program, &instance, 0);
                let call = entry.call(&instance, &[&good], &mut results);
                let index = BadIndex { site: 1, position: 2, value: 120 };
                let expected = Failure { status: Status::IndexOutOfRange, index: Some(index) };
                assert_eq!(call, Err(CallError::Failed(expected)));
                assert_same(&read(&program, &instance, 0), &doubled);
                assert_eq!(instance.step(), Ok(1));
            }
        }
    }
}

/// The control register of floating point.
#[cfg(target_arch = "x86_64")]
fn mode() -> u32 {
    let mut mode = 0u32;
    // SAFETY: it only writes the four bytes.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut mode, options(nostack)) };
    mode & !0x3f
}

#[cfg(target_arch = "aarch64")]
fn mode() -> u64 {
    let mode;
    // SAFETY: it only reads a register.
    unsafe { asm!("mrs {}, fpcr", out(reg) mode, options(nomem, nostack)) };
    mode
}

const HALVE: &str = r#"kernels @halve {
  buffer buf0 "x" : f32[2] param 0
  buffer buf1 "i" : i32[2] param 1
  buffer buf2 "y" : f32[2] result 0
  check 0 "i" [2] < 2
  kernel k0 (i0 < 2) {
    stage {
      s0 = load buf1[i0] : i32
      s1 = check s0 site 0 at i0 : i32
      s2 = load buf0[s1] : f32
      s3 = const 0.5 : f32
      s4 = mul s2, s3 : f32
      store s4, buf2[i0]
    }
    schedule { chunks i0 by 1 threads }
  }
}"#;

#[test]
fn without_hooks_it_runs_serially_and_restores_the_mode() {
    let program = compile(&[HALVE]);
    let entry = program.entry("halve").unwrap().address();
    let layout = *program.layout();
    let state = Block::new(layout.state_size().unwrap()).unwrap();
    let scratch = Block::new(layout.scratch_size(1).unwrap()).unwrap();
    let before = mode();
    for (index, abi_version, expected) in [
        ([1, 0], Context::serial().abi_version, Status::Ok),
        ([1, 2], Context::serial().abi_version, Status::IndexOutOfRange),
        ([1, 0], 0, Status::AbiMismatch),
    ] {
        let mut ctx = Context { abi_version, ..Context::serial() };
        let x = [3.0f32, f32::MIN_POSITIVE];
        let mut y = [-1.0f32; 2];
        let args = [
            ptr::from_ref(&x).cast_mut().cast::<u8>(),
            ptr::from_ref(&index).cast_mut().cast(),
            ptr::from_mut(&mut y).cast(),
        ];
        // SAFETY: the memory is as large as the layout says, and the arguments are of the right types.
        let code = unsafe { entry(&raw mut ctx, state.as_ptr(), scratch.as_ptr(), args.as_ptr()) };
        assert_eq!(Status::from_code(code), expected);
        assert_eq!(mode(), before);
        match expected {
            // Half of the least normal number is flushed to zero.
            Status::Ok => assert_eq!(y, [0.0, 1.5]),
            Status::AbiMismatch => assert_eq!(y, [-1.0; 2]),
            _ => assert_eq!(ctx.index_error.flag.into_inner(), IndexError::UNLOCATED),
        }
    }
}

#[test]
fn functions_are_expanded() {
    let text = r#"kernels @f {
  buffer buf0 "x" : f32[9] param 0
  buffer buf1 "y" : f32[9] result 0
  kernel k0 (i0 < 9) {
    stage {
      s0 = load buf0[i0] : f32
      s1 = tanh s0 : f32
      store s1, buf1[i0]
    }
  }
}"#;
    let entry = compile(&[text]).entry("f").unwrap();
    let instance = entry.program.instance(Threads::serial()).unwrap();
    let x = |i: usize| (i as f32 - 4.0) * 0.7;
    let mut results = results_of(&entry);
    entry.call(&instance, &[&floats(9, x)], &mut results).unwrap();
    for (i, y) in results[0].array::<f32>().iter().enumerate() {
        assert!((y - x(i).tanh()).abs() <= 4.0 * f32::EPSILON, "tanh({}) = {y}", x(i));
    }
}

#[test]
fn constants_aliases_and_the_random_state_are_found() {
    let text = r#"kernels @f {
  buffer buf0 "c" : i64[2,3] constant [1, 2, 3, 4, 5, 6]
  buffer buf1 "flat" : i64[6] alias buf0
  buffer buf2 "random" : i64[2] random_state
  buffer buf3 "t" : i64[6] temp
  buffer buf4 "t2" : i64[3,2] alias buf3
  buffer buf5 "y" : i64[3,2] result 0
  kernel k0 (i0 < 6) {
    stage {
      s0 = load buf1[-i0 + 5] : i64
      s1 = load buf2[0] : i64
      s2 = load buf2[1] : i64
      s3 = add s0, s1 : i64
      s4 = sub s3, s2 : i64
      store s4, buf3[i0]
    }
  }
  kernel k1 (i0 < 3, i1 < 2) {
    stage {
      s0 = load buf4[i0, i1] : i64
      store s0, buf5[i0, i1]
    }
  }
}"#;
    let program = compile(&[text]);
    let entry = program.entry("f").unwrap();
    assert!(!entry.entry().exclusive);
    let instance = program.instance(Threads::serial()).unwrap();
    instance.set_seed(1000).unwrap();
    instance.set_step(7).unwrap();
    let mut results = results_of(&entry);
    entry.call(&instance, &[], &mut results).unwrap();
    let expected = (0..6).map(|i| 6 - i + 1000 - 7).collect::<Vec<i64>>();
    assert_same(&results[0], &Tensor::from_vec(&[3, 2], expected));
    assert_eq!(instance.step(), Ok(7));
}

#[test]
fn local_buffers_lie_beside_the_arena_one_for_each_worker() {
    let text = r#"kernels @f {
  buffer buf0 "t" : i32[60] temp
  buffer buf1 "l" : i32[60] local
  buffer buf2 "u" : i32[60] temp
  buffer buf3 "y" : i32[60] result 0
  kernel k0 (i0 < 60) {
    stage {
      s0 = index i0 : i32
      store s0, buf0[i0]
    }
  }
  kernel k1 (i0 < 60) {
    stage {
      s0 = index -i0 : i32
      store s0, buf1[i0]
    }
    stage {
      s0 = load buf1[i0] : i32
      store s0, buf2[i0]
    }
    schedule { chunks i0 by 7 threads }
  }
  kernel k2 (i0 < 60) {
    stage {
      s0 = load buf0[i0] : i32
      s1 = load buf2[i0] : i32
      s2 = const 2 : i32
      s3 = mul s0, s2 : i32
      s4 = add s3, s1 : i32
      store s4, buf3[i0]
    }
  }
}"#;
    let program = compile(&[text]);
    let layout = *program.layout();
    assert!(layout.scratch_bytes_per_worker >= 7 * 4, "{layout:?}");
    let entry = program.entry("f").unwrap();
    for threads in [Threads::serial(), Pool::new(3).unwrap().into()] {
        let instance = Instance::guarded(layout, threads).unwrap();
        let mut results = results_of(&entry);
        entry.call(&instance, &[], &mut results).unwrap();
        assert_same(&results[0], &Tensor::from_vec(&[60], (0..60).collect::<Vec<i32>>()));
    }
}

#[test]
fn entry_points_share_variables_and_outlive_their_program() {
    let read_w = r#"kernels @get {
  buffer buf0 "w" : f32[3] variable 0
  buffer buf1 "y" : f32[3] result 0
  kernel k0 (i0 < 3) {
    stage {
      s0 = load buf0[i0] : f32
      store s0, buf1[i0]
    }
  }
}"#;
    let program = compile(&[&update(3, ""), read_w]);
    let instance = program.instance(Threads::serial()).unwrap();
    write(&program, &instance, 0, &floats(3, |i| i as f32));
    let (step, get) = (program.entry("step").unwrap(), program.entry("get").unwrap());
    assert!(program.entry("put").is_none());
    drop(program);
    step.call(&instance, &[&floats(3, |_| 2.0)], &mut results_of(&step)).unwrap();
    drop(step);
    let mut results = results_of(&get);
    get.call(&instance, &[], &mut results).unwrap();
    assert_same(&results[0], &floats(3, |i| i as f32 - 1.0));
}

#[test]
fn wrong_arguments_are_refused() {
    let program = compile(&[&update(3, "")]);
    let entry = program.entry("step").unwrap();
    let instance = program.instance(Threads::serial()).unwrap();
    let g = floats(3, |_| 1.0);
    let mut results = results_of(&entry);
    let counts = |found| Err(CallError::ArgumentCount { expected: (1, 1), found });
    assert_eq!(entry.call(&instance, &[], &mut results), counts((0, 1)));
    assert_eq!(entry.call(&instance, &[&g], &mut []), counts((1, 0)));
    let says = |call: Result<(), CallError>| call.unwrap_err().to_string();
    assert_eq!(
        says(entry.call(&instance, &[&floats(4, |_| 1.0)], &mut results)),
        "`g` is f32[3], found f32[4]"
    );
    assert_eq!(
        says(entry.call(&instance, &[&g], &mut [Tensor::zeros(DType::I32, &[3])])),
        "`old` is f32[3], found i32[3]"
    );
    let mut strided = ndarray::Array::from_vec(vec![1.0f32; 3]).into_dyn();
    strided.invert_axis(ndarray::Axis(0));
    assert_eq!(
        says(entry.call(&instance, &[&Tensor::F32(strided)], &mut results)),
        "`g` is f32[3], found f32[3] that is not in row-major order"
    );
    let other = compile(&[&update(4, "")]).instance(Threads::serial()).unwrap();
    assert_eq!(entry.call(&other, &[&g], &mut results), Err(CallError::OtherProgram));
    assert_eq!(instance.step(), Ok(0));
}

#[test]
fn programs_over_the_same_variables_share_an_instance_that_has_room() {
    // The first program needs no scratch, the second an arena.
    let (small, large) = (compile(&[&update(4, "")]), compile(&[&gather(false)]));
    let entry = large.entry("gather").unwrap();
    let index = Tensor::zeros(DType::I32, &[40]);
    let mut instance = small.instance(Threads::serial()).unwrap();
    let call = |instance: &Instance| entry.call(instance, &[&index], &mut results_of(&entry));
    assert_eq!(call(&instance), Err(CallError::OtherProgram));
    instance.reserve(large.layout()).unwrap();
    assert_eq!(call(&instance), Ok(()));
    let step = small.entry("step").unwrap();
    step.call(&instance, &[&floats(4, |_| 1.0)], &mut results_of(&step)).unwrap();
    assert_eq!(instance.step(), Ok(2));
}

#[test]
fn functions_that_do_not_fit_their_interface_are_refused() {
    let target = Target::host().unwrap();
    let code = |change: fn(&mut SourceModule)| {
        let mut module = source(&[&update(3, "")]);
        change(&mut module);
        match JitProgram::compile(module, &target) {
            Err(CompileError::Source(e)) => e.code(),
            other => panic!("expected an error of the source, found {other:?}"),
        }
    };
    assert_eq!(code(|m| m.functions[0].params.clear()), "K0201");
    assert_eq!(code(|m| m.functions[0].results.clear()), "K0201");
    assert_eq!(code(|m| m.variables.clear()), "K0201");
    assert_eq!(code(|m| m.variables[0].variable.ty = TensorType::new(DType::F64, [3])), "K0201");
    assert_eq!(code(|m| m.functions[0].kernels.kernels[0].stages[0].stores.clear()), "K0118");
}

#[test]
fn code_for_another_architecture_is_refused() {
    let other = if cfg!(target_arch = "x86_64") { "aarch64" } else { "riscv64gc" };
    let target = Target::parse(&format!("{other}-unknown-linux-gnu"), "generic").unwrap();
    let error = JitProgram::compile(source(&[HALVE]), &target).unwrap_err().to_string();
    assert!(error.contains("this machine is"), "{error}");
}
