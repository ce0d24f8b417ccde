//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::whole::Form;
use crate::settings::RawSettings;

/// An audit log that can prove it was not changed.
#[derive(Debug, Parser)]
#[command(name = "audittrail", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: RawSettings,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server.
    ///
    /// With nothing set it listens on 127.0.0.1:8000, keeps its data in ./audittrail-data and
    /// makes its keys there.
    #[command(
        after_help = "Example:\n  audittrail serve --listen 127.0.0.1:8000 --data /var/lib/audittrail"
    )]
    Serve,
    /// Sequence a log that is in MongoDB and whose entries come over Redis.
    ///
    /// Of several workers one leads, and the others stand by: when it is gone, one of them takes
    /// over within ten seconds. It has no API; health is asked for where its metrics are.
    #[command(
        after_help = "Example:\n  audittrail worker --store mongodb://db1,db2,db3/audittrail?replicaSet=rs0 --queue redis://redis.example --origin audit.example.org/main"
    )]
    Worker,
    /// Print a token that the server accepts.
    #[command(after_help = "Example:\n  audittrail token --sub alice --role auditor --ttl 8h")]
    Token(TokenArguments),
    /// Show the log's verifier key, or make a new key.
    #[command(after_help = "Example:\n  audittrail keys show")]
    Keys {
        #[command(subcommand)]
        action: Option<KeysAction>,
    },
    /// Send the entries in a file of JSON lines.
    ///
    /// A line without an id gets one from the file's name, the line's number and its content, so
    /// that running it again is harmless.
    #[command(
        after_help = "Example:\n  audittrail import events.ndjson --token \"$TOKEN\" --reject refused.ndjson"
    )]
    Import(ImportArguments),
    /// Write all entries that a filter selects, each verified by the server.
    ///
    /// A file appears under its name only when the whole export is in it. Ends with 1 if the
    /// export is whole but entries in it did not verify.
    #[command(
        after_help = "Example:\n  audittrail export --format csv --out alice.csv --filter user_id=alice --filter start_time=2026-01-01T00:00:00Z"
    )]
    Export(ExportArguments),
    /// Check a file of evidence, offline.
    ///
    /// It needs the log's verifier key, from a place that is not the file: the log's operator
    /// shows it with `audittrail keys show`. Ends with 0 if all of the file holds, with 1 if
    /// something in it does not or the file was cut short.
    #[command(
        after_help = "Example:\n  audittrail verify alice.evidence.jsonl --key log.example+0a1b2c3d+AR…"
    )]
    Verify(VerifyArguments),
    /// Get the proof that an entry is in the log, check it, and write it.
    ///
    /// The proof holds without the server: the log's verifier key and the entry are enough to
    /// check it (C2SP tlog-proof). Ends with 1, and writes nothing, if what came does not verify.
    #[command(
        after_help = "Example:\n  audittrail prove 0198c0de-0000-7000-8000-000000000000 --key \"$VKEY\" --out door.tlog-proof"
    )]
    Prove(ProveArguments),
    /// Watch logs: cosign each checkpoint that extends the one before (C2SP tlog-witness).
    ///
    /// The key is made at the first start, in the data directory, which holds no log. The first
    /// line printed is the address, the second the verifier key: the log's operator writes
    /// `witness NAME VKEY URL` into the policy of --witnesses.
    #[command(
        after_help = "Example:\n  audittrail witness --listen 0.0.0.0:8001 --data /var/lib/audittrail-witness --policy logs.policy --name witness.example.org/w1"
    )]
    Witness(WitnessArguments),
    /// Watch a log from outside: that it only grows, and is what its key signed.
    ///
    /// It keeps the newest checkpoint it saw and proves from hash tiles that each new one extends
    /// it; with --mirror it also copies the log and checks every leaf. What shows a second history
    /// is kept. Ends with 1 if anything did not verify, with 3 if the log could not be checked.
    #[command(
        after_help = "Example:\n  audittrail monitor https://log.example.org --key \"$VKEY\" --state log.checkpoint --mirror log-copy --webhook https://alerts.example.org/hook"
    )]
    Monitor(MonitorArguments),
    /// Ask a server whether it takes writes, for the health check of a container.
    ///
    /// It asks the address that `serve` has with the same settings. Ends with 0 if the server is
    /// ready, with 1 if it answers that it is not, with 3 if it does not answer.
    #[command(after_help = "Example:\n  audittrail health --listen 0.0.0.0:8000")]
    Health(HealthArguments),
    /// Check a data directory: frames, signatures, commitments, tree and checkpoint.
    ///
    /// It changes nothing. Beside a running server it checks what is committed.
    #[command(
        after_help = "Example:\n  audittrail fsck --data /var/lib/audittrail --since /mnt/usb/checkpoint"
    )]
    Fsck(FsckArguments),
    /// Copy the log of a data directory, beside a running server or not.
    ///
    /// Every entry that was acknowledged before is in the copy, each batch verified on the way. Run
    /// again with the same --out it copies what is new; what a run that was interrupted left is
    /// continued. No server starts on a backup: `audittrail restore` makes a data directory of it.
    /// Ends with 1 if the log is damaged: what is damaged is named, and copied as it is.
    #[command(
        after_help = "Example:\n  audittrail backup --data /var/lib/audittrail --out /mnt/backup/audittrail"
    )]
    Backup(BackupArguments),
    /// Make a data directory (--data) from a backup, to go on with a log that is gone.
    ///
    /// Each batch is verified on the way. What the log signed after the backup was made is lost:
    /// whoever has it will see two histories, so a backup that is older than the watermark, or than
    /// --since, is refused, and a server is by its witnesses. Ends with 1 if the backup is damaged:
    /// what is damaged is named, and will be shown as failed.
    #[command(
        after_help = "Example:\n  audittrail restore --from /mnt/backup/audittrail --data /var/lib/audittrail --original-is-gone"
    )]
    Restore(RestoreArguments),
    /// Move a log between a data directory and MongoDB, in either direction.
    ///
    /// Indices, leaves, sealed parts, signatures and the newest checkpoint stay as they are; each entry
    /// is verified on the way, and nothing is signed. A data directory that is copied must not be in
    /// use; a log in MongoDB may. The place that is copied to is empty, or holds the beginning of the
    /// same log: run again, also after it was interrupted, it copies what is missing. Until it is
    /// complete nobody goes on with the log there. Ends with 1 at an entry that does not verify: those
    /// before it are copied.
    #[command(
        after_help = "Example:\n  MONGO_USERNAME=audittrail MONGO_PASSWORD_FILE=/run/secrets/mongo audittrail copy --from /var/lib/audittrail --to mongodb://db1,db2,db3/audittrail?replicaSet=rs0 --retire"
    )]
    Copy(CopyArguments),
    /// Send load to a server and measure it.
    ///
    /// Without --url it starts a server of its own, in a temporary directory. A server that is
    /// given keeps the entries that are sent to it.
    #[command(
        after_help = "Example:\n  audittrail bench post batch --duration 30s\n  audittrail bench list get --preload 1000000\n  audittrail bench post --rate 5000 --url http://127.0.0.1:8000 --token \"$TOKEN\""
    )]
    Bench(Box<BenchArguments>),
    /// Print what a shell needs to complete commands and flags.
    #[command(
        after_help = "Example:\n  audittrail completions bash > /usr/share/bash-completion/completions/audittrail"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print a manual page, or write all of them.
    #[command(
        after_help = "Example:\n  audittrail man export | man -l -\n  audittrail man --dir /usr/local/share/man/man1"
    )]
    Man(ManArguments),
}

