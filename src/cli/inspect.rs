//! `bessemer inspect`: what the compiler makes of a model, at every stage.

use std::collections::HashMap;
use std::fmt::Write;

use bessemer::Error;
use bessemer::compile::{Lowered, Model};
use bessemer::compiler::listing;
use bessemer::compiler::lower::lower;
use bessemer::compiler::program::Entry;
use bessemer::compiler::schedule;
use bessemer::graph::{Function, Module};
use bessemer::initializers;
use clap::ValueEnum;

use super::table::{Align, Table, count, grouped};
use super::{Failure, ModelArgs, print};

/// Show what the compiler makes of a model
///
/// Without --stage, a table of the nodes of every entry point, how long the passes took, and what was fused.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// What to show
    #[arg(long, value_name = "STAGE")]
    stage: Option<Stage>,
    /// Show this entry point only; default: all but `init`
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
    /// Batch size, the N in the model
    #[arg(long, value_name = "N", default_value_t = 100)]
    batch: usize,
    /// Print graphs in the DOT language of Graphviz
    #[arg(long)]
    dot: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// The model as it was read
    Graph,
    /// With every training step as a function: forward, backward and update
    Differentiated,
    /// After the passes over graphs, for the batch size
    Optimised,
    /// Fused and scheduled kernels, and why they are run so
    Kernels,
    /// How the arena is used
    Memory,
    /// Cranelift's intermediate form
    Clif,
    /// Instructions
    Asm,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let graphs = [Stage::Graph, Stage::Differentiated, Stage::Optimised];
    if args.dot && !args.stage.is_some_and(|stage| graphs.contains(&stage)) {
        return Err(Failure::usage("error: `--dot` needs `--stage` graph, differentiated or optimised"));
    }
    let module = args.model.load()?;
    if args.stage == Some(Stage::Graph) {
        return print(&graph(args, &module)?);
    }
    let model = args.model.prepare(&module)?;
    if let (Some(Stage::Differentiated), None, false) = (args.stage, &args.entry, args.dot) {
        return print(&format!("{}\n", model.module().to_string().trim_end()));
    }
    let entries: Vec<&Function> = match &args.entry {
        Some(name) => vec![model.entry_point(name)?.1],
        None => model.entry_points().map(|(_, f)| f).filter(|f| f.name != initializers::FUNCTION).collect(),
    };
    for (n, function) in entries.into_iter().enumerate() {
        let text = show(args, &module, &model, function)?;
        print(&format!("{}{}\n", if n > 0 { "\n" } else { "" }, text.trim_end()))?;
    }
    Ok(())
}

/// The module as it was read, or functions of it.
fn graph(args: &Args, module: &Module) -> Result<String, Failure> {
    let functions: Vec<&Function> = match &args.entry {
        None if !args.dot => return Ok(format!("{}\n", module.to_string().trim_end())),
        None => module.functions.values().collect(),
        Some(name) => match module.function(name) {
            Some(id) => vec![&module.functions[id]],
            None => {
                return Err(Failure::usage(format!(
                    "error: there is no function `{name}` in `{}`; training steps are derived: see `--stage differentiated`",
                    args.model.model.display()
                )));
            }
        },
    };
    Ok(functions.into_iter().map(|f| format!("{}\n", text(args, f).trim_end())).collect())
}

fn text(args: &Args, function: &Function) -> String {
    if args.dot { function.to_dot() } else { function.to_string() }
}

fn show(args: &Args, module: &Module, model: &Model, function: &Function) -> Result<String, Error> {
    let stage = args.stage;
    if matches!(stage, Some(Stage::Graph | Stage::Differentiated)) {
        return Ok(text(args, function));
    }
    let lowered = model.lower(function, args.batch)?;
    match stage {
        Some(Stage::Optimised) => return Ok(text(args, &lowered.optimised)),
        Some(Stage::Kernels) => {
            let kernels = model.schedule(&lowered);
            return Ok(format!("{kernels}\n{}", schedule::explain(&kernels, model.target())));
        }
        _ => {}
    }
    let (compiled, listings) = listing::list(model.source(&lowered), model.target())
        .map_err(|error| Error::from_compile(error, model.module()))?;
    let entry = &compiled.program.entries[0];
    Ok(match stage {
        Some(Stage::Clif) => {
            let of_cranelift = listings.iter().filter(|l| !l.clif.is_empty());
            of_cranelift.map(|l| format!("; {}\n{}\n", l.symbol, l.clif)).collect()
        }
        Some(Stage::Asm) => listings.iter().map(|l| format!("{}:\n{}\n", l.symbol, l.assembly)).collect(),
        Some(Stage::Memory) => memory(entry, args.batch),
        _ => {
            let codegen = compiled.times.0.iter().map(|(step, time)| (*step, time.as_micros() as u64));
            let times = lowered.report.steps.iter().map(|s| (s.name, s.microseconds)).chain(codegen);
            summary(args, (module, model.module()), &lowered, entry, times)
        }
    })
}

