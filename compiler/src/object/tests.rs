use object::{Object, ObjectSection, ObjectSymbol, RelocationKind, SectionKind};

use super::*;
use crate::backend::testing::source;
use crate::types::DType;

/// Two entry points with constants, checks, threads, local buffers and double-buffered variables.
const TEXTS: [&str; 2] = [
    r#"kernels @train {
  buffer buf0 "a" : f32[300] variable 0
  buffer buf1 "b" : f32[300] variable 1
  buffer buf2 "a" : f32[300] next 0
  buffer buf3 "b" : f32[300] next 1
  buffer buf4 "c" : f32[2] constant [1.5, 2.5]
  buffer buf5 "i" : i32[300] param 0
  buffer buf6 "l" : f32[300] local
  check 0 "i" [300] < 2
  kernel k0 (i0 < 300) {
    stage {
      s0 = load buf1[i0] : f32
      s1 = load buf5[i0] : i32
      s2 = check s1 site 0 at i0 : i32
      s3 = load buf4[s2] : f32
      s4 = fma s0, s3, s0 : f32
      store s4, buf6[i0]
    }
    stage {
      s0 = load buf6[i0] : f32
      s1 = sqrt s0 : f32
      s2 = floor s1 : f32
      s3 = round s1 : f32
      s4 = add s2, s3 : f32
      store s4, buf2[i0]
    }
    schedule { chunks i0 by 7 threads }
  }
  kernel k1 (i0 < 300) {
    stage {
      s0 = load buf0[i0] : f32
      store s0, buf3[i0]
    }
    schedule { stage 0 strip i0 lanes 4 }
  }
}"#,
    r#"kernels @predict {
  buffer buf0 "a" : f32[300] variable 0
  buffer buf1 "c" : f32[2] constant [1.5, 2.5]
  buffer buf2 "y" : f32[2] result 0
  kernel k0 (i0 < 2) {
    stage {
      fold reduce lanes 4 (i1 < 300) {
        s0 = load buf0[i1] : f32
        acc0 = sum s0 : f32
      }
      s0 = acc0 : f32
      s1 = load buf1[i0] : f32
      s2 = mul s0, s1 : f32
      store s2, buf2[i0]
    }
  }
}"#,
];

const TARGETS: [(&str, &str); 5] = [
    ("x86_64-unknown-linux-gnu", "x86-64-v2"),
    ("x86_64-unknown-linux-gnu", "x86-64-v3"),
    ("x86_64-unknown-linux-gnu", "x86-64-v4"),
    ("aarch64-unknown-linux-gnu", "generic"),
    ("riscv64gc-unknown-linux-gnu", "generic"),
];

fn emit(triple: &str, cpu: &str) -> (Compiled, Vec<u8>) {
    let target = Target::parse(triple, cpu).unwrap();
    let lanes = format!("strip i0 lanes {}", target.lanes(DType::F32));
    let texts = TEXTS.map(|text| text.replace("strip i0 lanes 4", &lanes));
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    emit_object(source(&texts), &target).unwrap_or_else(|e| panic!("{triple} {cpu}: {e}"))
}

#[test]
fn objects_are_freestanding() {
    for (triple, cpu) in TARGETS {
        let (_, bytes) = emit(triple, cpu);
        let file = object::File::parse(bytes.as_slice()).unwrap();
        let undefined: Vec<_> =
            file.symbols().filter(|s| s.is_undefined()).map(|s| s.name().unwrap()).collect();
        // The first symbol of an ELF file is the null symbol, and refers to nothing.
        assert!(undefined.iter().all(|name| name.is_empty()), "{triple} {cpu}: {undefined:?}");
        let mut exported: Vec<_> = file
            .symbols()
            .filter(|s| s.is_global() && s.is_definition())
            .map(|s| s.name().unwrap())
            .collect();
        exported.sort_unstable();
        assert_eq!(exported, ["test_predict", "test_train"], "{triple} {cpu}");
    }
}

#[test]
fn objects_are_position_independent_and_their_stack_is_not_executable() {
    for (triple, cpu) in TARGETS {
        let (_, bytes) = emit(triple, cpu);
        let file = object::File::parse(bytes.as_slice()).unwrap();
        for section in file.sections() {
            for (offset, relocation) in section.relocations() {
                // An absolute address would have to be written by the loader, into code or constants.
                let absolute = relocation.kind() == RelocationKind::Absolute && relocation.size() >= 32;
                assert!(!absolute, "{triple} {cpu}: {:?} +{offset}: {relocation:?}", section.name());
            }
            assert_ne!(section.kind(), SectionKind::Data, "{triple} {cpu}: all data is read-only");
        }
        let stack = file.section_by_name(".note.GNU-stack").expect("a note on the stack");
        assert_eq!(stack.size(), 0);
        let object::SectionFlags::Elf { sh_flags } = stack.flags() else { panic!("not an ELF file") };
        assert_eq!(sh_flags & u64::from(object::elf::SHF_EXECINSTR), 0);
        let constants = file.section_by_name(".rodata").expect("constants");
        assert_eq!(constants.align() % 64, 0);
    }
}

#[test]
fn objects_are_the_same_every_time() {
    for (triple, cpu) in TARGETS {
        assert_eq!(emit(triple, cpu).1, emit(triple, cpu).1, "{triple} {cpu}");
    }
}

#[test]
fn what_is_known_of_a_program_does_not_depend_on_the_target() {
    let program = |(triple, cpu)| emit(triple, cpu).0.program;
    let first = program(TARGETS[0]);
    assert_eq!(first.entries[0].memory.copied, ["a"]);
    assert!(first.entries[0].exclusive && !first.entries[1].exclusive);
    for target in &TARGETS[1..] {
        assert_eq!(program(*target), first);
    }
}

#[test]
fn a_target_without_object_files_is_refused() {
    let target = Target::parse("x86_64-unknown-linux-gnu-wasm", "x86-64-v2").unwrap();
    let error = emit_object(source(&TEXTS), &target).unwrap_err().to_string();
    assert!(error.contains("no object file for `x86_64-unknown-linux-gnu-wasm`"), "{error}");
}
