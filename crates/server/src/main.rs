//! The `audittrail` binary: settings, composition, lifecycle, telemetry and commands.

mod ambient;
mod cli;
mod commands;
mod following;
mod http;
mod jwks;
mod lifecycle;
mod log_keys;
mod metered;
mod mongo;
mod node;
mod packing;
#[cfg(test)]
mod reference;
mod settings;
mod telemetry;
mod witness;
mod witnesses;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};

/// Gives memory back that is not used any more, soon (`.cargo/config.toml`): the system's
/// allocator keeps what a burst, or a merge of the index, took.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How a command ended, other than well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Something did not verify. What, was printed.
    #[error("{0}")]
    Unverified(String),
    /// The settings or the arguments cannot be used.
    #[error("{0}")]
    Usage(String),
    /// It could not be carried out.
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Unverified(_) => 1,
            Self::Usage(_) => 2,
            Self::Failed(_) => 3,
        })
    }
}

/// A line of a command's result. Nobody reading it is no failure.
macro_rules! out {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($argument)*);
    }};
}
pub(crate) use out;

/// A line for the person at the terminal.
macro_rules! note {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($argument)*);
    }};
}
pub(crate) use note;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            note!("audittrail: {failure}");
            failure.exit_code()
        }
    }
}

/// The settings of a log in a data directory: who means one in MongoDB is not to be told of another.
fn on_disk(settings: settings::Settings) -> Result<settings::Settings, Failure> {
    match settings.topology.store {
        settings::StoreAt::Embedded => Ok(settings),
        settings::StoreAt::Mongo(_) => Err(Failure::Usage(
            "this command is for a data directory, and AUDITTRAIL_STORE names MongoDB: leave that out \
             to use --data. A log in MongoDB is backed up by MongoDB's tools, or by `audittrail copy` to \
             a directory, which `audittrail fsck` checks"
                .to_owned(),
        )),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    if let Command::Copy(arguments) = &cli.command {
        return commands::copy::run(&settings::resolve_elsewhere(cli.settings)?, arguments);
    }
    let settings = || settings::resolve(cli.settings);
    match cli.command {
        Command::Serve => commands::serve::run(settings()?),
        Command::Worker => commands::worker::run(settings()?),
        Command::Token(arguments) => commands::token::run(&settings()?, &arguments),
        Command::Keys { action } => commands::keys::run(&settings()?, action.unwrap_or_default()),
        Command::Import(arguments) => commands::import::run(&settings()?, &arguments),
        Command::Export(arguments) => commands::export::run(&arguments),
        Command::Verify(arguments) => commands::verify::run(&arguments),
        Command::Prove(arguments) => commands::prove::run(&arguments),
        Command::Witness(arguments) => witness::run(settings()?, &arguments),
        Command::Monitor(arguments) => commands::monitor::run(&arguments),
        Command::Health(arguments) => commands::health::run(&settings()?, &arguments),
        Command::Fsck(arguments) => commands::fsck::run(&on_disk(settings()?)?, &arguments),
        Command::Backup(arguments) => commands::backup::run(&on_disk(settings()?)?, &arguments),
        // Settled above: what it names are other places than the settings'.
        Command::Copy(_) => Ok(()),
        Command::Restore(arguments) => commands::restore::run(&on_disk(settings()?)?, &arguments),
        Command::Bench(arguments) => commands::bench::run(&arguments),
        Command::Completions { shell } => {
            commands::manual::completions(shell);
            Ok(())
        }
        Command::Man(arguments) => commands::manual::man(&arguments),
    }
}
