//! Addresses of data in Arm code for Windows. cranelift-object 0.135 cannot write their relocations, so they are taken out
//! while functions are defined, and put into the object file when it is complete. There is no table of addresses to load from,
//! as ELF has: where code loads an address, it computes it instead. That may be done since all is in one file.
//!
//! Reference: Microsoft, "PE Format", relocation types of ARM64.

use cranelift_codegen::binemit::Reloc;
use cranelift_module::{DataId, FuncId, ModuleReloc, ModuleRelocTarget};
use cranelift_object::ObjectProduct;
use cranelift_object::object::write::{Error, Relocation};
use cranelift_object::object::{RelocationFlags, pe};
use target_lexicon::{Architecture, BinaryFormat, Triple};

/// A relocation that was taken out of a function.
pub(super) struct Withheld {
    func: FuncId,
    reloc: ModuleReloc,
}

/// The type of a relocation in an object file, where cranelift-object cannot write it.
fn relocation_type(reloc: &ModuleReloc) -> Option<u16> {
    match reloc.kind {
        Reloc::Aarch64AdrPrelPgHi21 | Reloc::Aarch64AdrGotPage21 => Some(pe::IMAGE_REL_ARM64_PAGEBASE_REL21),
        Reloc::Aarch64AddAbsLo12Nc | Reloc::Aarch64Ld64GotLo12Nc => Some(pe::IMAGE_REL_ARM64_PAGEOFFSET_12A),
        _ => None,
    }
}

/// Takes the relocations that cannot be written from a function's, and keeps them in `withheld`.
pub(super) fn withhold(
    triple: &Triple,
    (func, code): (FuncId, &mut [u8]),
    relocs: &[ModuleReloc],
    withheld: &mut Vec<Withheld>,
) -> Vec<ModuleReloc> {
    let Triple { architecture, binary_format, .. } = triple;
    let is_concerned =
        matches!((architecture, binary_format), (Architecture::Aarch64(_), BinaryFormat::Coff));
    let (taken, rest): (Vec<_>, Vec<_>) =
        relocs.iter().cloned().partition(|reloc| is_concerned && relocation_type(reloc).is_some());
    for reloc in taken {
        if reloc.kind == Reloc::Aarch64Ld64GotLo12Nc {
            // `ldr xd, [xn]` becomes `add xd, xn, 0`: the registers are in the lower ten bits of both.
            let at = reloc.offset as usize;
            let registers = u32::from_le_bytes([code[at], code[at + 1], code[at + 2], code[at + 3]]) & 0x3ff;
            code[at..at + 4].copy_from_slice(&(0x9100_0000 | registers).to_le_bytes());
        }
        withheld.push(Withheld { func, reloc });
    }
    rest
}

/// Puts relocations that were taken out into the complete object file.
///
/// # Errors
/// What the object file cannot hold.
pub(super) fn restore(product: &mut ObjectProduct, withheld: &[Withheld]) -> Result<(), Error> {
    for Withheld { func, reloc } in withheld {
        let symbol = match reloc.name {
            ModuleRelocTarget::User { namespace: 0, index } => {
                product.function_symbol(FuncId::from_u32(index))
            }
            ModuleRelocTarget::User { index, .. } => product.data_symbol(DataId::from_u32(index)),
            _ => continue,
        };
        let function = product.function_symbol(*func);
        let function = product.object.symbol(function);
        let (Some(section), Some(typ)) = (function.section.id(), relocation_type(reloc)) else { continue };
        let offset = function.value + u64::from(reloc.offset);
        let flags = RelocationFlags::Coff { typ };
        product.object.add_relocation(section, Relocation { offset, symbol, addend: reloc.addend, flags })?;
    }
    Ok(())
}
