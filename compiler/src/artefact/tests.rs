use bessemer_runtime::abi::{ABI_VERSION, ElementType, EntryRecord, Runs, Status, TensorRecord};
use object::{Object, ObjectSection, ObjectSymbol, RelocationKind, SectionKind};

use super::*;
use crate::backend::testing::source;
use crate::memory::Layout;
use crate::program::StateLayout;
use crate::types::{DType, Extent, Shape, TensorType};

/// Two entry points with constants, checks, threads, local buffers and double-buffered variables, and `init`.
const TEXTS: [&str; 3] = [
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
    r#"kernels @init {
  buffer buf0 "a" : f32[300] next 0
  buffer buf1 "b" : f32[300] next 1
  kernel k0 (i0 < 300) {
    stage {
      s0 = const 1.0 : f32
      store s0, buf0[i0]
      store s0, buf1[i0]
    }
  }
}"#,
];

/// The texts as a library: `train` takes 300 indices for one batch of 3.
fn library() -> ArtefactSource {
    let SourceModule { variables, functions, .. } = source(&TEXTS);
    let [train, predict, init] = <[Source; 3]>::try_from(functions).unwrap();
    let batched = |tensor: &NamedType| NamedType {
        ty: TensorType { dtype: tensor.ty.dtype, shape: Shape::from([Extent::Batch(100)]) },
        ..tensor.clone()
    };
    let entry = |name: &str, source: Source, is_symbolic: bool| EntrySource {
        name: name.into(),
        params: source.params.iter().map(batched).collect(),
        results: source.results.clone(),
        is_symbolic,
        variants: vec![Variant { first: 3, last: 3, source }],
    };
    let variables = variables
        .into_iter()
        .map(|stored| ArtefactVariable {
            is_trained: stored.variable.name == "a",
            is_constant: false,
            stored,
        })
        .collect();
    ArtefactSource {
        name: "test".into(),
        variables,
        entries: vec![entry("train", train, true), entry("predict", predict, false)],
        init,
        embedded: vec![(1, Tensor::zeros(DType::F32, &[300]))],
        has_threads: true,
    }
}

const TARGETS: [(&str, &[&str]); 12] = [
    ("x86_64-unknown-linux-gnu", &["x86-64-v2"]),
    ("x86_64-unknown-linux-gnu", &["x86-64-v3"]),
    ("x86_64-unknown-linux-gnu", &["x86-64-v2", "x86-64-v3", "x86-64-v4"]),
    ("aarch64-unknown-linux-gnu", &["generic"]),
    ("riscv64gc-unknown-linux-gnu", &["generic"]),
    ("x86_64-apple-darwin", &["x86-64-v2"]),
    ("aarch64-apple-darwin", &["generic"]),
    ("x86_64-pc-windows-msvc", &["x86-64-v3"]),
    ("aarch64-pc-windows-msvc", &["generic"]),
    ("x86_64-unknown-none", &["x86-64-v2"]),
    ("aarch64-unknown-none", &["generic"]),
    ("riscv64gc-unknown-none-elf", &["generic"]),
];

fn targets(triple: &str, cpus: &[&str]) -> Vec<Target> {
    cpus.iter().map(|cpu| Target::parse(triple, cpu).unwrap()).collect()
}

fn emit(triple: &str, cpus: &[&str]) -> Artefact {
    compile(&library(), &targets(triple, cpus)).unwrap_or_else(|e| panic!("{triple} {cpus:?}: {e}"))
}

/// The symbols that an object file defines for others, in order of their names.
fn exported(object: &ObjectCode) -> Vec<String> {
    let file = object::File::parse(&*object.bytes).unwrap();
    let symbols = file.symbols().filter(|s| s.is_global() && s.is_definition());
    let mut names: Vec<String> = symbols.map(|s| s.name().unwrap().to_owned()).collect();
    names.sort_unstable();
    names
}

