//! docs/configuration.md, made from the definitions of the command line: the test fails when it is
//! stale, and `make docs` writes it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory as _};

use crate::cli::Cli;

/// What is read from the environment alone; each has a form with `_FILE`.
const SECRETS: [(&str, &str, &str); 8] = [
    (
        "LOG_SIGNING_KEY",
        "made at first start; with MongoDB to be set",
        "The key that signs entries, at least 32 bytes",
    ),
    (
        "AUDITTRAIL_EARLIER_SIGNING_KEYS",
        "",
        "The keys that signed entries before, one a line",
    ),
    (
        "AUDITTRAIL_CHECKPOINT_KEY",
        "made at first start; with MongoDB to be set",
        "The key that signs checkpoints, as `audittrail keys new` prints it",
    ),
    (
        "AUDITTRAIL_JWT_SECRET",
        "made at first start; with MongoDB to be set",
        "The secret of HS256 tokens, at least 32 bytes",
    ),
    (
        "MONGO_USERNAME",
        "",
        "The user of MongoDB, where the URL of the store has none",
    ),
    (
        "MONGO_PASSWORD",
        "",
        "The password of MongoDB, where the URL of the store has none",
    ),
    (
        "REDIS_USERNAME",
        "",
        "The user of Redis, where the URL of the queue has none",
    ),
    (
        "REDIS_PASSWORD",
        "",
        "The password of Redis, where the URL of the queue has none",
    ),
];

const HEAD: &str = "\
# Settings

Made by `make docs` from the definitions of the command line; a test compares. Flags over environment
over a TOML file (`--config`, `AUDITTRAIL_CONFIG`), in which a setting is called as here. A setting
that is not known, or cannot be used, ends the start with exit code 2 and a line that says why. All of
them are settings of `audittrail serve`; other commands heed those that concern them. [.env.example](../.env.example)
has them all to copy.
";

const SECRETS_HEAD: &str = "
## Secrets

From the environment, or from a file: `NAME_FILE` names it, and its last line end does not count. Not
both, and neither empty. None is a flag or in the TOML file, so that none is in a list of processes or
in a file of settings.
";

const CLIENT_HEAD: &str = "
## Commands that talk to a server

Flags of single commands are in `audittrail COMMAND --help` and in the manual pages.
";

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

/// A cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn code(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("`{}`", cell(text))
    }
}

fn variable(arg: &Arg) -> Option<String> {
    arg.get_env()
        .map(|name| name.to_string_lossy().into_owned())
}

fn flag(arg: &Arg) -> String {
    let value = arg.get_value_names().and_then(|names| names.first());
    let value = value.map_or("", |name| name.as_str());
    format!("--{} {value}", arg.get_long().unwrap_or_default())
}

/// Help ends with its default, where there is one: `[default: this]`. Its meaning, and that.
fn help(arg: &Arg) -> (String, String) {
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let text = help.map(ToString::to_string).unwrap_or_default();
    let stated = arg.get_default_values().first();
    let stated = stated.map(|value| value.to_string_lossy().into_owned());
    let split = text.split_once("[default: ");
    let (meaning, default) = split.map_or((text.as_str(), ""), |(meaning, rest)| {
        (meaning, rest.trim_end().trim_end_matches(']'))
    });
    (
        meaning.trim().to_owned(),
        stated.unwrap_or_else(|| default.to_owned()),
    )
}

fn settings(command: &Command, page: &mut String) -> std::fmt::Result {
    page.push_str(
        "\n| variable | flag | in the file | default | meaning |\n|---|---|---|---|---|\n",
    );
    for arg in command.get_arguments() {
        let Some(variable) = variable(arg) else {
            continue;
        };
        let name = arg.get_id().as_str();
        let in_file = if name == "config" { "" } else { name };
        let (meaning, default) = help(arg);
        // Some defaults are words, and some are values.
        let default = if default.contains(' ') {
            cell(&default)
        } else {
            code(&default)
        };
        let (flag, in_file) = (code(&flag(arg)), code(in_file));
        // The last full stop of a help text is left out by its macro.
        let meaning = cell(meaning.trim_end_matches('.'));
        writeln!(
            page,
            "| `{variable}` | {flag} | {in_file} | {default} | {meaning} |"
        )?;
    }
    Ok(())
}

/// Variables of single commands, with the commands that have them.
fn of_commands(command: &Command, page: &mut String) -> std::fmt::Result {
    page.push_str("\n| variable | flag | default | commands |\n|---|---|---|---|\n");
    let global: Vec<_> = command.get_arguments().filter_map(variable).collect();
    let mut rows: Vec<(String, String, String, Vec<&str>)> = Vec::new();
    for one in command.get_subcommands() {
        for arg in one.get_arguments() {
            let Some(name) = variable(arg).filter(|name| !global.contains(name)) else {
                continue;
            };
            match rows.iter_mut().find(|row| row.0 == name) {
                Some(row) => row.3.push(one.get_name()),
                None => rows.push((name, flag(arg), help(arg).1, vec![one.get_name()])),
            }
        }
    }
    for (name, flag, default, commands) in rows {
        let (flag, default) = (code(&flag), code(&default));
        let commands = commands.join(", ");
        writeln!(page, "| `{name}` | {flag} | {default} | {commands} |")?;
    }
    Ok(())
}

fn page() -> String {
    let command = Cli::command();
    let mut page = HEAD.to_owned();
    settings(&command, &mut page).unwrap();
    page.push_str(SECRETS_HEAD);
    page.push_str("\n| variable | default | meaning |\n|---|---|---|\n");
    for (name, default, meaning) in SECRETS {
        writeln!(page, "| `{name}`, `{name}_FILE` | {default} | {meaning} |").unwrap();
    }
    page.push_str(CLIENT_HEAD);
    of_commands(&command, &mut page).unwrap();
    page
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "it writes a page of the documentation"
)]
fn docs_configuration_is_what_the_code_says() {
    let path = repository("docs/configuration.md");
    let made = page();
    assert!(made.matches("\n| `").count() > 35, "{made}");
    if std::env::var_os("AUDITTRAIL_WRITE_DOCS").is_some() {
        std::fs::write(&path, made).unwrap();
        return;
    }
    let is = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = made.lines().zip(is.lines()).find(|(made, is)| made != is);
    assert!(
        made == is,
        "docs/configuration.md is stale (first: {differs:?}): run make docs"
    );
}

/// Every secret that the code reads is in the list above, and the reverse.
#[test]
fn every_secret_is_listed() {
    let mut read: Vec<String> = Vec::new();
    let mut folders = vec![repository("crates/server/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("reference.rs") {
                let source = std::fs::read_to_string(&path).unwrap();
                let calls = source.split("secret(\"").skip(1);
                read.extend(calls.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }
    let mut listed: Vec<&str> = SECRETS.iter().map(|(name, ..)| *name).collect();
    read.sort();
    read.dedup();
    listed.sort_unstable();
    assert_eq!(read, listed);
}
