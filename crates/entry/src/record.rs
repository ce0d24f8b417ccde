//! Records: what is kept of an entry, and what can be checked about it.

use std::borrow::Cow;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;
use uuid::Uuid;

use crate::json::{Value, parse, parse_written, write_string};
use crate::keys::keyed;
use crate::{KeyId, KeyRing, Outcome, SignatureError, Timestamp};

/// Deep enough for `details` of the greatest depth within a sealed part.
pub(crate) const SEALED_DEPTH: usize = 40;

/// What can be erased, and the salt of its commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Canonical JSON.
    pub bytes: Vec<u8>,
    /// Random, new for each entry.
    pub salt: [u8; 32],
}

/// What is kept of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The bytes that are hashed into the tree and signed.
    pub leaf: Vec<u8>,
    /// Absent once erased.
    pub sealed: Option<Sealed>,
    /// HMAC-SHA256 over the leaf.
    pub signature: [u8; 32],
    /// The key that made it.
    pub key_id: KeyId,
}

/// Why a record is not what a server with the key made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The leaf is not canonical, or not of version 1.
    #[error("the leaf is not a canonical leaf of version 1")]
    Leaf,
    /// The sealed part is not canonical JSON of an entry's members.
    #[error("the sealed part is malformed")]
    Sealed,
    /// There is no sealed part, and nothing here says that it was erased.
    #[error("the sealed part is missing")]
    SealedMissing,
    /// The sealed part is not the one that the leaf commits to.
    #[error("the sealed part does not fit the commitment in the leaf")]
    Commitment,
    /// The signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// HMAC-SHA256(key = salt, message = sealed bytes).
pub fn commitment(salt: &[u8; 32], sealed: &[u8]) -> [u8; 32] {
    keyed(salt)
        .chain_update(sealed)
        .finalize()
        .into_bytes()
        .into()
}

impl Record {
    /// The bytes of the leaf and of the sealed part.
    pub fn size_bytes(&self) -> usize {
        let sealed = self.sealed.as_ref();
        self.leaf.len() + sealed.map_or(0, |sealed| sealed.bytes.len())
    }

    /// Checks everything that the record shows by itself: the leaf's form, the commitment, the
    /// signature. Its place in the tree is another matter.
    ///
    /// # Errors
    /// At the first thing that does not hold.
    pub fn check(&self, keys: &KeyRing, origin: &str) -> Result<(), RecordError> {
        self.check_unsigned()?;
        keys.verify(self.key_id, origin, &self.leaf, &self.signature)?;
        Ok(())
    }

    /// Checks the leaf's form and the commitment alone, for who does not have the signing key.
    ///
    /// # Errors
    /// At the first thing that does not hold.
    pub fn check_unsigned(&self) -> Result<(), RecordError> {
        let open = OpenPart::parse(&self.leaf)?;
        let sealed = self.sealed.as_ref().ok_or(RecordError::SealedMissing)?;
        if commitment(&sealed.salt, &sealed.bytes) != open.commitment {
            return Err(RecordError::Commitment);
        }
        Ok(())
    }
}

/// What stays readable of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPart<'a> {
    /// What was done.
    pub action: Cow<'a, str>,
    /// The entry's id.
    pub id: Uuid,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// When the server took it.
    pub received_at: Timestamp,
    /// The commitment to the sealed part.
    pub commitment: [u8; 32],
    /// Whose log it is in.
    pub tenant: Option<Cow<'a, str>>,
    /// When it happened.
    pub timestamp: Timestamp,
}

/// An id as it is written.
pub(crate) fn hyphenated(id: &Uuid) -> [u8; 36] {
    let mut text = [0; 36];
    id.hyphenated().encode_lower(&mut text);
    text
}

impl<'a> OpenPart<'a> {
    /// The leaf: canonical JSON, its names in order.
    pub fn to_leaf(&self) -> Vec<u8> {
        let mut leaf = Vec::with_capacity(320 + self.action.len());
        leaf.extend(b"{\"action\":");
        write_string(&self.action, &mut leaf);
        leaf.extend(b",\"id\":\"");
        leaf.extend(hyphenated(&self.id));
        if let Some(outcome) = self.outcome {
            leaf.extend(b"\",\"outcome\":\"");
            leaf.extend(outcome.as_str().as_bytes());
        }
        leaf.extend(b"\",\"received_at\":\"");
        leaf.extend(self.received_at.to_text());
        leaf.extend(b"\",\"sealed\":\"");
        leaf.extend(URL_SAFE_NO_PAD.encode(self.commitment).as_bytes());
        leaf.push(b'"');
        if let Some(tenant) = &self.tenant {
            leaf.extend(b",\"tenant\":");
            write_string(tenant, &mut leaf);
        }
        leaf.extend(b",\"timestamp\":\"");
        leaf.extend(self.timestamp.to_text());
        leaf.extend(b"\",\"v\":1}");
        leaf
    }

    /// Reads a leaf.
    ///
    /// # Errors
    /// If it is not, byte for byte, the leaf of what it says.
    pub fn parse(leaf: &'a [u8]) -> Result<Self, RecordError> {
        match crate::leaf::read(leaf) {
            Some(open) => Ok(open),
            None => Self::parse_any(leaf),
        }
    }

