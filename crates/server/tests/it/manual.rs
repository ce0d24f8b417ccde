//! Health checks, completions, manual pages, and what `make install` puts where.

use std::path::Path;

use crate::support::{BINARY, command, repository, start, success, text};

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = command(BINARY).args(arguments).output().unwrap();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// It needs the settings of `serve` and nothing else: no token, no curl, no PATH.
#[test]
fn health_asks_where_serve_listens() {
    let (home, server) = start();
    let address = server.url.strip_prefix("http://").unwrap();
    let port = address.rsplit(':').next().unwrap();
    let everywhere = format!("0.0.0.0:{port}");
    let ready = |arguments: &[&str]| run(&[&["health"], arguments].concat());
    assert_eq!(ready(&["--listen", address]).1, "ready\n");
    assert_eq!(ready(&["--listen", &everywhere, "--live"]).1, "live\n");
    assert_eq!(
        ready(&["--url", &server.url, "--timeout", "1"]).1,
        "ready\n"
    );
    let file = home.path().join("settings.toml");
    std::fs::write(&file, format!("listen = \"{everywhere}\"\n")).unwrap();
    for variable in [
        ("AUDITTRAIL_LISTEN", address),
        ("AUDITTRAIL_CONFIG", file.to_str().unwrap()),
    ] {
        let mut health = command(BINARY);
        health
            .arg("health")
            .env(variable.0, variable.1)
            .env_remove("PATH");
        // A proxy would be asked for this machine's health in vain.
        health.env("http_proxy", "http://127.0.0.1:1");
        assert_eq!(success(&health.output().unwrap()), "ready\n");
    }
    let listen = format!("127.0.0.1:{port}");
    server.kill();
    let (code, out, err) = ready(&["--listen", &listen]);
    assert!(
        code == Some(3) && out.is_empty() && err.contains("does not answer"),
        "{err}"
    );
}

/// A server that answers, but with no: 1. One that says nothing: 3, after the time given.
#[test]
fn health_of_a_server_that_is_not_well() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let body = r#"{"detail":"The store takes no writes: the disk is full."}"#;
        let head = format!(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let _ = socket.read(&mut [0; 1_024]).unwrap();
        socket.write_all((head + body).as_bytes()).unwrap();
        // Accepted by the kernel and never answered.
        listener
    });
    let (code, _, err) = run(&["health", "--url", &url]);
    assert!(code == Some(1) && err.contains("the disk is full"), "{err}");
    let _listener = thread.join().unwrap();
    let (code, _, err) = run(&["health", "--url", &url, "--timeout", "1"]);
    assert!(code == Some(3) && err.contains("does not answer"), "{err}");
    for (arguments, says) in [
        (vec!["--listen", "127.0.0.1:0"], "--url"),
        (vec!["--listen", "here"], "127.0.0.1:8000"),
        (vec!["--url", "here"], "http://"),
        (vec!["--timeout", "0"], "1..=300"),
        (vec!["--dead"], "unexpected"),
    ] {
        let (code, _, err) = run(&[&["health"], &*arguments].concat());
        assert!(
            code == Some(2) && err.contains(says),
            "{arguments:?}: {err}"
        );
    }
}

#[test]
fn completions_of_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        // Whatever the settings are.
        let output = command(BINARY)
            .args(["completions", shell])
            .env("AUDITTRAIL_LISTEN", "nonsense")
            .env("AUDITTRAIL_TOKEN", "a secret")
            .output()
            .unwrap();
        let script = success(&output);
        for word in ["export", "--reject", "--filter"] {
            let word = if shell == "fish" {
                word.trim_start_matches('-')
            } else {
                word
            };
            assert!(script.contains(word), "{shell} lacks {word}");
        }
        assert!(!script.contains("a secret") && !script.contains("nonsense"));
    }
    // The shell that is there takes it, and completes with it.
    let complete = "source <(\"$0\" completions bash); COMP_WORDS=(audittrail exp); COMP_CWORD=1; \
                    _audittrail audittrail exp audittrail; echo \"${COMPREPLY[@]}\"";
    let output = command("bash")
        .args(["-c", complete, BINARY])
        .output()
        .unwrap();
    assert_eq!(success(&output), "export\n");
    for (arguments, says) in [(vec![], "<SHELL>"), (vec!["ksh"], "bash")] {
        let (code, _, err) = run(&[&["completions"], &*arguments].concat());
        assert!(code == Some(2) && err.contains(says), "{err}");
    }
}

