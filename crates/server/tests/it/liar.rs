//! What stands between a client and a server, and changes what it passes on.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

/// Gives what is passed on in place of an answer's body; the path has its query.
type Change = Arc<dyn Fn(&str, Vec<u8>) -> Vec<u8> + Send + Sync>;

#[derive(Clone)]
struct Liar {
    server: String,
    client: reqwest::Client,
    change: Change,
}

/// The URL of a new one, which lives as long as the test's runtime.
pub(crate) async fn before(
    server: &str,
    change: impl Fn(&str, Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
) -> String {
    let liar = Liar {
        server: server.to_owned(),
        client: reqwest::Client::new(),
        change: Arc::new(change),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(pass).with_state(liar);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

async fn pass(State(liar): State<Liar>, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path_and_query().unwrap().as_str();
    let mut request = liar.client.get(format!("{}{path}", liar.server));
    for name in [header::AUTHORIZATION, header::ACCEPT] {
        if let Some(value) = headers.get(&name) {
            request = request.header(name, value);
        }
    }
    let answer = request.send().await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    let kind = answer.headers()[header::CONTENT_TYPE].clone();
    let body = answer.bytes().await.unwrap().to_vec();
    let body = (liar.change)(path, body);
    (status, [(header::CONTENT_TYPE, kind)], body).into_response()
}
