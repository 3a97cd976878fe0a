//! What the stages of the compiler make of a text, as text.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;

use bessemer::compile::{Lowered, Model};
use bessemer::compiler::codegen::Target;
use bessemer::compiler::fuse;
use bessemer::compiler::graph::{Function, Module};
use bessemer::compiler::kernel::{BufferId, BufferKind, KernelFunction};
use bessemer::compiler::listing::{self, Listing};
use bessemer::compiler::memory::{self, Location};
use bessemer::compiler::passes::{self, Laws};
use bessemer::compiler::pipeline::{OptLevel, Options};
use bessemer::compiler::program::StateLayout;
use bessemer::compiler::schedule;

/// Name of the text in errors.
pub const NAME: &str = "golden.bsm";

/// What N is where a stage needs to know it.
const BATCH: usize = 6;

/// What code is made for unless a line `; target: TRIPLE LEVEL` says otherwise.
const TARGET: &str = "x86_64-unknown-linux-gnu x86-64-v2";

/// What a stage makes of a text. To add a stage, add an arm and a folder of its name.
pub fn run(stage: &str, source: &str) -> Result<String, String> {
    if stage == "errors" {
        return match Module::parse(NAME, source) {
            Ok(_) => Err("expected an error, but the text is right".into()),
            Err(errors) => Ok(errors.to_string()),
        };
    }
    let module = Module::parse(NAME, source).map_err(|e| e.to_string())?;
    let options = Options::new(OptLevel::O3).verify_each(true);
    match stage {
        "graph" => printed_again(&module),
        // With every training step as a function.
        "differentiated" => each(&module, options, source, |_, f| f.to_string()),
        // The functions after the pass.
        pass if passes::PASSES.contains(&pass) => Ok(functions(module.functions.values(), |f| {
            let shared = Rc::new(RefCell::new(module.clone()));
            passes::run(&shared, f, pass, &mut Laws::default()).to_string()
        })),
        // Lowered, with nothing done before or after.
        "kernels" => {
            let options = Options::new(OptLevel::O0).verify_each(true);
            each(&module, options, source, |model, f| lower(model, f).kernels.to_string())
        }
        // What the pass did and the kernels after it, where those before it have run and those behind it have not.
        pass if fuse::PASSES.contains(&pass) => {
            let at = fuse::PASSES.iter().position(|p| *p == pass).unwrap_or(0);
            let without = |passes: &[&str]| {
                let disable = |options: Options, pass: &&str| options.disable(pass).expect("it is a pass");
                passes.iter().fold(options.clone().enable(pass).expect("it is a pass"), disable)
            };
            let (before, after) = (without(&fuse::PASSES[at..]), without(&fuse::PASSES[at + 1..]));
            let before = model(&module, before, source)?;
            each(&module, after, source, |model, f| fused(&lower(&before, f), &lower(model, f)))
        }
        // For every batch size up to the one that others are bound to.
        "range" => each(&module, options, source, |model, f| {
            let lowered = model.lower_range(f, 1, BATCH).unwrap_or_else(|e| panic!("{e}"));
            model.schedule(&lowered).to_string()
        }),
        "memory" => each(&module, options, source, |model, f| plan(model, lower(model, f).kernels)),
        // The kernels, and why they are run so.
        "schedule" => each(&module, options, source, |model, f| {
            let kernels = model.schedule(&lower(model, f));
            format!("{kernels}{}", schedule::explain(&kernels, model.target()))
        }),
        "clif" => each(&module, options, source, |model, f| {
            listings(model, f).iter().map(|l| format!("{}:\n{}\n", l.symbol, l.clif)).collect()
        }),
        "asm" => each(&module, options, source, |model, f| {
            listings(model, f).iter().map(|l| format!("{}:\n{}\n", l.symbol, l.assembly)).collect()
        }),
        _ => Err(format!("there is no stage `{stage}`")),
    }
}

/// The text of a module, which must read back as one with the same text.
fn printed_again(module: &Module) -> Result<String, String> {
    let printed = module.to_string();
    let again =
        Module::parse(NAME, &printed).map_err(|e| format!("{e}\n\nin the printed text\n{printed}"))?;
    match again.to_string() == printed {
        true => Ok(printed),
        false => Err(format!("printed again, it is another text\n{printed}\n{again}")),
    }
}

