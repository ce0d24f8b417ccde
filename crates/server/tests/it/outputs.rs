//! No command writes over what it reads, by whatever name.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::support::{BINARY, command, repository, text};

/// Everything in a directory: the bytes of files, and nothing of links.
fn content(home: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(home).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| (path.clone(), std::fs::read(&path).unwrap_or_default()))
        .collect()
}

/// Runs a command, which has to refuse and to leave everything as it is.
fn refused(home: &Path, arguments: &[&str], stdin: Option<&str>, says: &str) {
    let before = content(home);
    let mut run = command(BINARY);
    run.current_dir(home).args(arguments);
    if let Some(stdin) = stdin {
        run.stdin(File::open(home.join(stdin)).unwrap());
    }
    let output = run.output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(said.contains(says), "{arguments:?}: {said}");
    assert!(before == content(home), "{arguments:?} changed something");
}

#[test]
fn verify_writes_its_page_over_no_input() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let golden = repository("testdata/golden/evidence");
    let evidence = golden.join("complete.evidence.jsonl");
    let key = std::fs::read_to_string(golden.join("key.txt")).unwrap();
    for name in ["a", "b.partial"] {
        std::fs::copy(&evidence, home.join(name)).unwrap();
    }
    std::fs::hard_link(home.join("a"), home.join("hard")).unwrap();
    std::os::unix::fs::symlink("a", home.join("soft")).unwrap();
    std::fs::write(home.join("policy"), "quorum none\n").unwrap();
    std::fs::write(
        home.join("signing"),
        "a signing key of thirty-two bytes or more",
    )
    .unwrap();
    let verify = |more: &[&str], stdin, says: &str| {
        let arguments = [&["verify", "--key", key.trim()], more].concat();
        refused(home, &arguments, stdin, says);
    };
    let says = "give --html another name";
    for page in ["a", "./a", "soft", "hard"] {
        verify(&["a", "--html", page], None, says);
        verify(&["-", "--html", page], Some("a"), says);
        verify(&["soft", "--html", page], None, says);
    }
    // What is under way has this name.
    verify(&["b.partial", "--html", "b"], None, "b.partial is a file");
    for (option, path) in [("--policy", "policy"), ("--signing-key", "signing")] {
        verify(&["a", option, path, "--html", path], None, says);
    }
    verify(
        &["a", "--html", "/dev/null"],
        None,
        "name one, or leave --html out",
    );
    let mut run = command(BINARY);
    run.current_dir(home);
    run.args(["verify", "a", "--key", key.trim(), "--html", "page"]);
    assert!(run.output().unwrap().status.success());
    let page = std::fs::read_to_string(home.join("page")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>"));
}

#[test]
fn import_writes_its_refusals_over_no_input() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::write(home.join("a"), "{}\n").unwrap();
    std::fs::hard_link(home.join("a"), home.join("hard")).unwrap();
    std::os::unix::fs::symlink("a", home.join("soft")).unwrap();
    let import = ["import", "--token", "t", "--url", "http://127.0.0.1:1"];
    for reject in ["a", "soft", "hard"] {
        for (file, stdin) in [("a", None), ("-", Some("a"))] {
            let arguments = [&import[..], &[file, "--reject", reject]].concat();
            refused(home, &arguments, stdin, "give --reject another name");
        }
    }
}

#[test]
fn monitor_keeps_its_state_out_of_the_mirror() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::create_dir(home.join("copy")).unwrap();
    std::os::unix::fs::symlink("copy", home.join("link")).unwrap();
    let key = std::fs::read_to_string(repository("testdata/golden/evidence/key.txt")).unwrap();
    for state in ["copy/checkpoint", "./link/checkpoint", "copy/other"] {
        let arguments = [
            &["monitor", "http://127.0.0.1:1", "--once", "--key"][..],
            &[key.trim(), "--mirror", "copy", "--state", state],
        ];
        refused(home, &arguments.concat(), None, "name a file elsewhere");
        assert_eq!(content(&home.join("copy")).len(), 0);
    }
}