/// Nodes, times and fusion of an entry point, of a module as it was `written` and `prepared`.
fn summary(
    args: &Args,
    (written, prepared): (&Module, &Module),
    lowered: &Lowered,
    entry: &Entry,
    times: impl Iterator<Item = (&'static str, u64)>,
) -> String {
    let mut text = format!("@{} at batch size {}\n\n", entry.name, args.batch);
    let mut say = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("texts can be written to");
    say(format_args!("{}", nodes(written, prepared, &lowered.optimised)));
    say(format_args!(
        "  {} kernels, {} floating-point operations, {} bytes moved, {} bytes of arena",
        entry.kernels,
        grouped(entry.flops),
        grouped(entry.bytes_moved),
        grouped(entry.memory.arena_bytes as u64)
    ));

    // A pass may run in several rounds.
    let mut passes: Vec<(&str, u64)> = Vec::new();
    for (name, time) in times {
        match passes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += time,
            None => passes.push((name, time)),
        }
    }
    let mut table = Table::new(&[("step", Align::Left), ("µs", Align::Right)]);
    for (name, time) in &passes {
        table.row([(*name).to_owned(), grouped(*time)]);
    }
    table.row(["total".to_owned(), grouped(passes.iter().map(|(_, time)| time).sum())]);
    say(format_args!("\n{table}"));

    let laws = &lowered.report.laws.counts;
    if !laws.is_empty() {
        let mut table = Table::new(&[("pass", Align::Left), ("law", Align::Left), ("applied", Align::Right)]);
        for ((pass, law), times) in laws {
            table.row([(*pass).to_owned(), (*law).to_owned(), grouped(*times as u64)]);
        }
        say(format_args!("{table}"));
    }
    say(format_args!("  kernels, in order of the function"));
    for kernel in &lowered.kernels.kernels {
        say(format_args!("    {}: {}", kernel.name, kernel.origin.join(", ")));
    }
    if !lowered.report.fusion.lines.is_empty() {
        say(format_args!("\n  fusion"));
        for line in &lowered.report.fusion.lines {
            say(format_args!("    {}", abbreviate(line)));
        }
    }
    text
}

/// A line of the fusion report, where of more than three nodes in a row only the first and the last are left.
fn abbreviate(line: &str) -> String {
    let sides = line.split(" into ").map(|side| {
        let nodes: Vec<&str> = side.split(" + ").collect();
        match nodes[..] {
            [first, _, _, .., last] => format!("{first} + {} more + {last}", nodes.len() - 2),
            _ => side.to_owned(),
        }
    });
    sides.collect::<Vec<_>>().join(" into ")
}