/// The commands that `--help` lists.
fn commands() -> Vec<String> {
    let (_, help, _) = run(&["--help"]);
    let rows = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let rows = rows.take_while(|line| !line.is_empty());
    let names = rows.filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_has_a_page() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().to_str().unwrap();
    assert_eq!(run(&["man", "--dir", directory]).0, Some(0));
    let commands = commands();
    assert!(commands.len() >= 9, "{commands:?}");
    for name in &commands {
        let page =
            std::fs::read_to_string(home.path().join(format!("audittrail-{name}.1"))).unwrap();
        assert!(
            page.contains(".SH OPTIONS") && page.contains("Example:"),
            "{name}: {page}"
        );
        assert_eq!(run(&["man", name]).1, page);
    }
    assert!(run(&["man"]).1.contains("audittrail\\-export(1)"));
    assert!(run(&["man", "keys", "new"]).1.contains("checkpoint key"));
    for (arguments, code, says) in [
        (vec!["sing"], 2, "no command sing"),
        (vec!["--dir", "no-such"], 2, "is no directory"),
        (vec!["export", "--dir", directory], 2, "cannot be used with"),
        (vec!["--dir", "/proc"], 3, "cannot be written"),
    ] {
        let (is, _, err) = run(&[&["man"], &*arguments].concat());
        assert!(
            is == Some(code) && err.contains(says),
            "{arguments:?}: {is:?} {err}"
        );
    }
}

#[test]
fn make_install_puts_everything_in_its_place() {
    let home = tempfile::tempdir().unwrap();
    let install = |target: &str| {
        let make = command("make")
            .args([target, "PREFIX=/opt/audit", &format!("BINARY={BINARY}")])
            .arg(format!("DESTDIR={}", home.path().display()))
            .current_dir(repository(""))
            .output()
            .unwrap();
        success(&make)
    };
    install("install");
    let root = home.path().join("opt/audit");
    let there = |path: &str| root.join(path).is_file();
    let binary = root.join("bin/audittrail");
    assert!(
        success(&command(binary).arg("--version").output().unwrap()).starts_with("audittrail ")
    );
    let mut paths = vec![
        "share/man/man1/audittrail.1".to_owned(),
        "share/bash-completion/completions/audittrail".to_owned(),
        "share/zsh/site-functions/_audittrail".to_owned(),
        "share/fish/vendor_completions.d/audittrail.fish".to_owned(),
        "lib/systemd/system/audittrail.service".to_owned(),
    ];
    paths.extend(
        commands()
            .iter()
            .map(|name| format!("share/man/man1/audittrail-{name}.1")),
    );
    for path in &paths {
        assert!(there(path), "{path}");
    }
    let unit = root.join("lib/systemd/system/audittrail.service");
    let unit = std::fs::read_to_string(unit).unwrap();
    assert!(
        unit.contains("\nExecStart=/opt/audit/bin/audittrail serve\n"),
        "{unit}"
    );
    // Again, over what is there; then away with it.
    install("install");
    install("uninstall");
    assert_eq!(files_below(home.path()), 0);
}

fn files_below(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).unwrap();
    let count = |path: std::path::PathBuf| {
        if path.is_dir() { files_below(&path) } else { 1 }
    };
    entries.map(|entry| count(entry.unwrap().path())).sum()
}
