//! Filters of equality and time are served by an index, in the order of the page.

use std::sync::Arc;

use audittrail_store::conformance::{Log, START};
use audittrail_store::{Access, CountMode, Filter, Order, Query, Start, Store};
use mongodb::bson::{Bson, Document};

use crate::support::new_log;

const BOB: (&str, &str) = ("user_id", "bob");

/// The stages of a plan, from the outside in.
fn stages(plan: &Document, found: &mut Vec<String>) {
    found.extend(plan.get_str("stage").ok().map(str::to_owned));
    for (_, value) in plan {
        match value {
            Bson::Document(inner) => stages(inner, found),
            Bson::Array(all) => all
                .iter()
                .filter_map(Bson::as_document)
                .for_each(|inner| stages(inner, found)),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn equality_and_time_are_served_by_an_index() {
    let (_, store) = new_log().await;
    let log: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    let log = Log::fill(&log, 1, &[1_000]).await;
    let from = "2026-01-01T00:00:00Z";
    let filters: [&[(&str, &str)]; 12] = [
        &[],
        &[("user_id", "alice")],
        &[("action", "user.login")],
        &[("resource", "doc/1")],
        &[("outcome", "denied")],
        &[("tenant", "acme")],
        &[("start_time", from)],
        &[("end_time", from)],
        &[BOB, ("start_time", from)],
        &[("action", "user.login"), ("outcome", "success")],
        &[("tenant", "acme"), ("user_id", "alice"), ("end_time", from)],
        &[("outcome__nin", "success"), ("start_time", from)],
    ];
    let restricted = Access {
        user_id: Some("alice".to_owned()),
        tenant: Some("acme".to_owned()),
    };
    assert_eq!(START.nanos(), 1_767_225_600_000_000_000, "{from}");
    for parameters in filters {
        for access in [Access::default(), restricted.clone()] {
            for order in [Order::NewestFirst, Order::OldestFirst] {
                let query = Query {
                    filter: Filter::from_parameters(parameters.iter().copied()).unwrap(),
                    access: access.clone(),
                    order,
                    size: log.size(),
                    start: Start::Skip(0),
                    limit: 20,
                    count: CountMode::None,
                    failed: Arc::default(),
                };
                let answer = store.explain(&query).await.unwrap();
                // Two users at once are nobody: then the server is not asked.
                let is_other = access.user_id.is_some() && parameters.contains(&BOB);
                assert_eq!(answer.is_none(), is_other, "{parameters:?}");
                let Some(answer) = answer else { continue };
                let plan = answer.get_document("queryPlanner").unwrap();
                let mut found = Vec::new();
                stages(plan.get_document("winningPlan").unwrap(), &mut found);
                let at = format!("{parameters:?} in {order:?}: {found:?}");
                assert!(found.iter().any(|stage| stage == "IXSCAN"), "{at}");
                assert!(!found.iter().any(|stage| stage == "COLLSCAN"), "{at}");
                assert!(!found.iter().any(|stage| stage == "SORT"), "{at}");
            }
        }
    }
    // By index without conditions, as pollers ask.
    let query = Query {
        filter: Filter::from_parameters([("index_from", "700")]).unwrap(),
        access: Access::default(),
        order: Order::IndexAscending,
        size: log.size(),
        start: Start::Skip(0),
        limit: 20,
        count: CountMode::None,
        failed: Arc::default(),
    };
    let answer = store.explain(&query).await.unwrap().unwrap();
    let done = answer.get_document("executionStats").unwrap();
    assert!(done.get_i32("totalDocsExamined").unwrap() <= 20, "{done}");
}
