//! The networks of the examples: the texts are what the builder makes of them today, their objects need nothing, and their
//! memory is planned tightly.

#![expect(clippy::duplicate_mod, reason = "two examples show their progress alike")]

#[path = "../examples/models/mod.rs"]
mod models;
#[path = "../examples/regression.rs"]
#[expect(dead_code, reason = "the network is all that is used of the example")]
mod regression;
#[path = "../examples/spiral.rs"]
#[expect(dead_code, reason = "the network is all that is used of the example")]
mod spiral;

use std::path::{Path, PathBuf};

use bessemer::artefact::{ArtefactOptions, Weights, artefact_source};
use bessemer::compile::Model;
use bessemer::compiler::artefact;
use bessemer::compiler::codegen::Target;
use bessemer::compiler::kernel::{Fold, FoldOp, StageSchedule, points};
use bessemer::compiler::memory;
use bessemer::compiler::pipeline::{OptLevel, Options};
use bessemer::compiler::program::StateLayout;
use bessemer::graph::Module;
use bessemer::load;
use object::{Object, ObjectSymbol};

/// The texts in `examples/models`.
fn texts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/models");
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let mut texts: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|e| e == "bsm")).collect();
    texts.sort_unstable();
    assert!(texts.len() >= 3);
    texts
}

/// Every network that is kept as text or made by an example, prepared for a target.
fn networks(target: &Target) -> Vec<Model> {
    let texts = texts().into_iter().map(|path| load(&path).unwrap_or_else(|e| panic!("{e}")));
    let made =
        [regression::network(), spiral::network()].map(|module| module.unwrap_or_else(|e| panic!("{e}")));
    let prepare = |module: Module| Model::new(&module, Options::new(OptLevel::O3), target.clone());
    texts.chain(made).map(|module| prepare(module).unwrap_or_else(|e| panic!("{e}"))).collect()
}

/// Networks of hundreds of kernels, which take the compiler seconds: they are compiled for fewer targets and batch sizes.
fn is_large(model: &Model) -> bool {
    ["googlenet", "mobilenet_v2", "resnet18", "resnet50"].contains(&model.module().name.as_str())
}

#[test]
fn kept_texts_are_what_write_models_writes() {
    for file in texts() {
        let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap();
        let built = models::build(name, models::PIXELS)
            .unwrap_or_else(|| panic!("no function builds `{name}`"))
            .unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let made = format!("{built}\n");
        let differs = text.lines().zip(made.lines()).find(|(kept, made)| kept != made);
        assert!(
            text == made,
            "`{name}`: run `cargo run --example write_models`; the first difference is {differs:?}"
        );
        for entry in ["predict", "loss", "eval"] {
            assert!(built.function(entry).is_some(), "`{name}` has no function `{entry}`");
        }
        assert!(built.trains.iter().any(|train| train.name == "train_step"));
    }
}

/// Dropout is for training: what predicts and what evaluates draws no numbers.
#[test]
fn only_training_is_random() {
    for file in texts() {
        let module = load(&file).unwrap_or_else(|e| panic!("{e}"));
        for name in ["predict", "eval"] {
            let function = &module.functions[module.function(name).unwrap()];
            let random = function.nodes.values().filter(|node| node.op.traits().random).count();
            assert_eq!(random, 0, "`{name}` of `{}`", module.name);
        }
    }
}

/// Numbers of torchvision: <https://pytorch.org/vision/stable/models.html>. What its GoogLeNet has more of with auxiliary heads
/// only the loss reads.
#[test]
fn networks_have_the_published_parameters() {
    for (name, function, published) in [
        ("googlenet", "predict", 6_624_904),
        ("googlenet", "loss", 13_004_888),
        ("resnet18", "predict", 11_689_512),
        ("resnet50", "predict", 25_557_032),
        ("mobilenet_v2", "predict", 3_504_872),
        // 5·5·32 + 32, 5·5·32·64 + 64, 3136·1024 + 1024, 1024·10 + 10.
        ("mnist_cnn", "predict", 3_274_634),
    ] {
        let module = models::build(name, models::PIXELS).unwrap().unwrap();
        let reads = module.functions[module.function(function).unwrap()].reads();
        let trained = reads.iter().map(|name| &module.variables[module.variable(name).unwrap()]);
        let parameters = trained.filter(|variable| variable.trainable);
        let count: usize = parameters.map(|v| v.ty.shape.bound().iter().product::<usize>()).sum();
        assert_eq!(count, published, "`{function}` of `{name}`");
    }
}

