//! Static libraries.
//!
//! Reference: ar(5), with GNU's long names and the symbol table of System V.

use bessemer_compiler::artefact::ObjectCode;

/// A member: name, content, and the symbols that it defines for others.
pub(super) struct Member<'a> {
    pub(super) name: String,
    pub(super) content: &'a [u8],
    pub(super) symbols: Vec<String>,
}

impl<'a> Member<'a> {
    /// An object file of the compiler.
    pub(super) fn of(name: String, object: &'a ObjectCode) -> Member<'a> {
        Member { name, content: &object.bytes, symbols: object.symbols.clone() }
    }
}

/// The archive of some members. The same members give the same bytes: there are no dates and owners in it.
///
/// # Panics
/// If the members exceed 4 GiB, beyond which this format has no offsets; the compiler's limits keep them below.
pub(super) fn archive(members: &[Member<'_>]) -> Vec<u8> {
    const MAGIC: &[u8] = b"!<arch>\n";
    const HEADER: usize = 60;
    let even = |n: usize| n.next_multiple_of(2);
    let mut names = Vec::new();
    let starts: Vec<usize> = members
        .iter()
        .map(|member| {
            let start = names.len();
            names.extend(format!("{}/\n", member.name).into_bytes());
            start
        })
        .collect();
    let symbols: Vec<(usize, &String)> =
        members.iter().enumerate().flat_map(|(at, m)| m.symbols.iter().map(move |s| (at, s))).collect();
    let table_size = 4 + 4 * symbols.len() + symbols.iter().map(|(_, s)| s.len() + 1).sum::<usize>();
    let mut at = MAGIC.len() + HEADER + even(table_size) + HEADER + even(names.len());
    let offsets: Vec<usize> = members
        .iter()
        .map(|member| {
            let start = at;
            at += HEADER + even(member.content.len());
            start
        })
        .collect();
    assert!(u32::try_from(at).is_ok(), "an archive of {at} bytes");

    let mut table = Vec::with_capacity(table_size);
    table.extend((symbols.len() as u32).to_be_bytes());
    table.extend(symbols.iter().flat_map(|(member, _)| (offsets[*member] as u32).to_be_bytes()));
    table.extend(symbols.iter().flat_map(|(_, symbol)| symbol.bytes().chain([0])));

    let mut out = MAGIC.to_vec();
    let mut put = |name: &str, content: &[u8]| {
        let dates = format!("{:<12}{:<6}{:<6}{:<8}", 0, 0, 0, 644);
        out.extend(format!("{name:<16}{dates}{:<10}`\n", content.len()).into_bytes());
        out.extend(content);
        out.resize(even(out.len()), b'\n');
    };
    put("/", &table);
    put("//", &names);
    for (member, start) in members.iter().zip(starts) {
        put(&format!("/{start}"), member.content);
    }
    out
}
