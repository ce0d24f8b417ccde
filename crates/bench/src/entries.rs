//! Entries to send: made up from a seed, or the lines of a file.

use std::io::Write as _;
use std::path::Path;

use crate::BenchError;
use crate::random::Random;
use crate::vocabulary::{ACTIONS, AGENTS, COMPANIES, IMAGES, KEYS, OUTCOMES, REGIONS};

/// What made-up entries look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// About 351 bytes: what an application writes of a request. Each has a resource and a
    /// request id of its own, as new terms are what costs a search index.
    Small,
    /// About 2 KB: an event of a Windows host, with nested text, hashes and identifiers.
    Real,
}

/// A sequence of entries without end.
#[derive(Debug, Clone)]
pub enum Entries {
    /// Made up: the same for the same seed and position.
    Made {
        /// What they look like.
        kind: Kind,
        /// What they are made from.
        seed: u64,
    },
    /// The lines of a file, which begin again after the last.
    File(Vec<Vec<u8>>),
}

/// 2025-01-01T00:00:00Z in seconds since 1970: before now, as entries' times have to be.
const BEGIN: u64 = 1_735_689_600;
const SECONDS_A_DAY: u64 = 86_400;

impl Entries {
    /// The entries of a file, one JSON object a line.
    ///
    /// # Errors
    /// If it cannot be read, or holds a line that is no JSON object, or none at all.
    pub fn of_file(path: &Path) -> Result<Self, BenchError> {
        let name = path.display();
        let bytes =
            std::fs::read(path).map_err(BenchError::because(format!("{name} cannot be read")))?;
        let mut lines = Vec::new();
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            let object: Result<serde_json::Map<_, serde_json::Value>, _> =
                serde_json::from_slice(line);
            object.map_err(BenchError::because(format!(
                "line {} of {name} is no JSON object",
                number + 1
            )))?;
            lines.push(line.to_vec());
        }
        if lines.is_empty() {
            return Err(BenchError::new(format!("{name} holds no entries")));
        }
        Ok(Self::File(lines))
    }

    /// How many there are before they begin again.
    pub fn distinct(&self) -> Option<u64> {
        match self {
            Self::Made { .. } => None,
            Self::File(lines) => Some(lines.len() as u64),
        }
    }

    /// Appends one entry, without a line end.
    pub fn write(&self, position: u64, out: &mut Vec<u8>) {
        match self {
            Self::Made { kind, seed } => {
                let random = Random::of(*seed, position);
                match kind {
                    Kind::Small => small(random, position, out),
                    Kind::Real => real(random, position, out),
                }
            }
            Self::File(lines) => {
                out.extend_from_slice(&lines[(position % lines.len() as u64) as usize]);
            }
        }
    }

    /// Entries as NDJSON: `count` from position `first` on.
    pub fn batch(&self, first: u64, count: u64) -> Vec<u8> {
        let mut out = Vec::new();
        for position in first..first + count {
            self.write(position, &mut out);
            out.push(b'\n');
        }
        out
    }
}

/// Writing to a vector does not fail.
macro_rules! put {
    ($out:expr, $($argument:tt)*) => {
        let _ = write!($out, $($argument)*);
    };
}

/// Three milliseconds apart, so that ten million take less than nine hours.
fn timestamp(position: u64) -> String {
    let ms = position.wrapping_mul(3);
    let seconds = BEGIN + ms / 1_000;
    // Months of 28 days, and the year begins again, so that none lies in the future.
    let day = seconds / SECONDS_A_DAY - BEGIN / SECONDS_A_DAY;
    let (month, day) = (1 + day / 28 % 12, 1 + day % 28);
    let second = seconds % SECONDS_A_DAY;
    format!(
        "2025-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60,
        ms % 1_000
    )
}

fn small(mut random: Random, position: u64, out: &mut Vec<u8>) {
    let action = random.pick(ACTIONS);
    put!(
        out,
        "{{\"timestamp\":\"{}\",\"action\":\"{action}\",\"user_id\":\"user-{:06}\",\
         \"resource\":\"projects/{:04}/documents/{position:010}\",\"outcome\":\"{}\",\
         \"source_ip\":\"10.{}.{}.{}\",\"tenant\":\"tenant-{:02}\",",
        timestamp(position),
        random.skewed(100_000),
        random.skewed(5_000),
        random.pick(OUTCOMES),
        random.below(4),
        random.below(256),
        random.below(256),
        random.skewed(20),
    );
    put!(
        out,
        "\"details\":{{\"request_id\":\"{:016x}{:016x}\",\"agent\":\"{}\",\"region\":\"{}\",\
         \"duration_ms\":{},\"bytes\":{}}}}}",
        random.next(),
        random.next(),
        random.pick(AGENTS).trim_end(),
        random.pick(REGIONS).trim_end(),
        random.skewed(5_000),
        random.below(1 << 20),
    );
}

fn guid(random: &mut Random) -> String {
    let (a, b) = (random.next(), random.next());
    format!(
        "{{{:08x}-{:04x}-{:04x}-{:04x}-{:012x}}}",
        a >> 32,
        a >> 16 & 0xFFFF,
        a & 0xFFFF,
        b >> 48,
        b & 0xFFFF_FFFF_FFFF
    )
}

