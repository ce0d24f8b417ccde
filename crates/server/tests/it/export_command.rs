//! `audittrail export`, and transfers that are cut on the way.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{BINARY, Server, command, start, success, text};

fn code_of(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), text(&output.stderr))
}

async fn filled(server: &Server) {
    let entries = json!([
        {"action": "a", "user_id": "alice", "details": {"verified": false}},
        {"action": "b", "user_id": "bob"},
        {"action": "c", "user_id": "alice"},
    ]);
    server.post("/logs/", &entries).await;
}

/// A file in each form, with filters, and the same on standard output.
#[tokio::test]
async fn files_and_standard_output() {
    let (home, server) = start();
    filled(&server).await;
    for (format, count) in [
        ("json", "\"user_id\":\"alice\""),
        ("ndjson", "\"user_id\":\"alice\""),
        ("csv", ",alice,"),
    ] {
        let arguments = [
            "--format",
            format,
            "--filter",
            "user_id=alice",
            "--filter",
            "action__in=a,c",
        ];
        let out = home.path().join(format!("alice.{format}"));
        std::fs::write(&out, "what was there before").unwrap();
        let mut run = server.run("export");
        let output = run.args(arguments).arg("--out").arg(&out).output().unwrap();
        let said = success(&output);
        assert!(
            said.starts_with("2 entries of a log of ") && said.contains("alice."),
            "{said}"
        );
        assert_eq!(text(&output.stderr), "", "no terminal, no progress");
        let file = std::fs::read_to_string(&out).unwrap();
        assert_eq!(file.matches(count).count(), 2, "{file}");
        for dash in [&[][..], &["--out", "-"]] {
            let output = server
                .run("export")
                .args(arguments)
                .args(dash)
                .output()
                .unwrap();
            assert_eq!(success(&output), file);
        }
    }
    // The default form, and nothing left beside the files.
    let output = server.run("export").output().unwrap();
    let all: Value = serde_json::from_str(&success(&output)).unwrap();
    assert_eq!(all[0]["index"], 0);
    let names = std::fs::read_dir(home.path()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!names.into_iter().any(|name| name.ends_with(".partial")));
}

/// 1: the export is whole and there, and something in it did not verify.
#[tokio::test]
async fn what_did_not_verify_is_said() {
    let (home, server) = start();
    filled(&server).await;
    let segment = server.data().join("log/00000000000000000000.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.windows(3).position(|part| part == b"bob").unwrap();
    bytes[at] = b'B';
    std::fs::write(&segment, bytes).unwrap();
    for format in ["json", "ndjson", "csv"] {
        let out = home.path().join(format);
        let mut run = server.run("export");
        let run = run.args(["--format", format, "--filter", "index_to=2", "--out"]);
        let (code, said) = code_of(&run.arg(&out).output().unwrap());
        assert_eq!(code, Some(1), "{format}: {said}");
        assert!(said.contains("1 of 3 entries did not verify"), "{said}");
        assert!(out.exists());
    }
}

#[tokio::test]
async fn what_cannot_be_used_or_done_is_said() {
    let (home, server) = start();
    filled(&server).await;
    let reader = server.token(&["--sub", "r", "--role", "reader"]);
    std::fs::create_dir(home.path().join("directory")).unwrap();
    for (arguments, code, says) in [
        (vec!["--format", "xml"], 2, "ndjson"),
        (vec!["--filter", "alice"], 2, "--filter user_id=alice"),
        (vec!["--filter", "format=csv"], 2, "--format"),
        (vec!["--filter", "colour=red"], 2, "colour"),
        (
            vec!["--filter", "user_id=a", "--filter", "user_id=b"],
            2,
            "twice",
        ),
        (vec!["--token", ""], 2, "audittrail token"),
        (vec!["--url", "here"], 2, "http://127.0.0.1:8000"),
        (vec!["--url", "ftp://a"], 2, "http://127.0.0.1:8000"),
        (vec!["--out", "directory"], 2, "is no file"),
        (vec!["--out", "/dev/null"], 2, "is no file"),
        (vec!["--out", "no/such/place"], 2, "no/such/place.partial"),
        (vec!["--token", "nonsense"], 3, "401"),
        (vec!["--token", &reader], 3, "logs:export"),
        (vec!["--url", "http://127.0.0.1:1"], 3, "does not answer"),
    ] {
        let before = std::fs::read_dir(home.path()).unwrap().count();
        let mut run = server.run("export");
        let (is, said) = code_of(&run.args(&arguments).output().unwrap());
        assert_eq!(is, Some(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
        let (is, said) = code_of(&run.args(["--out", "new"]).output().unwrap());
        assert!(is != Some(0) && !home.path().join("new").exists(), "{said}");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), before);
    }
}

/// Takes one request and sends `answer`, then closes.
fn answers_once(answer: Vec<u8>) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        read_head(&mut socket);
        socket.write_all(&answer).unwrap();
    });
    (url, thread)
}

fn read_head(socket: &mut TcpStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
}

fn export_from(url: &str, format: &str, out: &Path) -> Output {
    let mut run = command(BINARY);
    run.args([
        "export", "--token", "t", "--url", url, "--format", format, "--out",
    ]);
    run.arg(out).output().unwrap()
}