/// Multiply-adds of one image of 224 pixels, in units of 10 million, as torchvision gives them: those of convolutions and matrix
/// products, padding included.
#[test]
fn networks_have_the_published_multiply_adds() {
    for (name, published) in [("resnet18", 181), ("resnet50", 409), ("mobilenet_v2", 30), ("googlenet", 150)]
    {
        let module = models::build(name, models::PIXELS).unwrap().unwrap();
        let options = Options::new(OptLevel::O0);
        let model = Model::new(&module, options, Target::host().unwrap()).unwrap_or_else(|e| panic!("{e}"));
        let (_, predict) = model.entry_point("predict").unwrap_or_else(|e| panic!("{e}"));
        let kernels = model.lower(predict, 1).unwrap_or_else(|e| panic!("{e}")).kernels.kernels;
        let products = kernels.iter().flat_map(|kernel| {
            let dots =
                |fold: &Fold| fold.accumulators.iter().filter(|a| matches!(a.op, FoldOp::Dot(..))).count();
            kernel.stages.iter().filter_map(move |stage| {
                let fold = stage.fold.as_ref()?;
                let points = points([&kernel.axes, &stage.axes, &fold.axes].into_iter().flatten());
                Some(points * dots(fold))
            })
        });
        let products: usize = products.sum();
        assert_eq!((products + 5_000_000) / 10_000_000, published, "`{name}`: {products}");
    }
}

/// What most of the time of a step goes into is run by vectors, at levels whose tiles have much code as well.
#[test]
fn no_large_contraction_is_run_point_by_point() {
    for level in ["x86-64-v2", "x86-64-v3", "x86-64-v4"] {
        let target = Target::parse("x86_64-unknown-linux-gnu", level).unwrap();
        for model in networks(&target) {
            let name = model.module().name.clone();
            let (_, step) = model.entry_point("train_step").unwrap_or_else(|e| panic!("{e}"));
            let lowered = model.lower(step, 8).unwrap_or_else(|e| panic!("{e}"));
            for kernel in model.schedule(&lowered).kernels {
                for (stage, schedule) in kernel.stages.iter().zip(&kernel.schedule.stages) {
                    let Some(fold) = &stage.fold else { continue };
                    let is_product = fold.accumulators.iter().any(|a| matches!(a.op, FoldOp::Dot(..)));
                    let elements = points([&kernel.axes, &stage.axes, &fold.axes].into_iter().flatten());
                    let is_scalar = matches!(schedule, StageSchedule::Scalar);
                    assert!(
                        !(is_scalar && is_product) || elements < 1 << 20,
                        "`{name}` for {level}: {kernel:?}"
                    );
                }
            }
        }
    }
}

/// Code for another machine is freestanding: entry points are all that an object has to give, and it asks for nothing.
#[test]
fn objects_of_all_entry_points_have_no_undefined_symbol() {
    for (triple, level) in [
        ("x86_64-unknown-linux-gnu", "x86-64-v2"),
        ("x86_64-unknown-linux-gnu", "x86-64-v3"),
        ("x86_64-unknown-linux-gnu", "x86-64-v4"),
        ("aarch64-unknown-linux-gnu", "generic"),
        ("riscv64gc-unknown-linux-gnu", "generic"),
    ] {
        let target = Target::parse(triple, level).unwrap();
        for model in networks(&target).into_iter().filter(|m| level == "x86-64-v3" || !is_large(m)) {
            let name = &model.module().name;
            let options = ArtefactOptions {
                name: name.clone(),
                entries: Vec::new(),
                batch: "33".parse().unwrap(),
                weights: Weights::External,
                threads: true,
            };
            let (source, _) =
                artefact_source(model.module(), &model, &options).unwrap_or_else(|e| panic!("{e}"));
            let artefact = artefact::compile(&source, std::slice::from_ref(&target))
                .unwrap_or_else(|e| panic!("`{name}` for {target}: {e}"));
            let file = object::File::parse(&*artefact.object.bytes).unwrap();
            let undefined = file.symbols().filter(|s| s.is_undefined()).map(|s| s.name().unwrap());
            // The first symbol of an ELF file is the null symbol, and refers to nothing.
            let undefined: Vec<&str> = undefined.filter(|name| !name.is_empty()).collect();
            assert_eq!(undefined, [""; 0], "`{name}` for {target}");
            assert!(source.entries.len() >= 3, "`{name}` has entry points");
            for entry in &source.entries {
                let symbol = file.symbol_by_name(&format!("{name}_raw_{}", entry.name));
                assert!(symbol.is_some_and(|s| s.is_global() && s.is_definition()), "{}", entry.name);
            }
        }
    }
}

/// No arena is larger than 1.15 times the most bytes that are alive at once, below which none can be.
#[test]
fn arenas_are_within_a_seventh_of_the_lower_bound() {
    for model in networks(&Target::host().unwrap()) {
        let variables = StateLayout::new(model.variables()).unwrap().offsets();
        for (_, f) in model.entry_points() {
            let all = [1, 2, 3, 7, 17, 33, 64, 100, 255, 1000];
            for n in if is_large(&model) { vec![1, 32] } else { all.to_vec() } {
                let mut kernels = model.lower(f, n).unwrap_or_else(|e| panic!("{e}")).kernels;
                memory::pad_rows(&mut kernels);
                memory::order(&mut kernels);
                memory::drop_copies(&mut kernels);
                let plan = memory::plan(&kernels, f.params.len(), &variables).unwrap();
                let (arena, least, without) = (plan.arena_bytes, plan.peak.bytes, plan.without_reuse_bytes);
                let what = format!("`{}` of `{}` for {n}", f.name, model.module().name);
                assert!(100 * arena <= 115 * least, "{what}: the arena has {arena} bytes, {least} are alive");
                assert!(least <= arena && arena <= without.max(64), "{what}: {arena} of {without}");
            }
        }
    }
}