    /// As [`OpenPart::parse`], for every leaf.
    pub(crate) fn parse_any(leaf: &'a [u8]) -> Result<Self, RecordError> {
        let value = parse(leaf, 1).map_err(|_| RecordError::Leaf)?;
        let Value::Object(members) = value else {
            return Err(RecordError::Leaf);
        };
        let mut open = Self {
            action: Cow::Borrowed(""),
            id: Uuid::nil(),
            outcome: None,
            received_at: Timestamp::from_nanos(0),
            commitment: [0; 32],
            tenant: None,
            timestamp: Timestamp::from_nanos(0),
        };
        for (name, value) in members {
            open.set(&name, value).ok_or(RecordError::Leaf)?;
        }
        // Missing members, other spellings and other versions all give other bytes.
        if open.to_leaf() == leaf {
            Ok(open)
        } else {
            Err(RecordError::Leaf)
        }
    }

    fn set(&mut self, name: &str, value: Value<'a>) -> Option<()> {
        let Value::String(text) = value else {
            return (name == "v" && value == Value::Number("1".into())).then_some(());
        };
        match name {
            "action" => self.action = text,
            "id" => self.id = Uuid::try_parse(&text).ok()?,
            "outcome" => self.outcome = Some(Outcome::parse(&text)?),
            "received_at" => self.received_at = Timestamp::parse(&text).ok()?,
            "sealed" => {
                self.commitment = URL_SAFE_NO_PAD
                    .decode(text.as_bytes())
                    .ok()?
                    .try_into()
                    .ok()?;
            }
            "tenant" => self.tenant = Some(text),
            "timestamp" => self.timestamp = Timestamp::parse(&text).ok()?,
            _ => return None,
        }
        Some(())
    }
}

/// Who sent an entry, as its token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmittedBy<'a> {
    /// The token's issuer, where it has one.
    pub iss: Option<Cow<'a, str>>,
    /// The token's subject.
    pub sub: Cow<'a, str>,
}

/// What can be erased of an entry.
#[derive(Debug, Clone, PartialEq)]
pub struct SealedPart<'a> {
    /// Anything else about it.
    pub details: Option<Value<'a>>,
    /// What was acted on.
    pub resource: Option<Cow<'a, str>>,
    /// From where.
    pub source_ip: Option<IpAddr>,
    /// Who sent it.
    pub submitted_by: SubmittedBy<'a>,
    /// Who did it.
    pub user_id: Option<Cow<'a, str>>,
}

impl<'a> SealedPart<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let Value::Object(members) = parse_written(bytes, SEALED_DEPTH).ok()? else {
            return None;
        };
        let mut part = Self {
            details: None,
            resource: None,
            source_ip: None,
            submitted_by: SubmittedBy {
                iss: None,
                sub: Cow::Borrowed(""),
            },
            user_id: None,
        };
        for (name, value) in members {
            match (&*name, value) {
                ("details", value @ Value::Object(_)) => part.details = Some(value),
                ("resource", Value::String(text)) => part.resource = Some(text),
                ("source_ip", Value::String(text)) => part.source_ip = Some(text.parse().ok()?),
                ("user_id", Value::String(text)) => part.user_id = Some(text),
                ("submitted_by", Value::Object(members)) => {
                    for (name, value) in members {
                        match (&*name, value) {
                            ("iss", Value::String(text)) => part.submitted_by.iss = Some(text),
                            ("sub", Value::String(text)) => part.submitted_by.sub = text,
                            _ => return None,
                        }
                    }
                }
                _ => return None,
            }
        }
        Some(part)
    }
}

/// A stored entry, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<'a> {
    /// What stays.
    pub open: OpenPart<'a>,
    /// What can be erased, unless it was.
    pub sealed: Option<SealedPart<'a>>,
}

impl<'a> Entry<'a> {
    /// Reads leaf and sealed part. Their form is checked, not that they belong together.
    ///
    /// # Errors
    /// If either does not have the form of one.
    pub fn parse(leaf: &'a [u8], sealed: Option<&'a [u8]>) -> Result<Self, RecordError> {
        let open = OpenPart::parse(leaf)?;
        let sealed = sealed
            .map(|bytes| SealedPart::parse(bytes).ok_or(RecordError::Sealed))
            .transpose()?;
        Ok(Self { open, sealed })
    }
}

/// Whether what is sent under an id is what is stored under it: action, outcome and tenant are
/// equal, the timestamp too where it was sent, and the sealed part fits the stored commitment,
/// which covers the submitter. What was erased equals nothing.
pub fn is_retry_of(
    stored: &Record,
    action: &str,
    outcome: Option<Outcome>,
    tenant: Option<&str>,
    timestamp: Option<Timestamp>,
    sealed: &[u8],
) -> bool {
    let (Ok(open), Some(kept)) = (OpenPart::parse(&stored.leaf), &stored.sealed) else {
        return false;
    };
    open.action == action
        && open.outcome == outcome
        && open.tenant.as_deref() == tenant
        && timestamp.is_none_or(|timestamp| timestamp == open.timestamp)
        && commitment(&kept.salt, sealed) == open.commitment
}
