//! `bessemer bench`: how long an entry point takes.

use std::time::{Duration, Instant};

use bessemer::compiler::program::{self, NamedType};
use bessemer::prelude::*;
use bessemer::room;
use bessemer::{Entry, Error};
use serde_json::json;

use super::table::{Align, Table, grouped};
use super::{Failure, ModelArgs, print};

/// Measure how long a step of an entry point takes
///
/// Feeds are random: floats uniform in 0..1; integers below the bound that the entry point checks them against, or else
/// zeros and ones. The variables start as `init` makes them. The checksum is of all variables after one run with each of
/// the sets of feeds that are taken in turn; it depends neither on the time that was measured nor on the threads.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Entry point; default: the first training step, or else the first function
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
    /// Batch size, the N in the model
    #[arg(long, value_name = "N", default_value_t = 100)]
    batch: usize,
    /// Threads that kernels run on; default: the cores that this process may use
    #[arg(long, value_name = "T")]
    threads: Option<u32>,
    /// How long to measure
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    seconds: f64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Feeds are taken in turn from so many sets, that a step does not find its own in the cache.
const SETS: usize = 4;

/// No more sets are made than fit in this many bytes, but one.
const FEED_BYTES: usize = 1 << 30;

pub fn run(args: &Args) -> Result<(), Failure> {
    if !(args.seconds > 0.0 && args.seconds <= 86_400.0) {
        return Err(Failure::usage("error: `--seconds` must be above 0 and at most 86400"));
    }
    let module = args.model.load()?;
    let name = match (&args.entry, module.trains.first(), module.functions.values().next()) {
        (Some(name), ..) => name.clone(),
        (None, Some(train), _) => train.name.clone(),
        (None, None, Some(function)) => function.name.clone(),
        (None, None, None) => return Err(Failure::usage("error: the model has no entry points")),
    };
    let mut builder = Session::builder(&module)
        .opt_level(args.model.opt_level.into())
        .target_cpu(args.model.target_cpu.as_str());
    for pass in args.model.enabled() {
        builder = builder.enable_pass(pass);
    }
    for pass in &args.model.disable_pass {
        builder = builder.disable_pass(pass.as_str());
    }
    if let Some(threads) = args.threads {
        builder = builder.threads(threads);
    }
    let session = builder.build().map_err(|error| match error.code() {
        "E0701" | "E0711" => Failure::usage(error),
        _ => error.into(),
    })?;
    let mut entry = session.entry(&name)?;
    let start = Instant::now();
    let facts = entry.compile(args.batch)?.clone();
    let compile = start.elapsed();
    session.init(1)?;

    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let bytes =
        facts.params.iter().map(|p| p.ty.shape.bound().iter().product::<usize>() * p.ty.dtype.bytes());
    let bytes = bytes.fold(0, usize::saturating_add);
    room(bytes).map_err(|status| Error::Status { action: format!("make feeds of {bytes} bytes"), status })?;
    let sets: Vec<Vec<(&str, Tensor)>> = (0..(FEED_BYTES / bytes.max(1)).clamp(1, SETS))
        .map(|_| facts.params.iter().map(|p| (p.name.as_str(), random(p, &facts, &mut numbers))).collect())
        .collect();
    let feeds: Vec<Vec<(&str, Feed<'_>)>> =
        sets.iter().map(|set| set.iter().map(|(name, tensor)| (*name, tensor.into())).collect()).collect();
    let mut times = measure(&mut entry, &feeds, Duration::from_secs_f64(args.seconds))?;
    times.sort_unstable();
    // How many runs there were is chance; what follows is the same whenever it is computed.
    session.init(1)?;
    for set in &feeds {
        entry.run(set)?;
    }
    let figures = Figures {
        entry: &facts,
        batch: args.batch,
        threads: session.threads(),
        compile,
        times: &times,
        last_result: first_result(&entry)?,
        checksum: checksum(&session)?,
        parameters: parameters(&session, &module),
    };
    print(&if args.json { figures.json() } else { figures.text() })
}

/// Runs for a while, after a tenth of it to warm up, and reads the first result after each run. Gives the time of each
/// run in nanoseconds.
fn measure(entry: &mut Entry, feeds: &[Vec<(&str, Feed<'_>)>], seconds: Duration) -> Result<Vec<u64>, Error> {
    let mut times = Vec::new();
    for (limit, is_measured) in [(seconds / 10, false), (seconds, true)] {
        let begin = Instant::now();
        for set in feeds.iter().cycle() {
            let start = Instant::now();
            entry.run(set)?;
            std::hint::black_box(first_result(entry)?);
            if is_measured {
                times.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
            }
            if begin.elapsed() >= limit {
                break;
            }
        }
    }
    Ok(times)
}

/// First element of the first result of the last run.
fn first_result(entry: &Entry) -> Result<Option<f64>, Error> {
    let first = entry.outputs()?.iter().next();
    Ok(first.and_then(|(_, tensor)| (!tensor.is_empty()).then(|| tensor.at(0).as_f64())))
}

/// Valid values for a parameter.
fn random(param: &NamedType, entry: &program::Entry, numbers: &mut Numbers) -> Tensor {
    let bound = entry.checks.iter().filter(|site| site.name == param.name).map(|site| site.bound).min();
    let bound = bound.unwrap_or(2) as f64;
    let shape = param.ty.shape.bound();
    let elements: usize = shape.iter().product();
    let dtype = param.ty.dtype;
    let range = if dtype.is_float() { 1.0 } else { bound };
    let draw = (0..elements).map(|_| {
        let number = numbers.unit() * range;
        Scalar::F64(if dtype.is_float() { number } else { number.floor() })
    });
    Tensor::from_scalars(dtype, &shape, draw)
}

/// Uniform numbers by SplitMix64.
///
/// Reference: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
struct Numbers(u64);

impl Numbers {
    /// In 0..1, a multiple of 2⁻²⁴, so that it is an f32 too.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f64 / (1u64 << 24) as f64
    }
}

/// FNV-1a hash of the bytes of all variables, so that a run can be compared with another bit for bit.
fn checksum(session: &Session) -> Result<u64, Error> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for variable in session.variables() {
        for byte in session.variable(&variable.name)?.to_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    Ok(hash)
}

/// Elements of the variables that the model declares, without slots of optimizers.
fn parameters(session: &Session, module: &Module) -> u64 {
    let declared = session.variables().filter(|v| module.variable(&v.name).is_some());
    declared.map(|v| v.ty.shape.bound().iter().map(|&e| e as u64).product::<u64>()).sum()
}

/// What was measured.
struct Figures<'a> {
    entry: &'a program::Entry,
    batch: usize,
    threads: u32,
    compile: Duration,
    /// Nanoseconds, sorted, at least one.
    times: &'a [u64],
    /// First element of the first result.
    last_result: Option<f64>,
    checksum: u64,
    parameters: u64,
}

impl Figures<'_> {
    /// Microseconds that this part of the runs did not exceed.
    fn quantile(&self, part: f64) -> f64 {
        let position = ((self.times.len() - 1) as f64 * part).round() as usize;
        self.times[position] as f64 / 1e3
    }

    fn gflops(&self) -> f64 {
        self.entry.flops as f64 / (self.quantile(0.5) * 1e3).max(1.0)
    }

    fn json(&self) -> String {
        let object = json!({
            "entry": self.entry.name,
            "batch": self.batch,
            "threads": self.threads,
            "compile_ms": self.compile.as_secs_f64() * 1e3,
            "runs": self.times.len(),
            "median_us": self.quantile(0.5),
            "p10_us": self.quantile(0.1),
            "p90_us": self.quantile(0.9),
            "flops": self.entry.flops,
            "gflops": self.gflops(),
            "arena_bytes": self.entry.memory.arena_bytes,
            "parameters": self.parameters,
            "last_result": self.last_result,
            "checksum": format!("{:016x}", self.checksum),
        });
        format!("{object}\n")
    }

    fn text(&self) -> String {
        let mut table = Table::new(&[("figure", Align::Left), ("value", Align::Right), ("", Align::Left)]);
        let mut say = |what: &str, value: String, unit: &str| table.row([what.into(), value, unit.into()]);
        say("compilation", format!("{:.1}", self.compile.as_secs_f64() * 1e3), "ms");
        say("runs", grouped(self.times.len() as u64), "");
        say("median", format!("{:.1}", self.quantile(0.5)), "µs");
        say("10% at most", format!("{:.1}", self.quantile(0.1)), "µs");
        say("90% at most", format!("{:.1}", self.quantile(0.9)), "µs");
        say("work", grouped(self.entry.flops), "FLOPs");
        say("speed", format!("{:.2}", self.gflops()), "GFLOP/s");
        say("arena", grouped(self.entry.memory.arena_bytes as u64), "bytes");
        say("parameters", grouped(self.parameters), "");
        if let Some(value) = self.last_result {
            say(&format!("last `{}`", self.entry.results[0].name), format!("{value:.6}"), "");
        }
        say("checksum of variables", format!("{:016x}", self.checksum), "");
        format!("@{} at batch size {} on {} threads\n\n{table}", self.entry.name, self.batch, self.threads)
    }
}
