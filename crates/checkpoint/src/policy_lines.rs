//! The lines of a policy file.

use std::collections::{HashMap, HashSet};

use crate::policy::{Group, Member, PolicyFault};
use crate::{CosignerKey, KeyError, Policy, PolicyLog, PolicyWitness, VerifierKey};

const LOG: PolicyFault = PolicyFault::Form("log <vkey> [<url>]");
const WITNESS: PolicyFault = PolicyFault::Form("witness <name> <vkey> [<url>]");
const GROUP: PolicyFault = PolicyFault::Form("group <name> all|any|<k> <name>…");
const QUORUM: PolicyFault = PolicyFault::Form("quorum <name>|none");
const NONE: &[u8] = b"none";

/// What the lines read so far have said.
#[derive(Default)]
pub(crate) struct Reading {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    /// Witnesses and groups have one name space.
    names: HashMap<Vec<u8>, Member>,
    log_keys: HashSet<[u8; 32]>,
    witness_keys: HashSet<[u8; 32]>,
    in_a_group: HashSet<Member>,
    quorum: Option<Option<Member>>,
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// A key, which is text: a key's name is UTF-8.
fn text(bytes: &[u8]) -> Result<&str, PolicyFault> {
    let form = "name+8 hex digits+base64, in UTF-8";
    std::str::from_utf8(bytes).map_err(|_| PolicyFault::Key(KeyError::Form(form)))
}

impl Reading {
    /// One line, without its end.
    pub(crate) fn line(&mut self, line: &[u8]) -> Result<(), PolicyFault> {
        if line
            .iter()
            .any(|byte| matches!(byte, 0..=8 | 10..=31 | 127))
        {
            return Err(PolicyFault::Character);
        }
        let words = line.split(|byte| matches!(byte, b' ' | b'\t'));
        let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
        let Some((keyword, words)) = words.split_first() else {
            return Ok(());
        };
        match *keyword {
            comment if comment.starts_with(b"#") => Ok(()),
            b"log" => self.log(words),
            b"witness" => self.witness(words),
            b"group" => self.group(words),
            b"quorum" => self.quorum(words),
            other => Err(PolicyFault::Keyword(shown(other))),
        }
    }

    /// The policy, after the last line.
    pub(crate) fn end(self) -> Result<Policy, PolicyFault> {
        Ok(Policy {
            logs: self.logs,
            witnesses: self.witnesses,
            groups: self.groups,
            quorum: self.quorum.ok_or(PolicyFault::NoQuorum)?,
        })
    }

    fn log(&mut self, words: &[&[u8]]) -> Result<(), PolicyFault> {
        let ([key] | [key, _]) = words else {
            return Err(LOG);
        };
        let key = VerifierKey::parse(text(key)?)?;
        if !self.log_keys.insert(key.public_key()) {
            return Err(PolicyFault::DuplicateKey(key.name().to_owned()));
        }
        let url = words.get(1).map(|url| shown(url));
        self.logs.push(PolicyLog { key, url });
        Ok(())
    }

    fn witness(&mut self, words: &[&[u8]]) -> Result<(), PolicyFault> {
        let ([name, key] | [name, key, _]) = words else {
            return Err(WITNESS);
        };
        let key = CosignerKey::parse(text(key)?)?;
        self.define(name, Member::Witness(self.witnesses.len()))?;
        if !self.witness_keys.insert(key.public_key()) {
            return Err(PolicyFault::DuplicateKey(key.name().to_owned()));
        }
        self.witnesses.push(PolicyWitness {
            name: name.to_vec(),
            key,
            url: words.get(2).map(|url| shown(url)),
        });
        Ok(())
    }

    fn group(&mut self, words: &[&[u8]]) -> Result<(), PolicyFault> {
        let [name, threshold, members @ ..] = words else {
            return Err(GROUP);
        };
        if members.is_empty() {
            return Err(GROUP);
        }
        let threshold = match *threshold {
            b"any" => Some(1),
            b"all" => Some(members.len()),
            number => count(number),
        };
        let threshold = threshold.filter(|k| (1..=members.len()).contains(k));
        let threshold = threshold.ok_or(PolicyFault::Threshold)?;
        let mut resolved = Vec::with_capacity(members.len());
        for member in members {
            let known = self.known(member)?;
            if !self.in_a_group.insert(known) {
                return Err(PolicyFault::MemberTwice(shown(member)));
            }
            resolved.push(known);
        }
        self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group {
            threshold,
            members: resolved,
        });
        Ok(())
    }

    fn quorum(&mut self, words: &[&[u8]]) -> Result<(), PolicyFault> {
        let [name] = words else {
            return Err(QUORUM);
        };
        if self.quorum.is_some() {
            return Err(PolicyFault::QuorumTwice);
        }
        self.quorum = Some(match *name {
            NONE => None,
            name => Some(self.known(name)?),
        });
        Ok(())
    }

    fn define(&mut self, name: &[u8], member: Member) -> Result<(), PolicyFault> {
        if name == NONE {
            return Err(PolicyFault::None);
        }
        if self.names.contains_key(name) {
            return Err(PolicyFault::Defined(shown(name)));
        }
        self.names.insert(name.to_vec(), member);
        Ok(())
    }

    fn known(&self, name: &[u8]) -> Result<Member, PolicyFault> {
        if name == NONE {
            return Err(PolicyFault::None);
        }
        let known = self.names.get(name).copied();
        known.ok_or_else(|| PolicyFault::Unknown(shown(name)))
    }
}

/// A number in decimal, without zeros before it.
fn count(text: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(text).ok()?;
    crate::checkpoint::parse_size(text)?.try_into().ok()
}
