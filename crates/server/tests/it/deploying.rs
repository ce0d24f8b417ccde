//! What deploy/ says of the binary is so, and its scripts do what they say where no Docker is needed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use crate::support::{BINARY, command, repository, success, text};

/// Of the stacks themselves, for who deploys.
const OF_THE_STACKS: [&str; 10] = [
    "AUDITTRAIL_ADDRESS",
    "AUDITTRAIL_API_PORTS",
    "AUDITTRAIL_API_REPLICAS",
    "AUDITTRAIL_CPUS",
    "AUDITTRAIL_ENDPOINT_MODE",
    "AUDITTRAIL_FILES",
    "AUDITTRAIL_IMAGE",
    "AUDITTRAIL_MEMORY",
    "AUDITTRAIL_PORT",
    "AUDITTRAIL_PORT_MODE",
];

fn words(text: &str) -> BTreeSet<&str> {
    let part_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = text.split(|letter| !part_of_name(letter));
    words
        .filter(|word| word.starts_with("AUDITTRAIL_") || *word == "LOG_SIGNING_KEY_FILE")
        .collect()
}

/// A setting that is misspelt in a stack would not be heeded, and nobody would see it.
#[test]
fn the_stacks_use_settings_that_exist() {
    let page = std::fs::read_to_string(repository("docs/configuration.md")).unwrap();
    let known = words(&page);
    let mut used = 0;
    for file in [
        "compose.yml",
        "stack.yml",
        "stack-embedded.yml",
        "stack-signing-key.yml",
        "audittrail.service",
        "Dockerfile",
    ] {
        let stack = std::fs::read_to_string(repository("deploy").join(file)).unwrap();
        for name in words(&stack) {
            let of_stack = OF_THE_STACKS.contains(&name);
            assert!(
                known.contains(name) || of_stack,
                "{file}: {name} is no setting"
            );
            used += 1;
        }
    }
    assert!(used > 40, "{used}");
}

fn script(name: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut script = command(repository("deploy").join(name));
    script.args(arguments).envs(settings.iter().copied());
    script.output().unwrap()
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn listing(directory: &Path) -> BTreeSet<(String, u32, Vec<u8>)> {
    use std::os::unix::fs::PermissionsExt as _;
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| {
        let entry = entry.unwrap();
        (
            entry.file_name().into_string().unwrap(),
            entry.metadata().unwrap().permissions().mode() & 0o777,
            std::fs::read(entry.path()).unwrap(),
        )
    });
    entries.collect()
}

/// Made once, read by the users of containers, in a directory that only its owner enters; the binary
/// takes them.
#[test]
fn secrets_are_made_once() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let secrets = home.path().join("secrets");
    let make = || {
        let directory = secrets.to_str().unwrap();
        script("make-secrets", &[directory], &[("AUDITTRAIL", BINARY)])
    };
    success(&make());
    let first = listing(&secrets);
    assert_eq!(first.len(), 9, "{first:?}");
    assert!(
        first
            .iter()
            .all(|(_, mode, secret)| *mode == 0o444 && !secret.ends_with(b"\n"))
    );
    let mode = secrets.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    success(&make());
    assert_eq!(listing(&secrets), first);
    let mut token = command(BINARY);
    token.args(["token", "--sub", "a", "--role", "admin", "--data"]);
    token.arg(home.path().join("data"));
    for (variable, file) in [
        ("LOG_SIGNING_KEY_FILE", "log_signing_key"),
        ("AUDITTRAIL_CHECKPOINT_KEY_FILE", "checkpoint_key"),
        ("AUDITTRAIL_JWT_SECRET_FILE", "jwt_secret"),
    ] {
        token.env(variable, secrets.join(file));
    }
    assert_eq!(
        success(&token.output().unwrap()).matches('.').count(),
        2,
        "a token"
    );
    // What could not be made leaves nothing that looks like it.
    std::fs::remove_file(secrets.join("checkpoint_key")).unwrap();
    let failed = script(
        "make-secrets",
        &[secrets.to_str().unwrap()],
        &[("AUDITTRAIL", "false")],
    );
    assert!(!failed.status.success() && text(&failed.stderr).contains("AUDITTRAIL"));
    assert!(!secrets.join("checkpoint_key").exists());
}

