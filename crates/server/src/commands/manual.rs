//! `audittrail completions` and `audittrail man`, both made from the command line's definition.

use std::io::Write as _;
use std::path::Path;

use clap::CommandFactory as _;

use crate::Failure;
use crate::cli::{Cli, ManArguments};

fn unwritten(error: &std::io::Error) -> Failure {
    Failure::Failed(format!("the page cannot be written: {error}"))
}

/// Prints the completions of a shell.
pub(crate) fn completions(shell: clap_complete::Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "audittrail", &mut script);
    // Nobody reading it is no failure.
    let _ = std::io::stdout().write_all(&script);
}

pub(crate) fn man(arguments: &ManArguments) -> Result<(), Failure> {
    match &arguments.dir {
        Some(directory) => all_pages(directory),
        None => one_page(&arguments.command),
    }
}

fn all_pages(directory: &Path) -> Result<(), Failure> {
    if !directory.is_dir() {
        return Err(Failure::Usage(format!(
            "{} is no directory; make it first",
            directory.display()
        )));
    }
    clap_mangen::generate_to(Cli::command(), directory).map_err(|error| {
        Failure::Failed(format!(
            "the pages cannot be written to {}: {error}",
            directory.display()
        ))
    })
}

fn one_page(names: &[String]) -> Result<(), Failure> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut found = &command;
    for name in names {
        found = found.find_subcommand(name).ok_or_else(|| {
            Failure::Usage(format!(
                "there is no command {name}; audittrail --help lists them"
            ))
        })?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(found.clone())
        .render(&mut page)
        .map_err(|error| unwritten(&error))?;
    let _ = std::io::stdout().write_all(&page);
    Ok(())
}