/// A process that was begun or a registry value that was set, as Sysmon tells it: every member
/// comes twice, once by itself and once in the message.
fn real(mut random: Random, position: u64, out: &mut Vec<u8>) {
    let time = timestamp(position);
    let host = format!("HOST{:03}.example.org", random.skewed(200));
    let user = format!("EXAMPLE\\\\user{:04}", random.skewed(2_000));
    let started = random.below(3) > 0;
    let (number, members) = if started {
        (1, process_members(&mut random, &user))
    } else {
        (13, registry_members(&mut random, &user))
    };
    put!(
        out,
        "{{\"timestamp\":\"{time}\",\"action\":\"sysmon.{number}\",\"user_id\":\"{user}\",\
         \"resource\":\"{host}\",\"details\":{{\"SourceName\":\"Microsoft-Windows-Sysmon\",\
         \"ProviderGuid\":\"{{5770385f-c22a-43e0-bf4c-06f5698ffbd9}}\",\"Level\":\"4\",\
         \"Keywords\":\"0x8000000000000000\",\"Hostname\":\"{host}\",\"TimeCreated\":\"{time}\",\
         \"EventID\":{number},\"RecordNumber\":{position},\"Message\":\"",
    );
    let title = if started {
        "Process Create:"
    } else {
        "Registry value set:"
    };
    out.extend_from_slice(title.as_bytes());
    for (name, value) in &members {
        put!(out, "\\r\\n{name}: {value}");
    }
    out.push(b'"');
    for (name, value) in &members {
        put!(out, ",\"{name}\":\"{value}\"");
    }
    out.extend_from_slice(b"}}");
}

type Members = Vec<(&'static str, String)>;

fn process_members(random: &mut Random, user: &str) -> Members {
    let (image, parent) = (random.pick(IMAGES), random.pick(IMAGES));
    let version = format!("10.0.{}.{}", random.skewed(20_000), random.skewed(3_000));
    let hashes = format!(
        "SHA1={:016x}{:016x},IMPHASH={:016x}{:016x}",
        random.skewed(500),
        random.skewed(500),
        random.skewed(500),
        random.skewed(500)
    );
    vec![
        ("RuleName", "-".to_owned()),
        ("ProcessGuid", guid(random)),
        ("ProcessId", random.below(16_000).to_string()),
        ("Image", image.to_owned()),
        ("FileVersion", version),
        ("Company", random.pick(COMPANIES).to_owned()),
        (
            "CommandLine",
            format!("{image} -k netsvcs -p --id={:016x}", random.next()),
        ),
        ("CurrentDirectory", r"C:\\Windows\\system32\\".to_owned()),
        ("LogonGuid", guid(random)),
        ("LogonId", format!("0x{:x}", random.below(1 << 24))),
        (
            "IntegrityLevel",
            random.pick(&["System", "Medium", "High"]).to_owned(),
        ),
        ("Hashes", hashes),
        ("ParentProcessGuid", guid(random)),
        ("ParentProcessId", random.below(16_000).to_string()),
        ("ParentImage", parent.to_owned()),
        (
            "ParentCommandLine",
            format!("{parent} --type=service --session={}", random.below(64)),
        ),
        ("ParentUser", r"NT AUTHORITY\\SYSTEM".to_owned()),
        ("User", user.to_owned()),
    ]
}

fn registry_members(random: &mut Random, user: &str) -> Members {
    vec![
        ("RuleName", "-".to_owned()),
        ("EventType", "SetValue".to_owned()),
        ("ProcessGuid", guid(random)),
        ("ProcessId", random.below(16_000).to_string()),
        ("Image", random.pick(IMAGES).to_owned()),
        (
            "TargetObject",
            format!("{}\\\\{}", random.pick(KEYS), guid(random)),
        ),
        (
            "Details",
            format!("DWORD (0x{:08x})", random.skewed(65_536)),
        ),
        (
            "PreviousDetails",
            format!("DWORD (0x{:08x})", random.skewed(65_536)),
        ),
        (
            "Session",
            format!("{:016x}{:016x}", random.next(), random.next()),
        ),
        ("User", user.to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Entries, Kind};

    fn mean(kind: Kind) -> u64 {
        let entries = Entries::Made { kind, seed: 7 };
        entries.batch(0, 2_000).len() as u64 / 2_000 - 1
    }

    #[test]
    fn sizes_are_those_that_the_budgets_name() {
        assert!(
            (341..=361).contains(&mean(Kind::Small)),
            "{}",
            mean(Kind::Small)
        );
        assert!(
            (1_800..=2_400).contains(&mean(Kind::Real)),
            "{}",
            mean(Kind::Real)
        );
    }

    #[test]
    fn a_seed_gives_the_same_entries_in_any_order() {
        for kind in [Kind::Small, Kind::Real] {
            let entries = Entries::Made { kind, seed: 1 };
            let whole = entries.batch(0, 50);
            let parts = [entries.batch(0, 20), entries.batch(20, 30)].concat();
            assert_eq!(whole, parts);
            assert_ne!(whole, Entries::Made { kind, seed: 2 }.batch(0, 50));
        }
    }

    #[test]
    fn each_is_valid_json_and_another() {
        for kind in [Kind::Small, Kind::Real] {
            let batch = Entries::Made { kind, seed: 1 }.batch(0, 500);
            let mut seen = std::collections::HashSet::new();
            for line in batch
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
            {
                let entry: serde_json::Value = serde_json::from_slice(line).unwrap();
                assert!(entry["details"].is_object());
                assert!(seen.insert(line.to_vec()));
            }
            assert_eq!(seen.len(), 500);
        }
    }

    #[test]
    fn the_lines_of_a_file_begin_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        #[expect(clippy::disallowed_methods, reason = "a test's file")]
        std::fs::write(file.path(), "{\"action\":\"a\"}\n\n{\"action\":\"b\"}\n").unwrap();
        let entries = Entries::of_file(file.path()).unwrap();
        assert_eq!(entries.distinct(), Some(2));
        let lines = "{\"action\":\"b\"}\n{\"action\":\"a\"}\n";
        assert_eq!(entries.batch(1, 2), lines.as_bytes());
        assert!(Entries::of_file(std::path::Path::new("/nonexistent")).is_err());
    }
}
