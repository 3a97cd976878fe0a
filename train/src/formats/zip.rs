//! ZIP archives, as far as NPZ files need them: stored and deflated members, ZIP64 sizes.
//!
//! The directory at the end of the file is the authority; of the local headers only the lengths of their
//! variable fields are used.

use std::io::{Read, Seek, SeekFrom};

use flate2::CrcReader;
use flate2::read::DeflateDecoder;

use super::{Source, whole};
use crate::error::{DatasetError, Place, Position};

/// The longest directory that is read, in bytes.
const MAX_DIRECTORY: u64 = 1 << 24;

/// The length of the end record without its comment.
const END_LENGTH: u64 = 22;

const FETCH_AGAIN: &str = "fetch the file again, or save it again with `numpy.savez`";

/// A member of an archive, as the directory describes it.
#[derive(Debug)]
pub(super) struct Member {
    pub name: String,
    deflated: bool,
    checksum: u32,
    packed: u64,
    unpacked: u64,
    offset: u64,
}

impl Member {
    /// An error in this member of the archive `file`.
    pub fn malformed(&self, file: &str, what: &str, help: &str) -> DatasetError {
        DatasetError::Malformed {
            place: whole(&self.file(file)),
            what: what.to_owned(),
            help: help.to_owned(),
        }
    }

    /// The name of this member in errors.
    fn file(&self, archive: &str) -> String {
        format!("{archive} ({})", self.name)
    }
}

/// An archive being read.
struct Archive<'r, R> {
    reader: &'r mut R,
    file: &'r str,
}

impl<R: Read + Seek> Archive<'_, R> {
    fn malformed(&self, offset: u64, what: &str) -> DatasetError {
        DatasetError::Malformed {
            place: Place { file: self.file.to_owned(), position: Position::Byte(offset) },
            what: what.to_owned(),
            help: FETCH_AGAIN.to_owned(),
        }
    }

    fn length(&mut self) -> Result<u64, DatasetError> {
        let length = self.reader.seek(SeekFrom::End(0));
        length.map_err(|error| DatasetError::Io { place: whole(self.file), error })
    }

    /// Reads `length` bytes at `offset`: no more than are there, so that the length may be any that was checked
    /// against that of the file.
    fn read_at(&mut self, offset: u64, length: u64) -> Result<Vec<u8>, DatasetError> {
        let mut bytes = Vec::new();
        self.reader
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.reader.by_ref().take(length).read_to_end(&mut bytes))
            .map_err(|error| DatasetError::Io { place: whole(self.file), error })?;
        if (bytes.len() as u64) < length {
            return Err(self.malformed(offset + bytes.len() as u64, "the archive ends early"));
        }
        Ok(bytes)
    }

    /// The offset and length of the directory and its number of entries.
    fn end(&mut self) -> Result<(u64, u64, u64), DatasetError> {
        let length = self.length()?;
        if length < END_LENGTH {
            return Err(self.malformed(0, "not an NPZ file: too short for a ZIP archive"));
        }
        // A comment of up to 65535 bytes may follow the end record.
        let tail = length.min(END_LENGTH + 0xffff);
        let start = length - tail;
        let bytes = self.read_at(start, tail)?;
        let mut candidates = (0..=bytes.len() - END_LENGTH as usize).rev();
        let at = candidates.find(|at| {
            let record = &bytes[*at..];
            record.starts_with(b"PK\x05\x06")
                && record.len() as u64 == END_LENGTH + u64::from(u16_at(record, 20))
        });
        let Some(at) = at else {
            return Err(self.malformed(0, "not an NPZ file: no end of a ZIP directory"));
        };
        let record = &bytes[at..];
        let (entries, size, offset) = (u16_at(record, 10), u32_at(record, 12), u32_at(record, 16));
        if entries != u16::MAX && size != u32::MAX && offset != u32::MAX {
            return Ok((offset.into(), size.into(), entries.into()));
        }
        // ZIP64: a locator before the end record points at a longer end record.
        let end = start + at as u64;
        let locator = match end.checked_sub(20) {
            Some(at) => self.read_at(at, 20)?,
            None => Vec::new(),
        };
        if !locator.starts_with(b"PK\x06\x07") {
            return Ok((offset.into(), size.into(), entries.into()));
        }
        let at = u64_at(&locator, 8);
        if at.checked_add(56).is_none_or(|after| after > end) {
            return Err(self.malformed(end - 12, "the end record of ZIP64 lies outside the archive"));
        }
        let record = self.read_at(at, 56)?;
        if !record.starts_with(b"PK\x06\x06") {
            return Err(self.malformed(at, "expected the end record of ZIP64"));
        }
        Ok((u64_at(&record, 48), u64_at(&record, 40), u64_at(&record, 32)))
    }

    fn members(&mut self) -> Result<Vec<Member>, DatasetError> {
        let (offset, size, entries) = self.end()?;
        let length = self.length()?;
        if size > MAX_DIRECTORY || offset.checked_add(size).is_none_or(|end| end > length) {
            return Err(self.malformed(offset, "the directory lies outside the archive or is too long"));
        }
        let bytes = self.read_at(offset, size)?;
        let mut members = Vec::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let at = offset + (bytes.len() - rest.len()) as u64;
            let (member, after) = member(rest).map_err(|what| self.malformed(at, what))?;
            members.push(member);
            rest = after;
        }
        if members.len() as u64 != entries {
            return Err(self.malformed(offset, "the directory does not have as many entries as its end says"));
        }
        Ok(members)
    }

    /// Where the data of a member begin.
    fn data(&mut self, member: &Member) -> Result<u64, DatasetError> {
        const LOCAL_LENGTH: u64 = 30;
        let length = self.length()?;
        if member.offset.checked_add(LOCAL_LENGTH).is_none_or(|end| end > length) {
            return Err(self.malformed(member.offset, "a member lies outside the archive"));
        }
        let local = self.read_at(member.offset, LOCAL_LENGTH)?;
        if !local.starts_with(b"PK\x03\x04") {
            return Err(self.malformed(member.offset, "expected the header of a member"));
        }
        let data =
            member.offset + LOCAL_LENGTH + u64::from(u16_at(&local, 26)) + u64::from(u16_at(&local, 28));
        if data.checked_add(member.packed).is_none_or(|end| end > length) {
            return Err(self.malformed(data, "the data of a member lie outside the archive"));
        }
        Ok(data)
    }
}

