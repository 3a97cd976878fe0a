//! Static libraries, each in the form that the tools of its system read, with an index of symbols.

use std::io::{self, Cursor};

use ar_archive_writer::{ArchiveKind, DEFAULT_OBJECT_READER, NewArchiveMember, write_archive_to_stream};
use bessemer_compiler::codegen::Target;

/// A member: name and content.
pub(super) type Member<'a> = (String, &'a [u8]);

/// The archive of some object files. The same members give the same bytes: there are no dates and owners in it.
///
/// # Errors
/// If an archive cannot hold them: a member of 10 GB.
pub(super) fn archive(members: &[Member<'_>], target: &Target) -> io::Result<Vec<u8>> {
    let kind = match &*target.triple().binary_format.into_str() {
        "macho" => ArchiveKind::Darwin,
        "coff" => ArchiveKind::Coff,
        _ => ArchiveKind::Gnu,
    };
    let members: Vec<NewArchiveMember<'_>> = members
        .iter()
        .map(|(name, content)| NewArchiveMember::new(content, &DEFAULT_OBJECT_READER, name.clone()))
        .collect();
    let mut archive = Cursor::new(Vec::new());
    write_archive_to_stream(&mut archive, &members, kind, false, None)?;
    Ok(archive.into_inner())
}
