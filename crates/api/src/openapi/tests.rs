use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn written_with(settings: &ApiSettings) -> Value {
    serde_json::to_value(document(settings)).unwrap()
}

fn slugs_of(schema: &Value) -> Vec<String> {
    let narrowed = &schema["allOf"][1]["properties"]["type"]["enum"];
    let urns = narrowed.as_array().unwrap().iter();
    urns.map(|urn| urn.as_str().unwrap().to_owned()).collect()
}

/// Each is an answer of an operation; that of paths and methods that are none is a component.
#[test]
fn every_problem_is_documented() {
    let document = written_with(&ApiSettings::default());
    let mut found = BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let content = &response["content"]["application/problem+json"];
                if content.is_null() {
                    assert!(status.as_str() < "400", "{status} is no problem");
                    continue;
                }
                for urn in slugs_of(&content["schema"]) {
                    let slug = Slug::ALL.iter().find(|slug| problems::urn(**slug) == urn);
                    assert_eq!(slug.unwrap().status().as_str(), status, "{urn}");
                    found.insert(urn);
                }
            }
        }
    }
    let kinds = &document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"];
    for slug in Slug::ALL {
        let urn = problems::urn(*slug);
        assert!(
            kinds
                .as_array()
                .unwrap()
                .contains(&Value::from(urn.clone()))
        );
        assert!(document["components"]["responses"][slug.as_str()].is_object());
        assert!(
            found.contains(&urn) || *slug == Slug::MethodNotAllowed,
            "{urn}"
        );
    }
}

#[test]
fn links_and_references_lead_somewhere() {
    let document = written_with(&ApiSettings::default());
    let mut found = 0;
    references(&document, &mut |reference| {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
        found += 1;
    });
    assert!(found > 20);
    let ids: Vec<&Value> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .map(|operation| &operation["operationId"])
        .collect();
    let unique: BTreeSet<_> = ids.iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(unique.len(), ids.len(), "{ids:?}");
}

fn references(value: &Value, each: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref") {
                each(reference.as_str().unwrap());
            }
            members.values().for_each(|inner| references(inner, each));
        }
        Value::Array(elements) => elements.iter().for_each(|inner| references(inner, each)),
        _ => {}
    }
}

#[test]
fn the_server_is_where_clients_find_it() {
    for (public_url, base_path, url) in [
        (None, "", "/"),
        (None, "/audit", "/audit"),
        (
            Some("https://audit.example.org/log"),
            "/audit",
            "https://audit.example.org/log",
        ),
    ] {
        let settings = ApiSettings {
            public_url: public_url.map(str::to_owned),
            base_path: base_path.to_owned(),
            ..ApiSettings::default()
        };
        assert_eq!(
            written_with(&settings)["servers"],
            serde_json::json!([{ "url": url }])
        );
    }
}

/// Metrics are not below the base path, and mostly not there at all.
#[test]
fn metrics_are_described_where_they_are() {
    let mut settings = ApiSettings {
        base_path: "/audit".to_owned(),
        ..ApiSettings::default()
    };
    assert!(written_with(&settings)["paths"]["/metrics"].is_null());
    settings.serves_metrics = true;
    let item = &written_with(&settings)["paths"]["/metrics"];
    assert_eq!(item["servers"][0]["url"], "/");
}

#[test]
fn who_has_it_gets_304() {
    let fixed = Fixed::new(&b"something"[..]);
    let etag = fixed.etag.to_str().unwrap().to_owned();
    let strong = etag.trim_start_matches("W/").to_owned();
    for (sent, status) in [
        (etag.clone(), 304),
        (strong.clone(), 304),
        (format!("\"a\", {etag}"), 304),
        ("*".to_owned(), 304),
        ("\"a\"".to_owned(), 200),
        (strong.trim_matches('"').to_owned(), 200),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, sent.parse().unwrap());
        let answer = fixed.answer("text/plain", &headers);
        assert_eq!(answer.status(), status, "{sent}");
        assert_eq!(answer.headers()[header::ETAG], etag);
    }
    assert_eq!(fixed.answer("text/plain", &HeaderMap::new()).status(), 200);
}