/// The members of an archive, in the order of its directory.
pub(super) fn members<R: Read + Seek>(reader: &mut R, file: &str) -> Result<Vec<Member>, DatasetError> {
    Archive { reader, file }.members()
}

/// Hands the data of a member to `parse`, which must read them to their end, and checks their sum. Also returns
/// how many bytes of `limit` they took.
pub(super) fn read_member<R: Read + Seek, T>(
    reader: &mut R,
    member: &Member,
    file: &str,
    limit: u64,
    parse: impl FnOnce(&mut Source<'_>) -> Result<T, DatasetError>,
) -> Result<(T, u64), DatasetError> {
    let mut archive = Archive { reader, file };
    let data = archive.data(member)?;
    let at_data = archive.reader.seek(SeekFrom::Start(data));
    at_data.map_err(|error| DatasetError::Io { place: whole(file), error })?;

    let packed = archive.reader.by_ref().take(member.packed);
    let unpacked: &mut dyn Read =
        if member.deflated { &mut DeflateDecoder::new(packed) } else { &mut { packed } };
    let mut summed = CrcReader::new(unpacked);
    let mut source =
        Source { reader: &mut summed, file: member.file(file), offset: 0, limit, unpacked: member.deflated };
    let parsed = parse(&mut source)?;
    let taken = source.offset;
    if taken != member.unpacked || summed.crc().sum() != member.checksum {
        return Err(member.malformed(
            file,
            "the data do not have the length and checksum of the directory",
            FETCH_AGAIN,
        ));
    }
    Ok((parsed, taken))
}

/// Splits the first entry off a directory.
fn member(bytes: &[u8]) -> Result<(Member, &[u8]), &'static str> {
    const ENTRY_LENGTH: usize = 46;
    if bytes.len() < ENTRY_LENGTH || !bytes.starts_with(b"PK\x01\x02") {
        return Err("expected an entry of the directory");
    }
    let (entry, rest) = bytes.split_at(ENTRY_LENGTH);
    let length = |at| usize::from(u16_at(entry, at));
    let (name, extra, comment) = (length(28), length(30), length(32));
    if rest.len() < name + extra + comment {
        return Err("an entry exceeds the directory");
    }
    if u16_at(entry, 8) & 1 != 0 {
        return Err("the member is encrypted");
    }
    let deflated = match u16_at(entry, 10) {
        0 => false,
        8 => true,
        _ => return Err("the member is compressed by a method other than deflate"),
    };
    let mut wide = wide_fields(&rest[name..name + extra]);
    // The fields that did not fit into 32 bits follow in the extra field in this order.
    let mut size = |at| match u32_at(entry, at) {
        u32::MAX => wide.next().ok_or("a size of ZIP64 is missing"),
        narrow => Ok(narrow.into()),
    };
    let (unpacked, packed, offset) = (size(24)?, size(20)?, size(42)?);
    let member = Member {
        name: String::from_utf8_lossy(&rest[..name]).into_owned(),
        deflated,
        checksum: u32_at(entry, 16),
        packed,
        unpacked,
        offset,
    };
    Ok((member, &rest[name + extra + comment..]))
}

