//! What exports hold, and what becomes of them when the files under the server are damaged.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Server, command, repository, start, success};

/// Entries whose texts are hard on CSV, on spreadsheets, or on both.
const TEXTS: [&str; 20] = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1:A9)",
    "'quoted",
    "'=twice",
    " =after a blank",
    "＝full",
    "＋w",
    "－i",
    "＠dth",
    "\u{2212}1",
    "\u{3000}=1",
    "a,b;c",
    "say \"hi\"",
    "\"",
    "plain",
    "ü€😀",
    "\u{feff}=x",
    ",",
];

async fn filled(server: &Server) {
    let mut entries: Vec<Value> = Vec::new();
    for text in TEXTS {
        entries.push(json!({
            "action": text, "user_id": text, "resource": text, "tenant": text,
            "outcome": "denied", "source_ip": "2001:db8::7",
            "details": {text: text, "lines": "a\r\n\t=b", "n": 18_446_744_073_709_551_615_u64},
        }));
    }
    entries.push(json!({"action": "bare"}));
    entries.push(json!({"action": "empty details", "details": {}}));
    let (status, answer) = server.post("/logs/", &json!(entries)).await;
    assert_eq!(status, 201, "{answer}");
}

async fn export(server: &Server, query: &str) -> String {
    let response = server.request(Method::GET, &format!("/logs/export/?{query}"));
    let response = response.send().await.unwrap();
    assert_eq!(response.status(), 200, "{query}");
    response.text().await.unwrap()
}

#[expect(clippy::cast_possible_truncation, reason = "small")]
async fn compare(server: &Server, home: &Path) -> String {
    let size = server.metric("audittrail_log_entries").await as u64 - 1;
    let (csv, lines) = (home.join("export.csv"), home.join("export.ndjson"));
    std::fs::write(
        &csv,
        export(server, &format!("format=csv&index_to={size}")).await,
    )
    .unwrap();
    std::fs::write(
        &lines,
        export(server, &format!("format=ndjson&index_to={size}")).await,
    )
    .unwrap();
    let script = repository("testdata/compare_exports.py");
    let output = command("python3").arg(script).arg(csv).arg(lines).output();
    success(&output.unwrap())
}

/// Another program reads the rows and has the entries, cell by cell.
#[tokio::test]
async fn rows_are_the_entries_and_no_formulas() {
    let (home, server) = start();
    filled(&server).await;
    let imported = server
        .run("import")
        .arg(repository("testdata/events.ndjson"))
        .output();
    success(&imported.unwrap());
    let said = compare(&server, home.path()).await;
    // Fourteen of the texts, each in four columns.
    assert_eq!(said, "422 entries are equal, 56 cells guarded\n");
}

#[tokio::test]
async fn an_export_says_what_it_is() {
    let (_home, server) = start();
    filled(&server).await;
    for (query, media_type, extension) in [
        ("", "application/json", "json"),
        ("format=json", "application/json", "json"),
        ("format=ndjson", "application/x-ndjson", "ndjson"),
        (
            "format=csv",
            "text/csv; charset=utf-8; header=present",
            "csv",
        ),
    ] {
        let path = format!("/logs/export/?{query}");
        let response = server.request(Method::GET, &path).send().await.unwrap();
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        let size = header("x-audittrail-tree-size");
        assert_eq!(header("content-type"), media_type);
        assert_eq!(
            header("content-disposition"),
            format!("attachment; filename=\"audittrail-{size}.{extension}\"")
        );
    }
    // Nothing selected: a header, an array, nothing.
    for (format, nothing) in [
        ("json", "[]"),
        ("ndjson", ""),
        ("csv", "signature,verification_error,verified\r\n"),
    ] {
        let body = export(&server, &format!("format={format}&action=no.such")).await;
        assert!(
            body.ends_with(nothing) && body.lines().count() <= 1,
            "{body}"
        );
    }
    let accept = |accept: &str| {
        let request = server.request(Method::GET, "/logs/export/?format=csv");
        request.header("accept", accept).send()
    };
    assert_eq!(accept("text/*").await.unwrap().status(), 200);
    assert_eq!(accept("application/json").await.unwrap().status(), 406);
    // All of them are in the log, with their form and filter.
    let (_, page) = server
        .get("/logs/list/?action=audittrail.export&order=-index")
        .await;
    assert_eq!(page["count"], 8);
    assert_eq!(page["results"][0]["details"]["format"], "csv");
    assert_eq!(
        page["results"][1]["details"]["filter"],
        json!({"action": "no.such"})
    );
}

/// A damaged record is in the export, marked; the export goes on.
#[tokio::test]
async fn a_damaged_record_is_exported_as_such() {
    let (home, server) = start();
    filled(&server).await;
    let segment = server.data().join("log/00000000000000000000.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.windows(5).position(|part| part == b"plain").unwrap();
    bytes[at] = b'P';
    std::fs::write(&segment, bytes).unwrap();
    let rows = export(&server, "format=csv").await;
    assert_eq!(rows.matches(",false\r\n").count(), 1, "{rows}");
    let said = compare(&server, home.path()).await;
    assert!(said.contains("23 entries are equal"), "{said}");
}

/// Entries whose places in the log are lost are in the export, marked; the others are whole.
#[tokio::test]
async fn entries_whose_places_are_lost_are_exported_as_such() {
    let (home, server) = start();
    let filler = "x".repeat(1_000);
    let entries: Vec<Value> = (0..2_000)
        .map(|number| json!({"action": "a", "details": {"n": number, "f": filler}}))
        .collect();
    for part in entries.chunks(500) {
        server.post("/logs/?ack=published", &json!(part)).await;
    }
    let rows = server.data().join("locations/00000000000000000000.loc");
    let whole = std::fs::metadata(&rows).unwrap().len();
    assert!(whole >= 2_000 * 32, "{whole}");
    std::fs::File::options()
        .write(true)
        .open(&rows)
        .unwrap()
        .set_len(1_500 * 32)
        .unwrap();
    for format in ["json", "ndjson", "csv"] {
        let out = home.path().join(format);
        let mut run = server.run("export");
        let output = run
            .args(["--format", format, "--filter", "index_to=1999", "--out"])
            .arg(&out)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        let summary = "500 of 2000 entries did not verify; the export is complete";
        assert!(said.contains(summary), "{said}");
        let exported = std::fs::read_to_string(&out).unwrap();
        assert_eq!(exported.matches(&filler).count(), 1_500);
    }
    let (_, page) = server.get("/logs/list/?verified=false&page_size=1").await;
    assert_eq!(page["count"], 500, "{page}");
}