/// A row for each node: name, op, type, and what it costs when nothing is fused. Parameters are the elements of the
/// variables that the model declares, counted where they are first read.
fn nodes(written: &Module, prepared: &Module, function: &Function) -> Table {
    let mut flops: HashMap<String, u64> = HashMap::new();
    for kernel in &lower(prepared, function).kernels {
        if let Some(node) = kernel.origin.first() {
            *flops.entry(node.clone()).or_default() += kernel.flops();
        }
    }
    let columns = [("node", Align::Left), ("op", Align::Left), ("type", Align::Left)]
        .into_iter()
        .chain(["parameters", "FLOPs", "bytes"].map(|heading| (heading, Align::Right)));
    let mut table = Table::new(&columns.collect::<Vec<_>>());
    let names = function.value_names();
    let size = |value| {
        let ty = function.ty(value);
        let elements: u64 = ty.shape.bound().iter().map(|&e| e as u64).product();
        (elements, elements * ty.dtype.bytes() as u64)
    };
    for &param in &function.params {
        let ty = function.ty(param).to_string();
        table.row([
            format!("%{}", names[param]),
            "placeholder".into(),
            ty,
            String::new(),
            String::new(),
            count(size(param).1),
        ]);
    }
    let mut known: Vec<String> = Vec::new();
    let (mut all_parameters, mut all_flops, mut all_bytes) = (0, 0, 0);
    for node in function.nodes.values() {
        let result = node.results[0];
        let variables = if node.op.traits().reads_variable { node.op.symbols() } else { Vec::new() };
        let is_new = variables.iter().any(|v| !known.contains(v) && written.variable(v).is_some());
        let parameters = if is_new { size(result).0 } else { 0 };
        known.extend(variables.iter().cloned());
        let symbols: String = node.op.symbols().iter().map(|symbol| format!(" @{symbol}")).collect();
        let flops = flops.get(&format!("{} %{}", node.op.name(), names[result])).copied().unwrap_or(0);
        let bytes = if variables.is_empty() { node.results.iter().map(|&r| size(r).1).sum() } else { 0 };
        table.row([
            format!("%{}", names[result]),
            format!("{}{symbols}", node.op.name()),
            node.results.iter().map(|&r| function.ty(r).to_string()).collect::<Vec<_>>().join(", "),
            count(parameters),
            count(flops),
            count(bytes),
        ]);
        all_parameters += parameters;
        all_flops += flops;
        all_bytes += bytes;
    }
    table.row([
        "total".into(),
        String::new(),
        String::new(),
        grouped(all_parameters),
        grouped(all_flops),
        grouped(all_bytes),
    ]);
    table
}

/// Of what is alive at the peak, so much is shown; the rest is summed up.
const HOLDERS: usize = 24;

/// How an entry point uses its arena, and how much its threads have beside it.
fn memory(entry: &Entry, batch: usize) -> String {
    let report = &entry.memory;
    let mut table = Table::new(&[("arena", Align::Left), ("bytes", Align::Right)]);
    table.row(["without reuse".into(), grouped(report.without_reuse_bytes as u64)]);
    table.row(["with reuse".into(), grouped(report.arena_bytes as u64)]);
    table.row(["lower bound".into(), grouped(report.peak_bytes as u64)]);
    table.row(["beside it, for each thread".into(), grouped(entry.worker_bytes as u64)]);
    let peak = format!("alive at the peak, {}", report.peak_kernel);
    let mut holders = Table::new(&[
        (&peak, Align::Left),
        ("buffer", Align::Left),
        ("bytes", Align::Right),
        ("born in", Align::Left),
        ("last in", Align::Left),
        ("which computes", Align::Left),
    ]);
    for holder in report.holders.iter().take(HOLDERS) {
        // A value without a name has a number.
        let sigil = if holder.name.starts_with(|c: char| c.is_ascii_digit()) { "%" } else { "" };
        holders.row([
            format!("{sigil}{}", holder.name),
            holder.buffer.clone(),
            grouped(holder.bytes as u64),
            holder.first.clone(),
            holder.last.clone(),
            abbreviate(&holder.origin.join(" + ")),
        ]);
    }
    let rest = report.holders.iter().skip(HOLDERS);
    if let (count @ 1.., bytes) = (rest.clone().count(), rest.map(|holder| holder.bytes).sum::<usize>()) {
        let none = String::new;
        holders.row([format!("{count} more"), none(), grouped(bytes as u64), none(), none(), none()]);
    }
    let mut text = format!("@{} at batch size {batch}\n\n{table}\n{holders}", entry.name);
    if !report.copied.is_empty() {
        text.push_str("\n  variables that cannot be assigned in place, and are copied at the end\n");
        for name in &report.copied {
            text.push_str(&format!("    {name}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::abbreviate;

    #[test]
    fn long_lists_are_abbreviated() {
        assert_eq!(abbreviate("p: a + b into c + d + e"), "p: a + b into c + d + e");
        assert_eq!(abbreviate("p: a + b + c + d into e"), "p: a + 2 more + d into e");
        assert_eq!(
            abbreviate("`%3` is not fused: it has several users"),
            "`%3` is not fused: it has several users"
        );
    }
}
