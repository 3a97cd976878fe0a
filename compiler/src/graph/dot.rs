//! A function as a graph in the DOT language of GraphViz, to look at.

use super::{Function, ValueDef, ValueId};
use crate::ops::attributes::Attribute;

impl Function {
    /// The function in the DOT language: parameters and results are ellipses, nodes boxes, assigned variables
    /// cylinders; an edge is a value, with its name and type.
    ///
    /// Reference: <https://graphviz.org/doc/info/lang.html>.
    pub fn to_dot(&self) -> String {
        let mut dot = format!("digraph {} {{\n", quote(&self.name));
        let mut line = |text: String| dot.push_str(&format!("  {text}\n"));
        let names = self.value_names();
        for (i, &param) in self.params.iter().enumerate() {
            let label = format!("%{}\n{}", names[param], self.ty(param));
            line(format!("p{i} [label={}, shape=ellipse];", quote(&label)));
        }
        for (id, node) in &self.nodes {
            let mut label = node.op.name().to_owned();
            for (name, value) in node.op.attributes() {
                match value {
                    Attribute::Symbol(_) => label.push_str(&format!(" {value}")),
                    _ => label.push_str(&format!("\n{name}={}", shorten(value.to_string()))),
                }
            }
            line(format!("n{} [label={}, shape=box];", id.as_u32(), quote(&label)));
        }
        let edge = |from: ValueId, to: String| {
            let source = match self.values[from].def {
                ValueDef::Param(i) => format!("p{i}"),
                ValueDef::Node(node, _) => format!("n{}", node.as_u32()),
            };
            let label = format!("%{}: {}", names[from], self.ty(from));
            format!("{source} -> {to} [label={}];", quote(&label))
        };
        for (id, node) in &self.nodes {
            for &operand in &node.operands {
                line(edge(operand, format!("n{}", id.as_u32())));
            }
        }
        for (i, result) in self.results.iter().enumerate() {
            line(format!("r{i} [label={}, shape=ellipse];", quote(&result.name)));
            line(edge(result.value, format!("r{i}")));
        }
        for (i, assign) in self.assigns.iter().enumerate() {
            line(format!("a{i} [label={}, shape=cylinder];", quote(&format!("@{}", assign.variable))));
            line(edge(assign.value, format!("a{i}")));
        }
        dot.push_str("}\n");
        dot
    }
}

/// A text in quotes. GraphViz reads `\n` as a line end and takes any other character after a backslash as such.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            '\n' => quoted.push_str("\\n"),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The beginning of the value of an attribute: a constant may have many elements.
fn shorten(mut text: String) -> String {
    const LONGEST: usize = 40;
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Module;

    #[test]
    fn a_function_with_everything() {
        let module = Module::parse(
            "t.bsm",
            "var @s/w : f32[2] = zeros\nfunc @f(%x: f32[N,2]) -> f32[N,2] {\n  %0 = read @s/w\n  \
             %1 = broadcast %0 {shape=[N,2]}\n  %2 = add %x, %1\n  assign @s/w, %0\n  return %2\n}",
        )
        .unwrap();
        let dot = module.functions.values().next().expect("there is a function").to_dot();
        let expected = r#"digraph "f" {
  p0 [label="%x\nf32[N,2]", shape=ellipse];
  n0 [label="read @s/w", shape=box];
  n1 [label="broadcast\nshape=[N,2]", shape=box];
  n2 [label="add", shape=box];
  n0 -> n1 [label="%0: f32[2]"];
  p0 -> n2 [label="%x: f32[N,2]"];
  n1 -> n2 [label="%1: f32[N,2]"];
  r0 [label="out", shape=ellipse];
  n2 -> r0 [label="%2: f32[N,2]"];
  a0 [label="@s/w", shape=cylinder];
  n0 -> a0 [label="%0: f32[2]"];
}
"#;
        assert_eq!(dot, expected);
    }

    #[test]
    fn quotes_hold_anything() {
        assert_eq!(quote("a\"b\\c\nd\\n"), "\"a\\\"b\\\\c\\nd\\\\n\"");
    }
}
