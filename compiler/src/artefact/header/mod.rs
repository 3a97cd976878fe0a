//! The C header of a library.

use std::collections::BTreeSet;
use std::fmt::Write;

use bessemer_runtime::abi::{ABI_VERSION, ALIGN, Context, ElementType, ProgramLayout, Status};

use super::interface::functions;
use super::names::{self, ArgumentType};
use super::{ArtefactSource, EntrySource};
use crate::codegen::Target;
use crate::program::{self, NamedType, Program};
use crate::types::{DType, Extent, TensorType};

/// The first parameters of a freestanding entry point.
const RAW_MEMORY: &str = "NAME_context *context, void *state, void *scratch";

/// What the header of a library is made of.
pub(super) struct Header<'a> {
    source: &'a ArtefactSource,
    /// The library's name in capitals, for constants.
    capitals: String,
    /// The declarations of the entry points, in order.
    entries: Vec<String>,
}

impl<'a> Header<'a> {
    pub(super) fn new(source: &'a ArtefactSource) -> Header<'a> {
        let capitals = source.name.to_ascii_uppercase();
        let entries = source.entries.iter().map(|e| declaration(e, "", "NAME *model")).collect();
        Header { source, capitals, entries }
    }

    /// Identifies what can be called, and how: the FNV-1a hash of the declarations, and of all names and types.
    pub(super) fn hash(&self) -> u64 {
        let types = self.source.entries.iter().flat_map(EntrySource::arguments);
        let types = types.chain(self.source.variables.iter().map(|v| &v.stored.variable));
        let lines = self.entries.iter().cloned().chain(types.map(|t| format!("{} : {}\n", t.name, t.ty)));
        lines.fold(0xcbf2_9ce4_8422_2325, |hash, line| {
            line.bytes().fold(hash, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
        })
    }

    /// A template with the library's name for `NAME`, and in capitals before a capital.
    fn named(&self, template: &str) -> String {
        let mut pieces = template.split("NAME");
        let mut text = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let is_constant = piece
                .strip_prefix('_')
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()));
            text += if is_constant { &self.capitals } else { &self.source.name };
            text += piece;
        }
        text
    }

    /// The header: all of it, or where there is no interface what is in the freestanding object file.
    pub(super) fn text(
        &self,
        program: &Program,
        layout: &ProgramLayout,
        targets: &[Target],
        has_interface: bool,
    ) -> String {
        let guard = format!("{}_H", self.capitals);
        let mut parts = vec![
            self.introduction(targets, has_interface),
            format!(
                "#ifndef {guard}\n#define {guard}\n\n#include <stddef.h>\n#include <stdint.h>\n\n\
                 #ifdef __cplusplus\nextern \"C\" {{\n#endif\n"
            ),
            self.constants(),
            self.status(),
        ];
        if has_interface {
            parts.extend([
                self.types(),
                self.variables(),
                self.entry_points(program, |_, declaration| self.named(declaration)),
                self.interface(),
            ]);
        } else {
            parts.push(self.variables());
        }
        parts.push(self.freestanding(layout));
        let raw = |entry: &EntrySource| self.named(&declaration(entry, "raw_", RAW_MEMORY));
        parts.push(match has_interface {
            true => self.source.entries.iter().map(raw).collect::<String>() + "\n",
            false => self.entry_points(program, |entry, _| raw(entry)),
        });
        parts.push(format!("#ifdef __cplusplus\n}}\n#endif\n\n#endif /* {guard} */\n"));
        parts.join("\n")
    }

    fn introduction(&self, targets: &[Target], has_interface: bool) -> String {
        let triple = targets.first().map(|t| t.triple().to_string()).unwrap_or_default();
        let levels = targets.iter().map(Target::cpu).collect::<Vec<_>>().join(", ");
        let mut text = self.named(&format!(
            "/*\n * NAME: a model compiled by Bessemer {} for {triple} ({levels}).\n *\n\
             \x20* This file was made together with the library that it declares. Make it again rather than change it.\n *\n",
            env!("CARGO_PKG_VERSION")
        ));
        text += " * Example, without the code that looks at each status:\n *\n";
        for line in self.example(has_interface).lines() {
            text += &format!(" *     {line}\n").replace("     \n", "\n");
        }
        text += match has_interface {
            true => {
                " *\n * Link with the shared library; or with the static library, and then with -pthread too. The object file\n\
                 \x20* alone has the functions at the end only, which need no system.\n"
            }
            false => " *\n * Link with the object file or the static library.\n",
        };
        text += &self.named(
            " *\n * Ownership: an instance owns its memory. Arguments stay the caller's; nothing is kept after a call.\n\
             \x20* Tensors are dense and row-major. Arguments that are written must not overlap any other.\n *\n\
             \x20* Errors: functions give a NAME_status. Whatever it is but NAME_OK, variables are as they were, and\n\
             \x20* NAME_last_error() says why; results then hold anything.\n *\n\
             \x20* Threads: instances are independent. On one instance, calls that only read variables may run at the\n\
             \x20* same time; a call that changes variables gives NAME_BUSY while any other is in progress, and so do\n\
             \x20* others while it is. Only NAME_destroy must not overlap anything.\n */",
        );
        text
    }

    /// A few lines that train, or else predict.
    fn example(&self, has_interface: bool) -> String {
        let (start, prefix, first, end) = match has_interface {
            true => (
                "NAME *model;\nNAME_create(&model);\nNAME_init(model, 1);\n",
                "",
                "model",
                "NAME_save(model, \"NAME.safetensors\");\nNAME_destroy(model);\n",
            ),
            false => (
                "static _Alignas(NAME_ALIGN) unsigned char state[NAME_STATE_BYTES];\n\
                 static _Alignas(NAME_ALIGN) unsigned char scratch[NAME_SCRATCH_BYTES(1)];\n\
                 NAME_raw_init(NULL, state, scratch, 1);\n",
                "raw_",
                "NULL, state, scratch",
                "",
            ),
        };
        let mut text = self.named(start);
        let is_training = |e: &&EntrySource| e.name.contains("train") || e.name.contains("step");
        let entry = self.source.entries.iter().find(is_training).or(self.source.entries.first());
        if let Some(entry) = entry {
            let n = entry.variants.last().map_or(1, |v| v.last);
            let mut call = vec![first.to_owned()];
            call.extend(entry.is_symbolic.then(|| n.to_string()));
            for ((tensor, passed), name) in entry.c_arguments().zip(names::arguments(entry)) {
                let c = c_type(tensor.ty.dtype);
                let extents: String =
                    extents(&tensor.ty, &n.to_string()).iter().map(|e| format!("[{e}]")).collect();
                let is_scalar = extents.is_empty();
                writeln!(text, "{c} {name}{extents};").expect("texts can be written to");
                call.push(if is_scalar && passed == ArgumentType::Address {
                    format!("&{name}")
                } else {
                    match tensor.ty.rank() {
                        0 | 1 => name,
                        _ => format!("{}{name}{}", "&", "[0]".repeat(tensor.ty.rank())),
                    }
                });
            }
            let name = names::identifier(&entry.name);
            writeln!(text, "{}_{prefix}{name}({});", self.source.name, call.join(", "))
                .expect("texts can be written to");
        }
        text + &self.named(end)
    }

    fn constants(&self) -> String {
        let sizes =
            self.source.variables.iter().filter(|v| v.is_trained).map(|v| bytes(&v.stored.variable.ty));
        self.named(&format!(
            "/* Version of the functions' conventions, and what tells these functions from those of other models. */\n\
             #define NAME_ABI_VERSION {ABI_VERSION}u\n\
             #define NAME_INTERFACE UINT64_C(0x{:016x})\n\n\
             /* Bytes of all parameters together: see NAME_get_parameters. */\n\
             #define NAME_PARAMETER_BYTES UINT64_C({})\n",
            self.hash(),
            sizes.sum::<u64>(),
        ))
    }

    fn status(&self) -> String {
        let line = |status: Status| {
            let word = constant_name(&format!("{status:?}"));
            format!("    {}_{word} = {}", self.capitals, status.code())
        };
        let comment = |status: Status| format!(" /* {} */\n", status.text());
        let last = Status::ALL.len() - 1;
        let lines = Status::ALL.iter().enumerate();
        let lines: String = lines
            .map(|(at, &status)| line(status) + if at < last { "," } else { "" } + &comment(status))
            .collect();
        self.named(&format!("/* How a call ended. */\ntypedef enum NAME_status {{\n{lines}}} NAME_status;\n"))
    }

    fn types(&self) -> String {
        let constant =
            |dtype: ElementType| format!("    NAME_{} = {}", dtype.name().to_ascii_uppercase(), dtype as u32);
        let dtypes = ElementType::ALL.map(constant).join(",\n");
        self.named(&include_str!("types.h").replace("DTYPES", &dtypes))
    }

    fn variables(&self) -> String {
        let mut text = "/*\n * Variables, in order: name, type, number of elements.\n *\n".to_owned();
        for variable in &self.source.variables {
            let NamedType { name, ty } = &variable.stored.variable;
            let elements = bytes(ty) / ty.dtype.bytes() as u64;
            let what = match (variable.is_trained, variable.is_constant) {
                (true, _) => ", a parameter",
                (_, true) => ", a constant of training",
                _ => "",
            };
            writeln!(text, " *     {}  {ty}  {elements}{what}", name.replace("*/", "* /"))
                .expect("texts can be written to");
        }
        text + " */\n"
    }

    /// Entry points with what there is to know of their arguments, declared as `declare` says.
    fn entry_points(&self, program: &Program, declare: impl Fn(&EntrySource, &str) -> String) -> String {
        let mut text = String::new();
        let mut facts = program.entries.iter();
        for (entry, declaration) in self.source.entries.iter().zip(&self.entries) {
            let facts: Vec<&program::Entry> = facts.by_ref().take(entry.variants.len()).collect();
            text += &self.entry_comment(entry, &facts);
            text += &declare(entry, declaration);
            text += "\n";
        }
        text
    }

    fn entry_comment(&self, entry: &EntrySource, facts: &[&program::Entry]) -> String {
        let changes = facts.iter().any(|f| f.exclusive);
        let does = if changes { "Changes variables." } else { "Changes no variable." };
        let mut text = format!("/*\n * `{}` of the model. {does}\n *\n", entry.name.replace("*/", "* /"));
        if entry.is_symbolic {
            let sizes = entry.variants.iter().map(|v| match v.first == v.last {
                true => v.last.to_string(),
                false => format!("{} to {}", v.first, v.last),
            });
            let sizes = sizes.collect::<Vec<_>>().join(", ");
            writeln!(text, " *     n: batch size, one of {sizes}").expect("texts can be written to");
        }
        for (at, (tensor, name)) in entry.arguments().zip(names::arguments(entry)).enumerate() {
            let shape = extents(&tensor.ty, "n").join(",");
            let direction = if at < entry.params.len() { "read" } else { "written" };
            let bound = facts.iter().flat_map(|f| &f.checks).find(|check| check.name == tensor.name);
            let bound = match bound {
                Some(check) if at < entry.params.len() => {
                    format!(", each from 0 to {}", check.bound.saturating_sub(1))
                }
                _ => String::new(),
            };
            writeln!(text, " *     {name}: {direction}, {}[{shape}]{bound}", tensor.ty.dtype)
                .expect("texts can be written to");
        }
        text + " */\n"
    }

    fn interface(&self) -> String {
        let mut text = String::new();
        for f in functions(self.source) {
            let params =
                f.params.iter().map(|(ty, name)| format!("{}{name}", spaced(ty))).collect::<Vec<_>>();
            let params = if params.is_empty() { "void".to_owned() } else { params.join(", ") };
            let doc = f.doc.replace('\n', "\n * ");
            text += &self.named(&format!("/* {doc} */\n{}NAME_{}({params});\n\n", spaced(f.result), f.name));
        }
        text
    }

    /// What is in the freestanding object file, but its entry points.
    fn freestanding(&self, layout: &ProgramLayout) -> String {
        let mut known = BTreeSet::new();
        let mut variables = String::new();
        for (at, variable) in self.source.variables.iter().enumerate() {
            let mut word = names::identifier(&variable.stored.variable.name).to_ascii_uppercase();
            while word == "COUNT" || !known.insert(word.clone()) {
                word = format!("{word}_{at}");
            }
            variables += &format!("    NAME_VARIABLE_{word} = {at},\n");
        }
        variables += &format!("    NAME_VARIABLE_COUNT = {}", self.source.variables.len());
        debug_assert_eq!(Context::SIZE, 128, "the structure in the template");
        // An empty array is no memory in C.
        let scratch = layout.scratch_bytes.max(ALIGN as u64);
        let text = include_str!("freestanding.h")
            .replace("ALIGNMENT", &ALIGN.to_string())
            .replace("(STATE)", &format!("({})", layout.state_size().unwrap_or(0)))
            .replace("(SCRATCH)", &format!("({scratch})"))
            .replace("(WORKER)", &format!("({})", layout.scratch_bytes_per_worker))
            .replace("VARIABLES", &variables);
        self.named(text.trim_end())
    }
}

