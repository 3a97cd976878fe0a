//! The variables of a module: a list that finds names.

use std::collections::HashMap;
use std::ops::Deref;

use cranelift_entity::PrimaryMap;

use super::{Variable, VariableId};

/// The variables of a [`Module`](super::Module), in order of declaration. It reads as the [`PrimaryMap`] that it holds; a variable
/// can only be added, so that what is known of names stays true.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    list: PrimaryMap<VariableId, Variable>,
    /// The first variable of each name.
    by_name: HashMap<String, VariableId>,
}

impl Variables {
    /// Adds a variable behind the others. Its name should be new, which the verifier checks.
    pub fn push(&mut self, variable: Variable) -> VariableId {
        let name = variable.name.clone();
        let id = self.list.push(variable);
        self.by_name.entry(name).or_insert(id);
        id
    }

    /// The first variable with this name, in constant time.
    pub fn find(&self, name: &str) -> Option<VariableId> {
        self.by_name.get(name).copied()
    }
}

impl Deref for Variables {
    type Target = PrimaryMap<VariableId, Variable>;

    fn deref(&self) -> &PrimaryMap<VariableId, Variable> {
        &self.list
    }
}

impl Extend<Variable> for Variables {
    fn extend<I: IntoIterator<Item = Variable>>(&mut self, variables: I) {
        for variable in variables {
            self.push(variable);
        }
    }
}

impl FromIterator<Variable> for Variables {
    fn from_iter<I: IntoIterator<Item = Variable>>(variables: I) -> Variables {
        let mut list = Variables::default();
        list.extend(variables);
        list
    }
}

impl<'a> IntoIterator for &'a Variables {
    type Item = (VariableId, &'a Variable);
    type IntoIter = cranelift_entity::Iter<'a, VariableId, Variable>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Place;
    use crate::graph::Call;
    use crate::types::{DType, TensorType};

    fn variable(name: &str, dtype: DType) -> Variable {
        let ty = TensorType::scalar(dtype);
        Variable { name: name.into(), ty, init: Call::word("zeros"), trainable: true, place: Place::Unknown }
    }

    #[test]
    fn names_find_the_first_of_them() {
        let mut variables: Variables =
            [variable("a", DType::F32), variable("b", DType::F64)].into_iter().collect();
        let c = variables.push(variable("c", DType::I32));
        variables.push(variable("a", DType::I64));
        assert_eq!(variables.len(), 4);
        assert_eq!(variables.find("c"), Some(c));
        assert_eq!(variables.find("a").map(|id| variables[id].ty.dtype), Some(DType::F32));
        assert_eq!(variables.find("d"), None);
    }
}