/// What comes to an end without being whole is refused, whoever cut it.
#[test]
fn a_cut_transfer_leaves_no_file() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("all");
    let chunk = |body: &str| format!("{:x}\r\n{body}\r\n", body.len());
    let head = |version: &str, kind: &str, framing: &str| {
        format!("HTTP/{version} 200 OK\r\ncontent-type: {kind}\r\n{framing}\r\n")
    };
    let (json, lines, csv) = (
        "application/json",
        "application/x-ndjson",
        "text/csv; header=present",
    );
    let chunked = "transfer-encoding: chunked\r\n";
    let last = "0\r\n\r\n";
    for (format, answer, code, says) in [
        // Whole, so that the others can only fail for what they lack.
        (
            "json",
            head("1.1", json, chunked) + &chunk("[{\"a\":1}]") + last,
            0,
            "",
        ),
        (
            "csv",
            head("1.1", csv, "content-length: 5\r\n") + "a,b\r\n",
            0,
            "",
        ),
        // No last chunk; less than the length.
        (
            "ndjson",
            head("1.1", lines, chunked) + &chunk("{\"a\":1}\n"),
            3,
            "broke off after 1 entries",
        ),
        (
            "csv",
            head("1.1", csv, "content-length: 9\r\n") + "a,b\r\n",
            3,
            "broke off",
        ),
        // A proxy that makes a proper end of it.
        (
            "json",
            head("1.1", json, chunked) + &chunk("[{\"a\":1}") + last,
            3,
            "no whole export",
        ),
        (
            "ndjson",
            head("1.1", lines, chunked) + &chunk("{\"a\":1}\n{\"a") + last,
            3,
            "no whole export",
        ),
        (
            "csv",
            head("1.1", csv, chunked) + &chunk("a,b\r\n1,\"2\r\n") + last,
            3,
            "no whole export",
        ),
        (
            "csv",
            head("1.1", csv, chunked) + &chunk("a,b\r\n\"broken off: this") + last,
            3,
            "no whole export",
        ),
        // Nobody could tell where it ends.
        (
            "ndjson",
            head("1.0", lines, "") + "{\"a\":1}\n",
            3,
            "HTTP/1.1",
        ),
        // Something else.
        (
            "json",
            head("1.1", "text/html", "content-length: 2\r\n") + "[]",
            3,
            "text/html",
        ),
        ("json", "nonsense".to_owned(), 3, "does not answer"),
    ] {
        let (url, thread) = answers_once(answer.clone().into_bytes());
        let (is, said) = code_of(&export_from(&url, format, &out));
        thread.join().unwrap();
        assert_eq!(is, Some(code), "{answer}: {said}");
        assert!(said.contains(says), "{answer}: {said}");
        assert_eq!(out.exists(), code == 0, "{answer}");
        assert!(!home.path().join("all.partial").exists(), "{answer}");
        let _ = std::fs::remove_file(&out);
    }
}

/// One at a time writes to a name; one that is stopped cleans up; one that was killed does not
/// stand in the way.
#[test]
fn a_partial_file_has_one_writer() {
    let home = tempfile::tempdir().unwrap();
    let (out, partial) = (home.path().join("all"), home.path().join("all.partial"));
    std::fs::write(&out, "before").unwrap();
    std::fs::write(&partial, "what a killed run left").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut first = command(BINARY)
        .args([
            "export", "--token", "t", "--url", &url, "--format", "ndjson", "--out",
        ])
        .arg(&out)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut socket, _) = listener.accept().unwrap();
    read_head(&mut socket);
    let part = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\
                transfer-encoding: chunked\r\n\r\n8\r\n{\"a\":1}\n\r\n";
    socket.write_all(part.as_bytes()).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while std::fs::read(&partial).unwrap_or_default() != b"{\"a\":1}\n" {
        assert!(std::time::Instant::now() < deadline, "nothing was written");
        std::thread::yield_now();
    }
    // Refused before it asks anybody.
    let nobody = "http://127.0.0.1:1";
    let (code, said) = code_of(&export_from(nobody, "ndjson", &out));
    assert!(
        code == Some(3) && said.contains("another run is writing"),
        "{said}"
    );

    let pid = rustix::process::Pid::from_child(&first);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut said = String::new();
    first
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(3), "{said}");
    assert!(said.contains("stopped before the end"), "{said}");
    assert!(!partial.exists());
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "before");
}

/// A disk that is full, and a reader that has gone.
#[tokio::test]
async fn what_cannot_be_written_is_no_success() {
    let (_home, server) = start();
    filled(&server).await;
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = server.run("export").stdout(full).output().unwrap();
    let (code, said) = code_of(&output);
    assert!(
        code == Some(3) && said.contains("cannot be written"),
        "{said}"
    );
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = server.run("export").stdout(writer).output().unwrap();
    assert_eq!(code_of(&output).0, Some(3));
}

/// On a terminal it says how far it is, and ends that line.
#[tokio::test]
async fn a_terminal_shows_progress() {
    let (home, server) = start();
    filled(&server).await;
    let in_terminal =
        "import os, pty, sys\nsys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let token = server.token(&["--sub", "t", "--role", "auditor"]);
    let output = command("python3")
        .args([
            "-c",
            in_terminal,
            BINARY,
            "export",
            "--url",
            &server.url,
            "--out",
        ])
        .arg(home.path().join("all"))
        .env("AUDITTRAIL_TOKEN", token)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = success(&output);
    assert!(said.contains("\r3 entries, 0 MiB"), "{said:?}");
    assert!(
        said.contains("\n3 entries of a log of 3 written to"),
        "{said:?}"
    );
}