#[test]
fn code_refers_to_nothing_and_exports_what_it_says() {
    for (triple, cpus) in TARGETS {
        let artefact = emit(triple, cpus);
        let file = object::File::parse(&*artefact.object.bytes).unwrap();
        let undefined: Vec<_> =
            file.symbols().filter(|s| s.is_undefined()).map(|s| s.name().unwrap()).collect();
        // The first symbol of an ELF file is the null symbol, and refers to nothing.
        assert!(undefined.iter().all(|name| name.is_empty()), "{triple}: {undefined:?}");
        let exported = exported(&artefact.object);
        let names = ["call", "get", "init", "predict", "program", "set", "setup", "train"];
        let prefix = if triple.contains("apple") { "_" } else { "" };
        assert_eq!(exported, names.map(|name| format!("{prefix}test_raw_{name}")), "{triple}");
    }
}

#[test]
fn the_interface_refers_to_the_code_and_the_runtime_only() {
    for (triple, cpus) in TARGETS {
        let artefact = emit(triple, cpus);
        let Some(interface) = artefact.interface else {
            assert!(!triple.contains("linux"), "{triple}");
            assert!(!artefact.header.contains("test_create") && artefact.header.contains("test_raw_train("));
            continue;
        };
        let file = object::File::parse(&*interface.bytes).unwrap();
        let runtime =
            interface::FUNCTIONS.iter().map(|f| f.name).chain(["call"]).map(interface::runtime_symbol);
        let runtime: Vec<String> = runtime.collect();
        for symbol in file.symbols().filter(|s| s.is_undefined()) {
            let name = symbol.name().unwrap();
            let known = name.starts_with("test_raw_") || runtime.iter().any(|known| known == name);
            assert!(known || ["__tls_get_addr", ""].contains(&name), "{triple}: {name}");
        }
        let exported = exported(&interface);
        for name in ["test_create", "test_train", "test_predict"] {
            assert!(exported.iter().any(|s| s == name), "{name}");
        }
        assert!(!exported.iter().any(|s| s.contains("learning_rate") || s.contains("constant")));
    }
}

