//! A log in memory that writes evidence, slowly and simply.

use audittrail_checkpoint::{Checkpoint, Signer, VerifierKey};
use audittrail_entry::{KeyRing, OpenPart, SigningKey, Timestamp, commitment};
use audittrail_merkle::{Edge, Hash, ProofChain, TreeHead, leaf_hash};
use audittrail_verifier::{
    Check, EntryLine, Header, Report, Trust, WHOLE_EVERY, verify, write_end, write_failed,
};

pub(crate) const ORIGIN: &str = "log.example/evidence";
const SIGNING_KEY: &[u8] = b"a signing key for tests, no secret: 0123456789";

pub(crate) fn signer() -> Signer {
    Signer::from_seed(ORIGIN, [7; 32]).unwrap()
}

pub(crate) fn vkey() -> VerifierKey {
    signer().verifier()
}

fn signing_key() -> SigningKey {
    SigningKey::new(SIGNING_KEY).unwrap()
}

/// The log's key, and the key of its signatures.
pub(crate) fn trust() -> Trust {
    Trust {
        keys: vec![vkey()],
        signing: Some(KeyRing {
            current: signing_key(),
            earlier: Vec::new(),
        }),
        policy: None,
    }
}

#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) leaf: String,
    pub(crate) sealed: Option<(String, [u8; 32])>,
    pub(crate) signature: [u8; 32],
    /// Exported as failed.
    pub(crate) failed: Option<&'static str>,
}

#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) entries: Vec<Stored>,
}

impl Log {
    pub(crate) fn new(size: usize) -> Self {
        let mut log = Self {
            entries: Vec::new(),
        };
        for at in 0..size {
            log.push("door.open", &format!(r#"{{"details":{{"n":{at},"text":"a \"b\" ü\n"}},"submitted_by":{{"sub":"test"}}}}"#));
        }
        log
    }

    pub(crate) fn push(&mut self, action: &str, sealed: &str) {
        let at = self.entries.len() as u64;
        let salt = leaf_hash(&at.to_be_bytes()).0;
        let open = OpenPart {
            action: action.into(),
            id: uuid::Uuid::from_u64_pair(0x0198_c0de_0000_7000, 1 << 63 | at),
            outcome: None,
            received_at: Timestamp::from_nanos(1_800_000_000_000_000_000),
            commitment: commitment(&salt, sealed.as_bytes()),
            tenant: Some("klinik-süd".into()),
            timestamp: Timestamp::from_nanos(1_800_000_000_000_000_000 + at.cast_signed()),
        };
        let leaf = open.to_leaf();
        self.entries.push(Stored {
            signature: signing_key().sign(ORIGIN, &leaf),
            leaf: String::from_utf8(leaf).unwrap(),
            sealed: Some((sealed.to_owned(), salt)),
            failed: None,
        });
    }

    fn hashes(&self) -> Vec<Hash> {
        let leaves = self.entries.iter();
        leaves
            .map(|entry| leaf_hash(entry.leaf.as_bytes()))
            .collect()
    }

    pub(crate) fn head(&self) -> TreeHead {
        root(&self.hashes())
    }

    pub(crate) fn header(&self) -> Header {
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            head: self.head(),
            extensions: Vec::new(),
        };
        Header {
            origin: ORIGIN.to_owned(),
            vkey: vkey().to_string(),
            checkpoint: checkpoint.sign(&[&signer()]).unwrap(),
            filter: vec![("action".to_owned(), "door.open".to_owned())],
            complete: None,
            withheld: false,
        }
    }

    /// Evidence of these entries.
    pub(crate) fn evidence(&self, header: &Header, indices: &[u64]) -> String {
        let hashes = self.hashes();
        let mut out = Vec::new();
        header.write(&mut out);
        let mut chain = ProofChain::new(self.head());
        for (number, index) in (0..).zip(indices) {
            if number % WHOLE_EVERY == 0 {
                chain = ProofChain::new(self.head());
            }
            let at = usize::try_from(*index).unwrap();
            let entry = &self.entries[at];
            if let Some(error) = entry.failed {
                write_failed(*index, error, &mut out);
                continue;
            }
            let proof: Vec<Hash> = chain
                .ranges(*index)
                .unwrap()
                .into_iter()
                .map(|(start, end)| {
                    let (start, end) = (usize::try_from(start), usize::try_from(end));
                    root(&hashes[start.unwrap()..end.unwrap()]).root
                })
                .collect();
            assert_eq!(chain.take(*index, &hashes[at], &proof), Ok(()));
            let sealed = entry.sealed.as_ref().filter(|_| !header.withheld);
            EntryLine {
                index: *index,
                leaf: &entry.leaf,
                sealed: sealed.map(|(sealed, salt)| (sealed.as_str(), salt)),
                signature: &entry.signature,
                key_id: signing_key().key_id(),
                proof: &proof,
            }
            .write(&mut out);
        }
        write_end(indices.len() as u64, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Evidence of all entries from one to another, which says that it is complete.
    pub(crate) fn range(&self, first: u64, last: u64) -> String {
        let header = Header {
            complete: Some((first, last)),
            filter: Vec::new(),
            ..self.header()
        };
        self.evidence(&header, &(first..=last).collect::<Vec<_>>())
    }
}

fn root(hashes: &[Hash]) -> TreeHead {
    let mut edge = Edge::new();
    hashes.iter().for_each(|hash| edge.push(*hash));
    edge.head()
}

pub(crate) fn check(file: &[u8]) -> Report {
    check_with(file, trust())
}

pub(crate) fn check_with(file: &[u8], trust: Trust) -> Report {
    verify(file, trust).unwrap()
}

/// What was found: the index, where there is one, and the check.
pub(crate) fn found(report: &Report) -> Vec<(Option<u64>, Check)> {
    let findings = report.findings.iter();
    findings.map(|one| (one.index, one.check)).collect()
}
