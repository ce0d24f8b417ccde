//! A record as a document of `entries`, and back.
//!
//! What is kept of an entry are `leaf`, `sealed`, `salt`, `signature` and `key`. The other fields
//! follow from these; whoever reads a record compares them, so that an entry that queries can no
//! longer find is found by the scrub.

use std::net::IpAddr;

use audittrail_entry::{Entry, KeyId, Record, Sealed};
use audittrail_store::text::fold;
use audittrail_store::{Damage, Member};
use mongodb::bson::raw::cstr;
use mongodb::bson::raw::{
    CStr, RawArrayBuf, RawBinaryRef, RawBsonRef, RawDocument, RawDocumentBuf,
};
use mongodb::bson::spec::BinarySubtype;
use uuid::Uuid;

use crate::terms;

fn bytes(bytes: &[u8]) -> RawBsonRef<'_> {
    RawBsonRef::Binary(RawBinaryRef {
        subtype: BinarySubtype::Generic,
        bytes,
    })
}

/// An address by which blocks are ranges: four bytes or sixteen, which are more than any four.
pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The field of a member.
pub(crate) fn field(member: Member) -> &'static str {
    match member {
        Member::Action => "action",
        Member::Outcome => "outcome",
        Member::Resource => "resource",
        Member::Tenant => "tenant",
        Member::UserId => "user",
    }
}

/// The field of a member in lower case, which is there if that is another text.
pub(crate) fn folded_field(member: Member) -> Option<&'static str> {
    match member {
        Member::Action => Some("actionf"),
        Member::Resource => Some("resourcef"),
        Member::Outcome | Member::Tenant | Member::UserId => None,
    }
}

fn key_of(member: Member) -> (&'static CStr, Option<&'static CStr>) {
    match member {
        Member::Action => (cstr!("action"), Some(cstr!("actionf"))),
        Member::Outcome => (cstr!("outcome"), None),
        Member::Resource => (cstr!("resource"), Some(cstr!("resourcef"))),
        Member::Tenant => (cstr!("tenant"), None),
        Member::UserId => (cstr!("user"), None),
    }
}

/// The document of a record at an index, written under an epoch. One whose leaf or sealed part
/// cannot be read has no fields to be found by.
pub fn encode(index: u64, epoch: i64, id: Uuid, record: &Record) -> RawDocumentBuf {
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("_id"), index.cast_signed());
    let uuid = RawBsonRef::Binary(RawBinaryRef {
        subtype: BinarySubtype::Uuid,
        bytes: id.as_bytes(),
    });
    document.append(cstr!("id"), uuid);
    document.append(cstr!("e"), epoch);
    document.append(cstr!("leaf"), bytes(&record.leaf));
    if let Some(sealed) = &record.sealed {
        document.append(cstr!("sealed"), bytes(&sealed.bytes));
        document.append(cstr!("salt"), bytes(&sealed.salt));
    }
    document.append(cstr!("signature"), bytes(&record.signature));
    document.append(cstr!("key"), bytes(&record.key_id.0));
    append_found_by(&mut document, record);
    document
}

fn append_found_by(document: &mut RawDocumentBuf, record: &Record) {
    let sealed = record.sealed.as_ref().map(|sealed| sealed.bytes.as_slice());
    let Ok(entry) = Entry::parse(&record.leaf, sealed) else {
        return;
    };
    document.append(cstr!("t"), entry.open.timestamp.nanos());
    document.append(cstr!("r"), entry.open.received_at.nanos());
    for member in Member::ALL {
        let Some(text) = member.of(&entry) else {
            continue;
        };
        let (plain, in_lower_case) = key_of(member);
        document.append(plain, text);
        if let Some(key) = in_lower_case {
            let folded = fold(text);
            if folded != text {
                document.append(key, &*folded);
            }
        }
    }
    let Some(part) = &entry.sealed else {
        return;
    };
    if let Some(address) = part.source_ip {
        document.append(cstr!("ip"), bytes(&octets(address)));
    }
    if let Some(details) = &part.details {
        let mut array = RawArrayBuf::new();
        for term in terms::of(details) {
            array.push(term.as_str());
        }
        document.append(cstr!("d"), &array);
    }
}

/// Where a record lies, for messages.
fn place(index: u64) -> String {
    format!("document {index} of `entries`")
}

/// What is said of an entry that is not there.
pub(crate) fn missing(index: u64) -> Damage {
    Damage(format!("{} is not there", place(index)))
}

/// The index of a document.
pub(crate) fn index_of(document: &RawDocument) -> Option<u64> {
    u64::try_from(document.get_i64("_id").ok()?).ok()
}

fn binary<'d>(document: &'d RawDocument, key: &str) -> Result<Option<&'d [u8]>, String> {
    match document.get(key) {
        Ok(None) => Ok(None),
        Ok(Some(RawBsonRef::Binary(binary))) => Ok(Some(binary.bytes)),
        Ok(Some(_)) => Err(format!("`{key}` is not binary")),
        Err(_) => Err("it is not BSON".to_owned()),
    }
}

fn required<'d>(document: &'d RawDocument, key: &str) -> Result<&'d [u8], String> {
    binary(document, key)?.ok_or_else(|| format!("`{key}` is missing"))
}

fn sized<const N: usize>(document: &RawDocument, key: &str) -> Result<[u8; N], String> {
    let bytes = required(document, key)?;
    bytes
        .try_into()
        .map_err(|_| format!("`{key}` has {} bytes, not {N}", bytes.len()))
}

/// Leaf and sealed part, as far as they can be read.
pub(crate) fn parts(document: &RawDocument) -> Result<(&[u8], Option<&[u8]>), String> {
    Ok((required(document, "leaf")?, binary(document, "sealed")?))
}

/// The leaf alone.
pub(crate) fn leaf(document: &RawDocument) -> Option<&[u8]> {
    required(document, "leaf").ok()
}

fn kept(document: &RawDocument) -> Result<Record, String> {
    let (leaf, sealed) = parts(document)?;
    let sealed = match sealed {
        None => None,
        Some(bytes) => Some(Sealed {
            bytes: bytes.to_vec(),
            salt: sized(document, "salt")?,
        }),
    };
    Ok(Record {
        leaf: leaf.to_vec(),
        sealed,
        signature: sized(document, "signature")?,
        key_id: KeyId(sized(document, "key")?),
    })
}

/// The record of a document. A record whose fields for queries are not those that follow from
/// it is damaged too: it would be missed by them.
pub(crate) fn decode(index: u64, document: &RawDocument) -> Result<Record, Damage> {
    let damage = |why: String| Damage(format!("{}: {why}", place(index)));
    let record = kept(document).map_err(damage)?;
    let epoch = document.get_i64("e").unwrap_or_default();
    let id = match binary(document, "id") {
        Ok(Some(bytes)) => Uuid::from_slice(bytes).unwrap_or_default(),
        _ => Uuid::nil(),
    };
    let found_by = &encode(index, epoch, id, &record);
    if found_by.as_bytes() == document.as_bytes() {
        return Ok(record);
    }
    // Another client of the database may have put the fields into another order.
    let mut fields = 0;
    for element in found_by.iter() {
        let Ok((key, value)) = element else { continue };
        fields += 1;
        if document.get(key.as_str()).ok().flatten() != Some(value) {
            return Err(damage(format!(
                "`{}` is not what the record says",
                key.as_str()
            )));
        }
    }
    if document.iter().count() == fields {
        Ok(record)
    } else {
        Err(damage(
            "it has fields that do not follow from the record".to_owned(),
        ))
    }
}