/// The 64-bit numbers of the ZIP64 record among the extra fields of an entry.
fn wide_fields(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut fields: &[u8] = &[];
    while extra.len() >= 4 {
        let (head, rest) = extra.split_at(4);
        let (record, rest) = rest.split_at(usize::from(u16_at(head, 2)).min(rest.len()));
        if u16_at(head, 0) == 1 {
            fields = record;
            break;
        }
        extra = rest;
    }
    fields.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// An archive of one stored member `a` with the given data, its sizes in ZIP64 fields if `wide`.
    fn archive(data: &[u8], wide: bool) -> Vec<u8> {
        let mut crc = flate2::Crc::new();
        crc.update(data);
        let size = data.len() as u32;
        let narrow = if wide { [u32::MAX; 2] } else { [size; 2] };
        let mut bytes = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0".to_vec();
        bytes.extend(crc.sum().to_le_bytes());
        bytes.extend(narrow.map(u32::to_le_bytes).concat());
        bytes.extend([1, 0, 0, 0, b'a']);
        bytes.extend(data);

        let directory = bytes.len() as u32;
        bytes.extend(b"PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\0\0");
        bytes.extend(crc.sum().to_le_bytes());
        bytes.extend(narrow.map(u32::to_le_bytes).concat());
        bytes.extend([1, 0, if wide { 20 } else { 0 }, 0]);
        bytes.extend([0; 14]);
        bytes.push(b'a');
        if wide {
            bytes.extend([1, 0, 16, 0]);
            bytes.extend([u64::from(size); 2].map(u64::to_le_bytes).concat());
        }
        let end = bytes.len() as u32;
        bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        bytes.extend((end - directory).to_le_bytes());
        bytes.extend(directory.to_le_bytes());
        bytes.extend([0, 0]);
        bytes
    }

    fn unpack(bytes: &[u8]) -> Result<Vec<u8>, DatasetError> {
        let reader = &mut Cursor::new(bytes);
        let members = members(reader, "a.npz")?;
        let [member] = members.as_slice() else { panic!("{members:?}") };
        let all = |source: &mut Source<'_>| {
            let mut all = Vec::new();
            source.read_to_end(&mut all).map_err(|error| source.failed(error))?;
            Ok(all)
        };
        Ok(read_member(reader, member, "a.npz", 100, all)?.0)
    }

    #[test]
    fn reads_narrow_and_wide_sizes_and_a_comment() {
        assert_eq!(unpack(&archive(b"data", false)).unwrap(), b"data");
        assert_eq!(unpack(&archive(b"data", true)).unwrap(), b"data");
        let mut commented = archive(b"data", false);
        let length = commented.len();
        commented[length - 2] = 3;
        commented.extend(b"PK\x05");
        assert_eq!(unpack(&commented).unwrap(), b"data");
    }

    #[test]
    fn every_cut_is_an_error() {
        let bytes = archive(b"data", true);
        for length in 0..bytes.len() {
            assert!(unpack(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn damage_is_an_error() {
        let mut bytes = archive(b"data", false);
        bytes[31] ^= 1;
        let error = unpack(&bytes).unwrap_err();
        assert!(
            error.to_string().contains("length and checksum of the directory\n --> a.npz (a)"),
            "{error}"
        );
    }
}