#[derive(Debug, Args)]
pub(crate) struct TokenArguments {
    /// Who it is for: the token's subject.
    #[arg(long, value_name = "NAME")]
    pub(crate) sub: String,
    /// What it allows.
    #[arg(long, value_name = "ROLE", value_parser = ["user", "writer", "reader", "auditor", "admin"])]
    pub(crate) role: String,
    /// Bind it to a tenant.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// How long it is valid: a number with s, m, h or d.
    #[arg(long, default_value = "1h")]
    pub(crate) ttl: String,
}

#[derive(Debug, Clone, Copy, Default, Subcommand)]
pub(crate) enum KeysAction {
    /// Print the verifier key of the log in the data directory.
    #[default]
    Show,
    /// Print a new checkpoint key for AUDITTRAIL_CHECKPOINT_KEY, and its verifier key to
    /// standard error. Nothing is stored.
    New,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The file, or - for standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Entries in one request.
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) batch: u32,
    /// Write refused lines here, each with its reason.
    #[arg(long, value_name = "FILE")]
    pub(crate) reject: Option<PathBuf>,
    /// The server.
    #[arg(long, env = "AUDITTRAIL_URL", default_value = "http://127.0.0.1:8000")]
    pub(crate) url: String,
    /// A token with the scope logs:write.
    #[arg(long, env = "AUDITTRAIL_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// The form.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Form,
    /// The file to write. [default: standard output, also -]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// A filter as the server takes it, for instance user_id=alice or
    /// action__in=door.open,door.close. All that are given must hold.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) filter: Vec<String>,
    /// Leave these parts out of evidence; what is left is proven all the same.
    #[arg(long, value_enum, value_name = "PARTS")]
    pub(crate) withhold: Option<Withheld>,
    /// The server.
    #[arg(long, env = "AUDITTRAIL_URL", default_value = "http://127.0.0.1:8000")]
    pub(crate) url: String,
    /// A token with the scope logs:export.
    #[arg(long, env = "AUDITTRAIL_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

