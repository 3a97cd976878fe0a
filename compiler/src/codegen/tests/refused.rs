//! What is refused, and code for other machines.

use cranelift_module::default_libcall_names;
use cranelift_object::object::{File, Object, ObjectSymbol};
use cranelift_object::{ObjectBuilder, ObjectModule};

use crate::codegen::kernel::{KnownCode, dump, emit_kernel};
use crate::codegen::testing::{function, schedule, scheduled, strip};
use crate::codegen::{CodegenError, Target};
use crate::kernel::{KernelFunction, Packed, StageSchedule, UnaryOp, fixed};

const ROUNDS: &str = r#"kernels @t {
  buffer buf0 "x" : f32[40,20] param 0
  buffer buf1 "w" : f32[20,30] param 1
  buffer buf2 "y" : f32[40,30] result 0
  kernel k0 (i0 < 40, i1 < 30) {
    stage {
      fold reduce (i2 < 20) {
        s0 = load buf0[i0, i2] : f32
        s1 = load buf1[i2, i1] : f32
        acc0 = dot s0, s1 : f32
      }
      s0 = acc0 : f32
      s1 = floor s0 : f32
      s2 = convert s1 : i64
      s3 = convert s2 : f32
      s4 = round s3 : f32
      s5 = fma s0, s4, s1 : f32
      s6 = convert s5 : u8
      s7 = convert s6 : f32
      store s7, buf2[i0, i1]
    }
  }
}"#;

fn tile(rows: usize, cols: usize, lanes: usize) -> StageSchedule {
    StageSchedule::Tile { row_axis: 0, col_axis: 1, rows, cols, lanes, row_operand: 0, pack: Packed::Vectors }
}

fn refusal(f: &KernelFunction, target: &Target) -> String {
    let isa = target.isa().unwrap();
    let mut module = ObjectModule::new(ObjectBuilder::new(isa, "t", default_libcall_names()).unwrap());
    match emit_kernel(&mut module, target, f, &f.kernels[0], &mut KnownCode::default()) {
        Err(e @ CodegenError::Kernel { .. }) => e.to_string(),
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[test]
fn schedules_that_do_not_fit() {
    let f = function(ROUNDS);
    let target = Target::parse("x86_64-unknown-linux-gnu", "x86-64-v3").unwrap();
    let scalar = Target::parse("riscv64gc-unknown-linux-gnu", "generic").unwrap();
    for (schedule, target, says) in [
        (schedule(Some((2, 4)), &[]), &target, "no chunks"),
        (schedule(Some((0, 0)), &[]), &target, "no chunks"),
        (schedule(None, &[strip(1, 16)]), &target, "no vectors of 16 lanes"),
        (schedule(None, &[strip(1, 4)]), &scalar, "no vectors of 4 lanes"),
        (schedule(None, &[strip(2, 4)]), &target, "multiple of 4 partial results"),
        (schedule(None, &[strip(7, 4)]), &target, "partial results"),
        (schedule(None, &[tile(0, 8, 4)]), &target, "a tile of 0 rows"),
        (schedule(None, &[tile(4, 6, 4)]), &target, "does not fit 4 lanes"),
        (schedule(None, &[tile(1 << 40, 1 << 40, 4)]), &target, "more than 1000000"),
        (schedule(None, &[tile(500, 500, 4)]), &target, "more than 1000000"),
    ] {
        let error = refusal(&scheduled(&f, &schedule), target);
        assert!(error.starts_with("kernel `k0` cannot be emitted: ") && error.contains(says), "{error}");
    }
}

#[test]
fn panels_that_would_differ_from_row_to_row() {
    let f = function(&ROUNDS.replace("load buf1[i2, i1]", "load buf0[i0, i2]"));
    let error = refusal(&scheduled(&f, &schedule(None, &[tile(4, 8, 4)])), &Target::host().unwrap());
    assert!(error.contains("depends on the rows"), "{error}");
}

#[test]
fn functions_that_are_not_expanded() {
    let f = function(&ROUNDS.replace("floor", UnaryOp::Exp.name()));
    let error = refusal(&f, &Target::host().unwrap());
    assert!(error.contains("s1 is not primitive"), "{error}");
}

#[test]
fn scratch_that_exceeds_the_address_space() {
    let text = r#"kernels @t {
  buffer buf0 "x" : f64[1099511627776] local
  buffer buf1 "y" : f64[1099511627776] local
  kernel k0 (i0 < 1099511627776) {
    stage {
      s0 = const 1.0 : f64
      store s0, buf0[i0]
      store s0, buf1[i0]
    }
  }
}"#;
    let mut f = function(text);
    for buffer in f.buffers.values_mut() {
        buffer.shape = fixed(&[1 << 40, 1 << 20]);
    }
    for store in &mut f.kernels[0].stages[0].stores {
        store.index.push(crate::kernel::Affine::constant(0));
    }
    let error = refusal(&f, &Target::host().unwrap());
    assert!(error.contains("address space"), "{error}");
}

#[test]
fn code_for_every_target_needs_nothing_from_outside() {
    let f = function(ROUNDS);
    for (triple, cpu) in [
        ("x86_64-unknown-linux-gnu", "x86-64-v2"),
        ("x86_64-unknown-linux-gnu", "x86-64-v3"),
        ("x86_64-unknown-linux-gnu", "x86-64-v4"),
        ("x86_64-pc-windows-msvc", "x86-64-v3"),
        ("aarch64-unknown-linux-gnu", "generic"),
        ("aarch64-apple-darwin", "generic"),
        ("riscv64gc-unknown-linux-gnu", "generic"),
    ] {
        let target = Target::parse(triple, cpu).unwrap();
        let lanes = target.lanes(crate::types::DType::F32);
        for stage in [StageSchedule::Scalar, strip(1, lanes), tile(4, 2 * lanes, lanes)] {
            let f = scheduled(&f, &schedule(Some((0, 7)), &[stage]));
            let builder = ObjectBuilder::new(target.isa().unwrap(), "t", default_libcall_names()).unwrap();
            let mut module = ObjectModule::new(builder);
            emit_kernel(&mut module, &target, &f, &f.kernels[0], &mut KnownCode::default())
                .unwrap_or_else(|e| panic!("{target}: {e:?}"));
            let bytes = module.finish().emit().unwrap();
            let file = File::parse(&*bytes).unwrap();
            let undefined: Vec<_> =
                file.symbols().filter(|s| s.is_undefined()).filter_map(|s| s.name().ok()).collect();
            assert!(undefined.iter().all(|name| name.is_empty()), "{target}: {undefined:?}");
        }
    }
}

#[test]
fn people_can_read_the_code() {
    let f = scheduled(&function(ROUNDS), &schedule(None, &[tile(4, 8, 4)]));
    let dumped = |triple, cpu| dump(&Target::parse(triple, cpu).unwrap(), &f, &f.kernels[0]).unwrap();
    let (clif, assembly) = dumped("aarch64-unknown-linux-gnu", "generic");
    assert!(clif.starts_with("function") && clif.contains("fma"), "{clif}");
    assert!(assembly.contains("fmla"), "{assembly}");
    for cpu in ["x86-64-v3", "x86-64-v4"] {
        let (clif, assembly) = dumped("x86_64-unknown-linux-gnu", cpu);
        assert!(clif.is_empty() && assembly.contains("vfmadd231ps xmm"), "{assembly}");
        assert!(
            assembly.ends_with(" of constants and padding\n") || assembly.ends_with("  ret\n"),
            "{assembly}"
        );
    }
}
