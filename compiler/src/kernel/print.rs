//! Kernel IR as text, in the grammar of [`parse`](super::parse()).

use std::fmt::{self, Display, Formatter};

use super::{
    Access, Affine, Axis, Body, Buffer, BufferId, BufferKind, Extent, Fold, FoldKind, FoldOp, Guard,
    Indirect, Inst, InstKind, Kernel, KernelFunction, Packed, Schedule, Stage, StageSchedule, Store,
};
use crate::tensor::{Scalar, Tensor};
use crate::text::quote;

impl Display for KernelFunction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "kernels @{} ", self.name)?;
        if let Some(largest) = self.largest {
            write!(f, "(n <= {largest}) ")?;
        }
        writeln!(f, "{{")?;
        for (id, buffer) in &self.buffers {
            write_buffer(f, id, buffer)?;
        }
        for (n, site) in self.checks.iter().enumerate() {
            writeln!(f, "  check {n} {} {} < {}", quote(&site.name), Extents(&site.shape), site.bound)?;
        }
        for kernel in &self.kernels {
            write!(f, "{kernel}")?;
        }
        f.write_str("}\n")
    }
}

fn write_buffer(f: &mut Formatter<'_>, id: BufferId, buffer: &Buffer) -> fmt::Result {
    write!(f, "  buffer {id} {} : {}{} ", quote(&buffer.name), buffer.dtype, Extents(&buffer.shape))?;
    if let Some(pitch) = buffer.pitch {
        write!(f, "pitch {pitch} ")?;
    }
    match &buffer.kind {
        BufferKind::Param(n) => writeln!(f, "param {n}"),
        BufferKind::Result(n) => writeln!(f, "result {n}"),
        BufferKind::Variable(n) => writeln!(f, "variable {n}"),
        BufferKind::Next(n) => writeln!(f, "next {n}"),
        BufferKind::Constant(tensor) => write_constant(f, tensor),
        BufferKind::RandomState => writeln!(f, "random_state"),
        BufferKind::Alias(of) => writeln!(f, "alias {of}"),
        BufferKind::Temp => writeln!(f, "temp"),
        BufferKind::Local => writeln!(f, "local"),
    }
}

/// All elements; more than a line holds go on lines of their own.
fn write_constant(f: &mut Formatter<'_>, tensor: &Tensor) -> fmt::Result {
    const PER_LINE: usize = 12;
    let wraps = tensor.len() > PER_LINE;
    f.write_str("constant [")?;
    for (n, element) in tensor.scalars().enumerate() {
        match n % PER_LINE {
            0 if wraps => write!(f, "{}\n    {element}", if n > 0 { "," } else { "" })?,
            0 => write!(f, "{element}")?,
            _ => write!(f, ", {element}")?,
        }
    }
    f.write_str(if wraps { "\n  ]\n" } else { "]\n" })
}

/// `[2,3]`.
struct Extents<'a, E>(&'a [E]);

impl<E: Display> Display for Extents<'_, E> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        write_list(f, ",", self.0, |f, e| write!(f, "{e}"))?;
        f.write_str("]")
    }
}

fn write_list<T>(
    f: &mut Formatter<'_>,
    separator: &str,
    items: impl IntoIterator<Item = T>,
    write_item: impl Fn(&mut Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    for (n, item) in items.into_iter().enumerate() {
        if n > 0 {
            f.write_str(separator)?;
        }
        write_item(f, item)?;
    }
    Ok(())
}

/// `(i2 < 10, i3 < 20) ` for axes numbered from `first`; nothing if there are none.
struct Axes<'a> {
    first: Axis,
    extents: &'a [Extent],
}

impl Display for Axes<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.extents.is_empty() {
            return Ok(());
        }
        f.write_str("(")?;
        write_list(f, ", ", self.extents.iter().enumerate(), |f, (n, e)| {
            write!(f, "i{} < {e}", self.first + n)
        })?;
        f.write_str(") ")
    }
}

impl Display for Kernel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "  kernel {} {}{{", self.name, Axes { first: 0, extents: &self.axes })?;
        if !self.origin.is_empty() {
            f.write_str("    origin ")?;
            write_list(f, ", ", &self.origin, |f, name| f.write_str(&quote(name)))?;
            f.write_str("\n")?;
        }
        for stage in &self.stages {
            write_stage(f, self.axes.len(), stage)?;
        }
        write_schedule(f, &self.schedule)?;
        f.write_str("  }\n")
    }
}

fn write_stage(f: &mut Formatter<'_>, kernel_axes: usize, stage: &Stage) -> fmt::Result {
    writeln!(f, "    stage {}{{", Axes { first: kernel_axes, extents: &stage.axes })?;
    if let Some(fold) = &stage.fold {
        write_fold(f, kernel_axes + stage.axes.len(), fold)?;
    }
    write_body(f, "      ", &stage.body)?;
    for store in &stage.stores {
        writeln!(f, "      {store}")?;
    }
    f.write_str("    }\n")
}

fn write_fold(f: &mut Formatter<'_>, first: Axis, fold: &Fold) -> fmt::Result {
    f.write_str(match fold.kind {
        FoldKind::Reduce => "      fold reduce ",
        FoldKind::Scan => "      fold scan ",
    })?;
    if fold.lanes != 1 {
        write!(f, "lanes {} ", fold.lanes)?;
    }
    writeln!(f, "{}{{", Axes { first, extents: &fold.axes })?;
    write_body(f, "        ", &fold.body)?;
    for (n, accumulator) in fold.accumulators.iter().enumerate() {
        writeln!(f, "        acc{n} = {} : {}", accumulator.op, accumulator.dtype)?;
    }
    f.write_str("      }\n")
}