/// The image has no libraries: this binary, which needs some, would not start in it.
#[test]
fn a_binary_that_needs_libraries_makes_no_image() {
    let home = tempfile::tempdir().unwrap();
    let context = home.path().join("image");
    let context = context.to_str().unwrap();
    let made = |pair: &str| script("image-context", &[context, pair], &[]);
    for (pair, says) in [
        (format!("amd64={BINARY}"), "make static"),
        (format!("arm64={BINARY}"), "no program for arm64"),
        (format!("vax={BINARY}"), "amd64 or arm64"),
        ("amd64=no-such".to_owned(), "no-such"),
    ] {
        // Built on the other architecture, the first two change places.
        if cfg!(not(target_arch = "x86_64")) && says != "no-such" && says != "amd64 or arm64" {
            continue;
        }
        let output = made(&pair);
        let err = text(&output.stderr);
        assert!(
            output.status.code() == Some(2) && err.contains(says),
            "{pair}: {err}"
        );
    }
}

/// The same bytes each time, whole, under checksums that hold.
#[test]
fn archives_can_be_made_again() {
    let home = tempfile::tempdir().unwrap();
    let version = format!("v{}", env!("CARGO_PKG_VERSION"));
    success(&script("check-version", &[&version], &[]));
    assert_eq!(
        script("check-version", &["v99.0.0"], &[]).status.code(),
        Some(1)
    );
    // In place of the binary, which takes its time to be compressed.
    let small = home.path().join("small");
    std::fs::write(&small, "#!/bin/sh\nexit 0\n").unwrap();
    make_executable(&small);
    let archive = |folder: &str| {
        let folder = home.path().join(folder);
        let folder = folder.to_str().unwrap();
        let small = small.to_str().unwrap();
        let made = script("archive", &[&version, "amd64", small, folder], &[]);
        std::fs::read(success(&made).trim()).unwrap()
    };
    assert!(archive("one") == archive("two"), "the archives differ");
    let one = home.path().join("one");
    let sums = script("checksums", &[one.to_str().unwrap(), "SHA256SUMS"], &[]);
    assert_eq!(success(&sums).lines().count(), 1);
    let check = "sha256sum --check --quiet SHA256SUMS && tar --list --file *.tar.gz";
    let check = command("sh").args(["-c", check]).current_dir(one).output();
    let files = success(&check.unwrap());
    for file in [
        "bin/audittrail",
        "lib/systemd/system/audittrail.service",
        "docs/deploy.md",
    ] {
        let name = format!("audittrail-{version}-linux-amd64/{file}\n");
        assert!(files.contains(&name), "{file}: {files}");
    }
}

/// It says what is missing before it changes anything, and never shows a secret.
#[test]
fn deploying_says_what_is_missing() {
    let home = tempfile::tempdir().unwrap();
    let docker = home.path().join("docker");
    let calls = home.path().join("calls");
    // A manager of a swarm that has no secret.
    let fake = format!(
        "#!/bin/sh\necho \"$*\" >> {}\n[ \"$1\" = info ] && echo true\n[ \"$1\" != secret ]\n",
        calls.display()
    );
    std::fs::write(&docker, fake).unwrap();
    make_executable(&docker);
    let path = format!(
        "{}:{}",
        home.path().display(),
        std::env::var("PATH").unwrap()
    );
    let deploy = |arguments: &[&str], key: &str| {
        let settings = [("PATH", path.as_str()), ("LOG_SIGNING_KEY", key)];
        let output = script("deploy.sh", arguments, &settings);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        text(&output.stderr)
    };
    assert!(deploy(&["embedded"], "").contains("usage"));
    assert!(deploy(&["large", "image:1"], "").contains("embedded or shared"));
    let lacks = deploy(&["shared", "image:1"], "");
    assert!(lacks.contains("audittrail_checkpoint_key") && lacks.contains("docs/deploy.md"));
    let secret = "do not show this to anybody";
    let unknown = deploy(&["embedded", "image:1"], secret);
    assert!(unknown.contains("not checked") && !unknown.contains(secret));
    let calls = std::fs::read_to_string(calls).unwrap();
    assert!(
        !calls.contains("create") && !calls.contains("stack") && !calls.contains(secret),
        "{calls}"
    );
}