#[test]
fn code_is_position_independent_and_its_stack_is_not_executable() {
    for (triple, cpus) in TARGETS.into_iter().filter(|(triple, _)| triple.contains("linux")) {
        let artefact = emit(triple, cpus);
        let file = object::File::parse(&*artefact.object.bytes).unwrap();
        for section in file.sections() {
            for (offset, relocation) in section.relocations() {
                // An absolute address would have to be written by the loader, into code or constants.
                let absolute = relocation.kind() == RelocationKind::Absolute && relocation.size() >= 32;
                assert!(!absolute, "{triple}: {:?} +{offset}: {relocation:?}", section.name());
            }
            assert_ne!(section.kind(), SectionKind::Data, "{triple}: all data is read-only");
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
fn the_same_source_gives_the_same_bytes() {
    for (triple, cpus) in TARGETS {
        let (a, b) = (emit(triple, cpus), emit(triple, cpus));
        assert_eq!(a.object.bytes, b.object.bytes, "{triple}");
        assert_eq!(a.interface.map(|i| i.bytes), b.interface.map(|i| i.bytes), "{triple}");
        assert_eq!(a.header, b.header, "{triple}");
    }
}

#[test]
fn what_is_known_of_a_program_does_not_depend_on_the_target() {
    let first = emit(TARGETS[0].0, TARGETS[0].1).program;
    assert_eq!(first.entries[0].memory.copied, ["a"]);
    assert!(first.entries[0].exclusive && !first.entries[1].exclusive);
    let facts = |program: &Program| {
        let entries = program.entries.iter();
        entries.map(|e| (e.exclusive, e.flops, e.kernels, e.params.clone())).collect::<Vec<_>>()
    };
    for (triple, cpus) in &TARGETS[1..] {
        let program = emit(triple, cpus).program;
        assert_eq!((&program.state, facts(&program)), (&first.state, facts(&first)), "{triple}");
    }
}

#[test]
fn code_for_several_levels_stands_side_by_side() {
    let artefact = emit(TARGETS[2].0, TARGETS[2].1);
    let file = object::File::parse(&*artefact.object.bytes).unwrap();
    for level in 2..=4 {
        let name = format!("test_train.n3.v{level}");
        assert!(file.symbols().any(|s| s.name() == Ok(&*name)), "{name}");
    }
    let linux = "x86_64-unknown-linux-gnu";
    for cpus in [&["x86-64-v3", "x86-64-v2"][..], &["x86-64-v3", "x86-64-v3"], &[]] {
        assert!(compile(&library(), &targets(linux, cpus)).is_err(), "{cpus:?}");
    }
}

#[test]
fn the_description_says_what_the_source_does() {
    let library = library();
    let artefact = emit("x86_64-unknown-linux-gnu", &["x86-64-v2"]);
    let head = describe::Head { layout: artefact.layout, interface: 5, cpu: "x86-64-v2".into() };
    let described = describe::describe(&library, &artefact.program, &head).unwrap();
    // Read back by hand: this crate has no unsafe code.
    let word = |at: usize| u32::from_le_bytes(described.bytes[at..at + 4].try_into().unwrap()) as usize;
    let text = |at: usize| std::str::from_utf8(&described.bytes[word(at)..][..word(at + 4)]).unwrap();
    let (name, variables, entries) = (56, 64, 72);
    assert_eq!((word(0), word(40)), (ABI_VERSION as usize, 5));
    assert_eq!(text(name), "test");
    assert_eq!((word(variables), word(variables + 4)), (described.variables, 2));
    let tensor = size_of::<TensorRecord>();
    let a = described.variables;
    assert_eq!((text(a), text(a + tensor)), ("a", "b"));
    assert_eq!(word(a + 16), ElementType::F32 as usize);
    assert_eq!((word(a + 20), word(a + tensor + 20)), (TensorRecord::TRAINED as usize, 0));
    assert_eq!((word(a + 24), word(a + 32)), (64, 1200));
    let train = word(entries);
    assert_eq!(text(train), "train");
    assert_eq!(word(train + 32), (EntryRecord::EXCLUSIVE | EntryRecord::SYMBOLIC) as usize);
    assert_eq!(word(train + size_of::<EntryRecord>() + 32), 0);
    let (params, variants) = (word(train + 8), word(train + 24));
    assert_eq!(text(params), "i");
    assert_eq!(word(params + 20), TensorRecord::PER_EXAMPLE as usize);
    assert_eq!(described.bytes[word(params + 8)..][..8], (-100i64).to_le_bytes());
    assert_eq!((word(variants), word(variants + 8), word(variants + 28)), (3, 3, 1));
    assert_eq!(described.bytes[word(a) + 1], 0, "texts end with a NUL");
}

#[test]
fn the_description_says_where_runs_are() {
    let mut library = library();
    for (at, layout, shape) in [(0, Layout::Panels, [32, 150]), (1, Layout::Rows, [9, 512])] {
        let stored = &mut library.variables[at].stored;
        (stored.layout, stored.variable.ty.shape) = (layout, Shape::fixed(&shape));
    }
    // Kernels have nothing to do with it.
    let variables = library.variables.iter().map(|v| v.stored.clone());
    let program = Program {
        state: StateLayout::new(variables).unwrap(),
        ..emit("x86_64-unknown-linux-gnu", &["x86-64-v2"]).program
    };
    let head = describe::Head { layout: program.layout(), interface: 5, cpu: "x86-64-v2".into() };
    let described = describe::describe(&library, &program, &head).unwrap();
    let number = |at: usize| u64::from_le_bytes(described.bytes[at..at + 8].try_into().unwrap());
    assert_eq!((number(8), number(48)), (program.state.fingerprint(), program.state.types_fingerprint()));
    assert_ne!(number(8), number(48));
    let places = [0, 1].map(|at| {
        let record = described.variables + at * size_of::<TensorRecord>();
        let (bytes, span) = (number(record + 32), number(record + 40));
        let (at, count) = (span as u32 as usize, (span >> 32) as usize);
        let runs =
            (0..count).map(|n| [0, 8, 16, 24, 32].map(|field| number(at + n * size_of::<Runs>() + field)));
        (bytes, runs.collect::<Vec<_>>())
    });
    // Start, runs of a row, bytes of one, apart, pitch.
    let panel = 32 * 64 + 64;
    assert_eq!(places[0], (32 * 150 * 4, vec![[0, 9, 64, panel, 64], [9 * panel, 6, 4, 32 * 4, 4]]));
    assert_eq!(places[1], (9 * 2048, vec![[0, 1, 2048, 2048, 2112]]));
}

#[test]
fn headers_declare_what_is_exported() {
    let artefact = emit("x86_64-unknown-linux-gnu", &["x86-64-v2"]);
    for symbol in exported(&artefact.object).iter().chain(&exported(&artefact.interface.unwrap())) {
        let hidden = ["test_raw_call", "test_raw_program"].contains(&&**symbol);
        assert_ne!(artefact.header.contains(&format!("{symbol}(")), hidden, "{symbol}");
    }
    for status in Status::ALL {
        assert!(artefact.header.contains(&format!("/* {} */", status.text())));
    }
    assert!(artefact.header.contains("test_train(test *model, size_t n, const int32_t *i);"));
    assert!(artefact.header.contains("i: read, i32[100*n], each from 0 to 1"));
}

#[test]
fn the_interface_hash_is_that_of_names_and_types() {
    let hash = |change: fn(&mut ArtefactSource)| {
        let mut source = library();
        change(&mut source);
        header::Header::new(&source).hash()
    };
    let same = hash(|_| {});
    assert_eq!(hash(|source| source.has_threads = false), same);
    assert_ne!(hash(|source| source.entries[0].name = "step".into()), same);
    assert_ne!(hash(|source| source.entries[0].params[0].ty.dtype = DType::I64), same);
    assert_ne!(hash(|source| source.variables[1].stored.variable.name = "c".into()), same);
}

#[test]
fn names_that_clash_are_refused() {
    let code = |change: fn(&mut ArtefactSource)| {
        let mut source = library();
        change(&mut source);
        match compile(&source, &targets("x86_64-unknown-linux-gnu", &["x86-64-v2"])) {
            Err(CompileError::Source(errors)) => errors.code(),
            Err(CompileError::Codegen(_)) => "codegen",
            Ok(_) => "fine",
        }
    };
    assert_eq!(code(|_| {}), "fine");
    assert_eq!(code(|source| source.name = "int".into()), "E0721");
    for name in ["save", "create", "raw_x", "predict", "status"] {
        let mut source = library();
        source.entries[0].name = name.into();
        let error = compile(&source, &targets("x86_64-unknown-linux-gnu", &["x86-64-v2"])).unwrap_err();
        assert!(error.to_string().contains("E0722"), "{name}: {error}");
    }
    assert_eq!(code(|source| source.entries[0].params[0].ty.shape = [Extent::N, Extent::N].into()), "E0723");
    assert_eq!(
        code(|source| {
            let extra = source.entries[0].params[0].clone();
            source.init.params.push(extra);
        }),
        "E0723"
    );
}

#[test]
fn a_target_without_object_files_is_refused() {
    let triple = "x86_64-unknown-linux-gnu-wasm";
    let error = compile(&library(), &targets(triple, &["x86-64-v2"])).unwrap_err().to_string();
    assert!(error.contains(&format!("no object file for `{triple}`")), "{error}");
}

/// The bytes of every task in an object file, by name.
fn tasks(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let file = object::File::parse(bytes).unwrap();
    let symbols = file.symbols().filter(|s| s.name().is_ok_and(|name| name.contains(".k")));
    symbols
        .map(|s| {
            let section = file.section_by_index(s.section_index().unwrap()).unwrap();
            let start = (s.address() - section.address()) as usize;
            let code = section.data().unwrap()[start..start + s.size() as usize].to_vec();
            (s.name().unwrap().to_owned(), code)
        })
        .collect()
}

#[test]
fn kernels_have_the_bytes_that_they_have_in_this_process() {
    let library = library();
    let host = Target::host().unwrap().triple().to_string();
    let linux = "x86_64-unknown-linux-gnu";
    for (triple, level) in
        [(linux, "x86-64-v2"), (linux, "x86-64-v3"), (linux, "x86-64-v4"), (&*host, "native")]
    {
        let target = Target::parse(triple, level).unwrap();
        let made = tasks(&emit(triple, &[level]).object.bytes);
        let mut file = ObjectFile::new(&library, &target).unwrap();
        compile_into(&mut file.module(target.jit_isa().unwrap()), &target, module_of(&library, "")).unwrap();
        let here = tasks(&file.module.finish().emit().unwrap());
        assert!(made.len() >= 4, "{made:?}");
        assert!(made == here, "{level}");
    }
}