impl Display for FoldOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            FoldOp::Sum(a) => write!(f, "sum {a}"),
            FoldOp::Prod(a) => write!(f, "prod {a}"),
            FoldOp::Max(a) => write!(f, "max {a}"),
            FoldOp::Min(a) => write!(f, "min {a}"),
            FoldOp::Dot(a, b) => write!(f, "dot {a}, {b}"),
            FoldOp::ArgMax(a) => write!(f, "argmax {a}"),
            FoldOp::ArgMin(a) => write!(f, "argmin {a}"),
        }
    }
}

fn write_body(f: &mut Formatter<'_>, indent: &str, body: &Body) -> fmt::Result {
    body.insts.iter().try_for_each(|(id, inst)| writeln!(f, "{indent}{id} = {inst}"))
}

impl Display for Inst {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            InstKind::Const(value) => write!(f, "const {value}")?,
            InstKind::Index(expr) => write!(f, "index {expr}")?,
            InstKind::Extent(extent) => write!(f, "extent {extent}")?,
            InstKind::Load(access) => write!(f, "load {access}")?,
            InstKind::Acc { index, before } => {
                write!(f, "acc{index}{}", if *before { " before" } else { "" })?
            }
            InstKind::Unary(op, a) => write!(f, "{} {a}", op.name())?,
            InstKind::Binary(op, a, b) => write!(f, "{} {a}, {b}", op.name())?,
            InstKind::Fma(a, b, c) => write!(f, "fma {a}, {b}, {c}")?,
            InstKind::Compare(op, a, b) => write!(f, "{} {a}, {b}", op.name())?,
            InstKind::Select(c, a, b) => write!(f, "select {c}, {a}, {b}")?,
            InstKind::Convert(a) => write!(f, "convert {a}")?,
            InstKind::Bitcast(a) => write!(f, "bitcast {a}")?,
            InstKind::InBounds(guards) => {
                f.write_str("in_bounds")?;
                write_guards(f, guards)?;
            }
            InstKind::Check { value, site, position } => {
                write!(f, "check {value} site {site} at {position}")?
            }
            InstKind::Philox { key, seed, step, element, word } => {
                write!(f, "philox key {key} seed {seed} step {step} element {element} word {word}")?;
            }
        }
        write!(f, " : {}", self.dtype)
    }
}

impl Display for Guard {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "0 <= {} < {}", self.expr, self.below)
    }
}

/// A blank and the guards; nothing if there are none.
fn write_guards(f: &mut Formatter<'_>, guards: &[Guard]) -> fmt::Result {
    if !guards.is_empty() {
        f.write_str(" ")?;
    }
    write_list(f, ", ", guards, |f, guard| write!(f, "{guard}"))
}

/// `buf3[i0, i1 + s2]`, where `s2` is the indirect coordinate.
fn write_element(
    f: &mut Formatter<'_>,
    buffer: BufferId,
    index: &[Affine],
    indirect: Option<Indirect>,
) -> fmt::Result {
    write!(f, "{buffer}[")?;
    write_list(f, ", ", index.iter().enumerate(), |f, (axis, expr)| {
        match indirect.filter(|i| i.axis == axis) {
            Some(i) if *expr == Affine::constant(0) => write!(f, "{}", i.value),
            Some(i) => write!(f, "{expr} + {}", i.value),
            None => write!(f, "{expr}"),
        }
    })?;
    f.write_str("]")
}

impl Display for Access {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_element(f, self.buffer, &self.index, self.indirect)?;
        if !self.guards.is_empty() {
            f.write_str(" where")?;
            write_guards(f, &self.guards)?;
        }
        if !self.guards.is_empty() || self.fill != Scalar::zero(self.fill.dtype()) {
            write!(f, " else {}", self.fill)?;
        }
        Ok(())
    }
}

impl Display for Store {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, ", if self.add { "store_add" } else { "store" }, self.value)?;
        write_element(f, self.buffer, &self.index, self.indirect)
    }
}

fn write_schedule(f: &mut Formatter<'_>, schedule: &Schedule) -> fmt::Result {
    if *schedule == Schedule::default() {
        return Ok(());
    }
    f.write_str("    schedule {\n")?;
    if let Some(chunks) = schedule.chunks {
        writeln!(f, "      chunks i{} by {}", chunks.axis, chunks.block)?;
    }
    for axis in &schedule.each {
        writeln!(f, "      each i{axis}")?;
    }
    if schedule.threads {
        f.write_str("      threads\n")?;
    }
    for (n, stage) in schedule.stages.iter().enumerate() {
        writeln!(f, "      stage {n} {stage}")?;
    }
    f.write_str("    }\n")
}

impl Display for StageSchedule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            StageSchedule::Scalar => f.write_str("scalar"),
            StageSchedule::Strip { axis, lanes } => write!(f, "strip i{axis} lanes {lanes}"),
            StageSchedule::Tile { row_axis, col_axis, rows, cols, lanes, row_operand, pack } => write!(
                f,
                "tile rows i{row_axis} by {rows} cols i{col_axis} by {cols} lanes {lanes} broadcast {row_operand}{}",
                match pack {
                    Packed::Neither => "",
                    Packed::Streamed => " stream",
                    Packed::Vectors => " pack",
                    Packed::Both => " pack both",
                }
            ),
        }
    }
}
