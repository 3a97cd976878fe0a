use super::attributes::{Symbol, op_struct};
use super::elementwise::expect_operands;
use super::sample::{Case, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::lower::LowerCx;
use crate::tensor::Tensor;
use crate::types::TensorType;

op_struct! {
    /// Value of a variable when the function was entered, written `read @w`.
    ///
    /// - C1 the module has a variable of this name; the result has its type.
    /// - C2 an assignment in the same function does not change the value: it takes effect when the function returns.
    ///
    /// # Errors
    /// E0304 if C1 fails.
    ///
    /// Reference: TensorFlow `ReadVariableOp`, with reads ordered before all assignments.
    Read = "read" {
        /// Name of the variable.
        variable: Symbol,
    }
}

impl OpDef for Read {
    const NAME: &'static str = "read";
    const TRAITS: OpTraits = OpTraits { reads_variable: true, ..OpTraits::PLAIN };
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, cx: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        expect_operands(Self::NAME, operands, 0)?;
        let name = &self.variable.0;
        match cx.module.variable(name) {
            Some(id) => Ok(vec![cx.module.variables[id].ty.clone()]),
            None => Err(Diagnostic::new("E0304", format!("there is no variable `@{name}`"))
                .help(format!("declare it: `var @{name} : f32[..] = zeros`"))),
        }
    }

    fn eval(&self, cx: &EvalCx<'_>, _: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        Ok(vec![(cx.variable)(&self.variable.0)])
    }

    fn vjp<'g>(&self, _: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        let buffer = cx.variable(&self.variable.0);
        cx.set_result(0, buffer);
    }

    fn sample(_: &mut Sampler) -> Vec<Case> {
        // The op laws give every module a variable `v` of type f32[2,3].
        vec![Case::smooth(Read { variable: Symbol("v".into()) }, vec![])]
    }
}
