//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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
    /// Check a data directory: frames, signatures, commitments, tree and checkpoint.
    ///
    /// It changes nothing. Beside a running server it checks what is committed.
    #[command(
        after_help = "Example:\n  audittrail fsck --data /var/lib/audittrail --since /mnt/usb/checkpoint"
    )]
    Fsck(FsckArguments),
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
pub(crate) struct FsckArguments {
    /// An earlier checkpoint of this log, from a place that is not the data directory.
    #[arg(long, value_name = "CHECKPOINT")]
    pub(crate) since: Option<PathBuf>,
}