/// What `bench` measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchScenario {
    /// POST of one entry.
    Post,
    /// POST of --batch entries as NDJSON.
    Batch,
    /// First pages of the list, under several filters.
    List,
    /// Entries by id.
    Get,
    /// Inclusion proofs by id.
    Proof,
    /// Whole exports as NDJSON, one at a time.
    Export,
}

/// Made-up entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchKind {
    /// About 351 bytes each, like an application's.
    Small,
    /// About 2 KB each, like a Windows host's.
    Real,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// What to measure, in this order. [default: post batch list get export]
    #[arg(value_name = "SCENARIO", value_enum)]
    pub(crate) scenarios: Vec<BenchScenario>,
    /// The made-up entries to send.
    #[arg(long, value_enum, default_value = "small")]
    pub(crate) kind: BenchKind,
    /// Send the entries of this file, one JSON object a line, again and again. They should have no
    /// ids.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// What entries are made up from: the same number, the same entries.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) connections: u32,
    /// Entries in one request of the scenario batch.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub(crate) batch: u32,
    /// Send so many requests a second, whatever becomes of those before; latencies count from
    /// when each should have been sent. [default: each connection waits for its answer]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) rate: Option<u32>,
    /// How long is sent before anything counts: a number with ms, s, m or h. [default: 2s]
    #[arg(long, value_name = "TIME")]
    pub(crate) warm_up: Option<String>,
    /// How long each scenario is measured. [default: 10s]
    #[arg(long, value_name = "TIME")]
    pub(crate) duration: Option<String>,
    /// Write so many entries before the first scenario. [default: 100000 where reads are measured
    /// of a server of its own, else none]
    #[arg(long, value_name = "N")]
    pub(crate) preload: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// The server. [default: one of its own]
    #[arg(long, requires = "token")]
    pub(crate) url: Option<String>,
    /// A token of the role admin, or with the scopes that the scenarios need.
    #[arg(long, env = "AUDITTRAIL_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The process id of the server at --url, to measure what it costs.
    #[arg(long, requires = "url")]
    pub(crate) pid: Option<u32>,
    /// Where temporary directories are made: on the disk that is to be measured. [default: the
    /// system's]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Measure the project's budgets instead, with their limits; ends with 1 if one is missed.
    #[arg(long, conflicts_with_all = ["url", "scenarios", "rate", "duration", "warm_up"])]
    pub(crate) budgets: bool,
    /// Measure one log at these sizes instead, ascending numbers of entries: what must not depend
    /// on its size.
    #[arg(long, value_name = "SIZES", value_delimiter = ',',
          value_parser = clap::value_parser!(u64).range(1_000..),
          conflicts_with_all = ["url", "scenarios", "rate", "duration", "warm_up", "budgets"])]
    pub(crate) growth: Vec<u64>,
    /// Entries in the log that the budgets of reading are measured on; they name 10000000.
    /// [default: 1000000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..))]
    pub(crate) entries: Option<u64>,
    /// With --budgets: seconds of each burst. [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) burst: Option<u64>,
    /// With --budgets: seconds of what they call a minute. [default: 60]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) sustained: Option<u64>,
}