fn model(module: &Module, options: Options, source: &str) -> Result<Model, String> {
    let target = source.lines().find_map(|line| line.strip_prefix("; target: ")).unwrap_or(TARGET);
    let (triple, level) = target.split_once(' ').ok_or("`; target:` needs a triple and a CPU level")?;
    let target = Target::parse(triple, level).map_err(|e| e.to_string())?;
    Model::new(module, options, target).map_err(|e| e.to_string())
}

/// What `print` makes of every function of a module, training steps included; not of the `init` that the compiler adds.
fn each(
    module: &Module,
    options: Options,
    source: &str,
    print: impl Fn(&Model, &Function) -> String,
) -> Result<String, String> {
    let model = model(module, options, source)?;
    let prepared = model.module();
    let count = module.functions.len() + module.trains.len();
    Ok(functions(prepared.functions.values().take(count), |f| print(&model, f)))
}

fn functions<'m>(
    functions: impl Iterator<Item = &'m Function>,
    print: impl Fn(&Function) -> String,
) -> String {
    functions.map(|f| print(f) + "\n").collect()
}

fn lower(model: &Model, function: &Function) -> Lowered {
    model.lower(function, BATCH).unwrap_or_else(|e| panic!("{e}"))
}

fn listings(model: &Model, function: &Function) -> Vec<Listing> {
    let source = model.source(&lower(model, function));
    listing::list(source, model.target()).unwrap_or_else(|e| panic!("{e}")).1
}

/// How many kernels and bytes a fusion pass leaves, what it says that it did, and the kernels.
fn fused(before: &Lowered, after: &Lowered) -> String {
    let size = |f: &KernelFunction| {
        let (count, bytes) = (f.kernels.len(), f.kernels.iter().map(|k| moved(f, k)).sum::<usize>());
        format!("{count} kernel{}, {bytes} bytes", if count == 1 { "" } else { "s" })
    };
    let mut text = format!("@{}: {} -> {}\n", after.bound.name, size(&before.kernels), size(&after.kernels));
    let known = &before.report.fusion.lines;
    for line in after.report.fusion.lines.iter().filter(|line| !known.contains(line)) {
        writeln!(text, "{line}").expect("texts can be written to");
    }
    text + &after.kernels.to_string()
}

/// Bytes of the buffers that a kernel reads and of those that it writes, but for local ones.
fn moved(f: &KernelFunction, kernel: &bessemer::compiler::kernel::Kernel) -> usize {
    let uses = f.uses(kernel);
    let buffers = uses.reads.iter().chain(&uses.writes).map(|&id| &f.buffers[id]);
    buffers.filter(|b| !matches!(b.kind, BufferKind::Local)).map(|b| b.bytes()).sum()
}

/// Where everything is stored that is not an argument or a constant, kernels in order of execution.
fn plan(model: &Model, mut f: KernelFunction) -> String {
    memory::pad_rows(&mut f);
    memory::order(&mut f);
    memory::drop_copies(&mut f);
    let params = f.buffers.values().filter(|b| matches!(b.kind, BufferKind::Param(_))).count();
    let state = StateLayout::new(model.variables()).unwrap_or_else(|e| panic!("{}", e.render(None)));
    let plan = memory::plan(&f, params, &state.offsets()).unwrap_or_else(|e| panic!("{}", e.render(None)));
    let (name, arena, without, peak) = (&f.name, plan.arena_bytes, plan.without_reuse_bytes, &plan.peak);
    let mut text = format!("@{name}: arena {arena}, without reuse {without}, at least {}\n", peak.bytes);
    let mut say = |line: String| text.push_str(&(line + "\n"));
    for kernel in &f.kernels {
        let uses = f.uses(kernel);
        let list = |ids: &[BufferId]| {
            ids.iter().map(|id| format!("{id} \"{}\"", f.buffers[*id].name)).collect::<Vec<_>>().join(", ")
        };
        say(format!("{} reads {}; writes {}", kernel.name, list(&uses.reads), list(&uses.writes)));
    }
    for (id, buffer) in f.buffers.iter().filter(|(_, b)| !matches!(b.kind, BufferKind::Alias(_))) {
        if let Location::Arena(offset) = plan.locations[id] {
            say(format!("{id} \"{}\" at {offset}, bytes {}", buffer.name, buffer.bytes()));
        }
    }
    let names: Vec<String> = model.variables().into_iter().map(|v| v.variable.name).collect();
    for &variable in &plan.in_place {
        say(format!("@{} in place", names[variable]));
    }
    for copy in &plan.copies {
        say(format!("@{} copied from {}", f.buffers[copy.from].name, copy.from));
    }
    text
}