/// `NAME_status NAME_ENTRY(…);`
fn declaration(entry: &EntrySource, prefix: &str, first: &str) -> String {
    let mut params = vec![first.to_owned()];
    params.extend(entry.is_symbolic.then(|| "size_t n".to_owned()));
    for (at, ((tensor, passed), name)) in entry.c_arguments().zip(names::arguments(entry)).enumerate() {
        let c = c_type(tensor.ty.dtype);
        params.push(match passed {
            ArgumentType::Value => format!("{c} {name}"),
            ArgumentType::Address if at < entry.params.len() => format!("const {c} *{name}"),
            ArgumentType::Address => format!("{c} *{name}"),
        });
    }
    format!("NAME_status NAME_{prefix}{}({});\n", names::identifier(&entry.name), params.join(", "))
}

/// A C type before a name.
fn spaced(ty: &str) -> String {
    if ty.ends_with('*') { ty.to_owned() } else { format!("{ty} ") }
}

fn c_type(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float",
        DType::F64 => "double",
        DType::F16 | DType::BF16 => "uint16_t",
        DType::I32 => "int32_t",
        DType::I64 => "int64_t",
        DType::U8 | DType::Bool => "uint8_t",
    }
}

/// The extents in C, with this for the batch size.
fn extents(ty: &TensorType, n: &str) -> Vec<String> {
    let extent = |extent: &Extent| match extent {
        Extent::Const(c) => c.to_string(),
        Extent::Batch(1) => n.to_owned(),
        Extent::Batch(c) => format!("{c}*{n}"),
    };
    ty.shape.0.iter().map(extent).collect()
}

/// Bytes of a type without batch size.
fn bytes(ty: &TensorType) -> u64 {
    super::describe::size(ty).map_or(0, |(bytes, _)| bytes)
}

/// `InvalidArgument` as `INVALID_ARGUMENT`.
fn constant_name(word: &str) -> String {
    let mut name = String::new();
    for (at, c) in word.char_indices() {
        if at > 0 && c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}