/// What evidence can leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Withheld {
    /// Who, what was acted on, from where, the details, and who sent it.
    Sealed,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// The evidence, or - for standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// A verifier key of the log, as name+8 hex digits+base64. Give it several times where the
    /// key was changed.
    #[arg(long, value_name = "VKEY", required = true)]
    pub(crate) key: Vec<String>,
    /// Ask for cosignatures of witnesses, too, as this C2SP policy file says.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Print the report as a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a page with the evidence in it, which shows it and checks it in any browser, also
    /// where the evidence does not verify.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Check on so many threads. [default: as many as there are processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub(crate) threads: Option<u16>,
    /// Check the server's signatures, too, with the key in this file. Whoever has that key can
    /// make such signatures. Give it several times where the key was changed.
    #[arg(long, value_name = "FILE")]
    pub(crate) signing_key: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ProveArguments {
    /// The entry's id.
    #[arg(value_name = "ID")]
    pub(crate) id: uuid::Uuid,
    /// The file to write. [default: standard output, also -]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Write a line of evidence with the entry itself, its proof, checkpoint and verifier key.
    #[arg(long)]
    pub(crate) json: bool,
    /// The log's verifier key, from a place that is not this server: what `audittrail keys show`
    /// printed. Without it the key that the server sends is used.
    #[arg(long, value_name = "VKEY")]
    pub(crate) key: Option<String>,
    /// The server.
    #[arg(long, env = "AUDITTRAIL_URL", default_value = "http://127.0.0.1:8000")]
    pub(crate) url: String,
    /// A token with the scope logs:prove.
    #[arg(long, env = "AUDITTRAIL_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct WitnessArguments {
    /// The logs to watch: a C2SP policy file with a line `log VKEY` for each, and `quorum none`.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    /// The witness's name, fixed at the first start. [default: made from its key]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct MonitorArguments {
    /// The log: the URL below which it has /checkpoint and /tile/.
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// The log's verifier key, from a place that is not the log; again for each further key while
    /// it changes its key.
    #[arg(long, value_name = "VKEY", required = true)]
    pub(crate) key: Vec<String>,
    /// Where the newest checkpoint is kept; evidence and status beside it.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "audittrail-monitor.checkpoint"
    )]
    pub(crate) state: PathBuf,
    /// Check once and end.
    #[arg(long)]
    pub(crate) once: bool,
    /// The time from one check to the next: a number with ms, s, m or h. [default: 60s]
    #[arg(long, value_name = "TIME", conflicts_with = "once")]
    pub(crate) interval: Option<String>,
    /// Copy the log into this directory, each leaf checked, as a static tlog-tiles log.
    #[arg(long, value_name = "DIR")]
    pub(crate) mirror: Option<PathBuf>,
    /// Tell each new finding here, by a POST of JSON.
    #[arg(long, value_name = "URL")]
    pub(crate) webhook: Option<String>,
    /// Where Prometheus finds metrics: address and port. [default: nowhere]
    // Of the type of the server's setting of this name, which is one of all commands: its variable
    // counts here, too.
    #[arg(long, value_name = "ADDR", conflicts_with = "once")]
    pub(crate) metrics_listen: Option<String>,
    /// It is a finding if the newest checkpoint was first seen so long ago.
    #[arg(long, value_name = "TIME")]
    pub(crate) max_age: Option<String>,
    /// It is a finding if the log cannot be checked for so long. [default: 10m]
    #[arg(long, value_name = "TIME", conflicts_with = "once")]
    pub(crate) unreachable_after: Option<String>,
    /// The time for one answer of the log. [default: 30s]
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<String>,
    /// A token with the scope logs:prove, where the log asks for one.
    #[arg(long, env = "AUDITTRAIL_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Print each check as a line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HealthArguments {
    /// Ask only whether the process answers.
    #[arg(long)]
    pub(crate) live: bool,
    /// Ask here instead of where --listen says.
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// Give up after so many seconds.
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=300))]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// The command whose page is printed. [default: audittrail itself]
    pub(crate) command: Vec<String>,
    /// Write the pages of all commands into this directory.
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArguments {
    /// The backup: a directory that is empty, does not exist yet, or holds an earlier backup of
    /// this log. The directory above it has to exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Copy the secret keys in the data directory, too: then whoever has the backup can sign. Keys
    /// that are given by the settings are never copied.
    #[arg(long)]
    pub(crate) with_keys: bool,
    /// Compare what is there already with the log, byte for byte, too.
    #[arg(long)]
    pub(crate) compare: bool,
    /// The log's verifier key, where its checkpoint key is neither in the data directory nor in the
    /// settings. Give it several times where the key was changed.
    #[arg(long, value_name = "VKEY")]
    pub(crate) key: Vec<String>,
    /// Print the summary as a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// The backup.
    #[arg(long, value_name = "DIR")]
    pub(crate) from: PathBuf,
    /// That the log which was backed up does not go on anywhere: without this nothing is restored.
    #[arg(long)]
    pub(crate) original_is_gone: bool,
    /// The newest checkpoint of the log that is known, which the backup has to reach. The file of
    /// --watermark counts, too, where it is there.
    #[arg(long, value_name = "CHECKPOINT")]
    pub(crate) since: Option<PathBuf>,
    /// The log's verifier key, from a place that is not the backup: without it, and without the
    /// checkpoint key, the one that the backup names is believed. Give it several times where the
    /// key was changed.
    #[arg(long, value_name = "VKEY")]
    pub(crate) key: Vec<String>,
    /// Print the summary as a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CopyArguments {
    /// The log: a data directory, or a mongodb:// or mongodb+srv:// URL. User and password can be in
    /// MONGO_USERNAME and MONGO_PASSWORD.
    #[arg(long, value_name = "DIR|URL")]
    pub(crate) from: String,
    /// Where it is copied to, named in the same way. The directory above a data directory has to exist.
    #[arg(long, value_name = "DIR|URL")]
    pub(crate) to: String,
    /// When all is copied, close the log at --from: no server goes on with it there any more. Nothing
    /// may be adding to it.
    #[arg(long)]
    pub(crate) retire: bool,
    /// The log's verifier key, where its checkpoint key is not at hand: without both, the one that
    /// MongoDB names is believed. Give it several times where the key was changed.
    #[arg(long, value_name = "VKEY")]
    pub(crate) key: Vec<String>,
    /// Print the summary as a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FsckArguments {
    /// An earlier checkpoint of this log, from a place that is not the data directory.
    #[arg(long, value_name = "CHECKPOINT")]
    pub(crate) since: Option<PathBuf>,
    /// The log's verifier key, where its checkpoint key is not at hand, or not to be believed. Give
    /// it several times where the key was changed.
    #[arg(long, value_name = "VKEY")]
    pub(crate) key: Vec<String>,
}
