//! The service: its routes, and how it starts and stops.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::error::{Error, Kind, Result};
use crate::routes::{checkout, export, products, reports, search};
use crate::shop::{Clerk, Shop};

/// A service that is running.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
    clerk: Clerk,
}

impl Server {
    /// Opens the shop with its ledger at `ledger_path` and listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When the ledger or the port cannot be opened.
    pub async fn start(ledger_path: &Path, key_rounds: u32) -> Result<Self> {
        let (shop, clerk) = Shop::open(ledger_path, key_rounds)?;
        let app = crate::profile::with_labels(router(shop));
        let local = (Ipv4Addr::LOCALHOST, 0);
        let listener = TcpListener::bind(local).await.map_err(failed("listen on 127.0.0.1"))?;
        let addr = listener.local_addr().map_err(failed("learn the port"))?;
        let (stop, stopped) = oneshot::channel::<()>();
        let until = async move {
            // A dropped sender means the same as a message: stop.
            let _ = stopped.await;
        };
        let serving =
            tokio::spawn(
                async move { axum::serve(listener, app).with_graceful_shutdown(until).await },
            );
        Ok(Self { addr, stop, serving, clerk })
    }

    /// Where the service listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers the requests that are under way, then ends; returns how many orders were written.
    ///
    /// # Errors
    /// When serving or writing an order had failed.
    pub async fn stop(self) -> Result<u64> {
        drop(self.stop);
        let served = self.serving.await.map_err(Error::during(Kind::Io, "join the server"))?;
        served.map_err(failed("serve"))?;
        self.clerk.finish().await
    }
}

fn router(shop: Shop) -> Router {
    Router::new()
        .route("/products/{id}", get(products::show))
        .route("/search", get(search::find))
        .route("/checkout", post(checkout::buy))
        .route("/export", get(export::download))
        .route("/reports/{day}", get(reports::show))
        .with_state(Arc::new(shop))
}

fn failed(doing: &'static str) -> impl Fn(std::io::Error) -> Error {
    Error::during(Kind::Io, doing)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use tower::ServiceExt;

    use super::*;
    use crate::shop::KEY_ROUNDS;

    /// Makes the whole service without a socket, and sends `requests` to it.
    fn statuses(name: &str, requests: Vec<Request<Body>>) -> Vec<StatusCode> {
        let ledger = std::env::temp_dir().join(format!("{name}-{}.redb", std::process::id()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let statuses = runtime.block_on(async {
            let (shop, _clerk) = Shop::open(&ledger, KEY_ROUNDS).unwrap();
            let app = crate::profile::with_labels(router(shop));
            let mut statuses = Vec::new();
            for request in requests {
                statuses.push(app.clone().oneshot(request).await.unwrap().status());
            }
            statuses
        });
        std::fs::remove_file(ledger).unwrap();
        statuses
    }

    #[test]
    fn wrong_requests_are_refused_with_the_right_status() {
        let get = |target: &str| Request::get(target).body(Body::empty()).unwrap();
        let order = |body: &str| Request::post("/checkout").body(Body::from(body.to_owned()));
        let region = r#"{"customer":"a","region":"moon","lines":[{"product":1000,"quantity":1}]}"#;
        let unknown = r#"{"customer":"a","region":"east","lines":[{"product":1,"quantity":1}]}"#;
        let cases = vec![
            (get("/products/1"), StatusCode::NOT_FOUND),
            (get("/products/first"), StatusCode::BAD_REQUEST),
            (get("/search"), StatusCode::BAD_REQUEST),
            (get(&format!("/search?q={}", "x".repeat(201))), StatusCode::BAD_REQUEST),
            (get("/export?category=boats"), StatusCode::NOT_FOUND),
            (get("/reports/99"), StatusCode::NOT_FOUND),
            (get("/nowhere"), StatusCode::NOT_FOUND),
            (get("/checkout"), StatusCode::METHOD_NOT_ALLOWED),
            (order("{").unwrap(), StatusCode::BAD_REQUEST),
            (order(region).unwrap(), StatusCode::BAD_REQUEST),
            (order(unknown).unwrap(), StatusCode::NOT_FOUND),
            (get("/products/1000"), StatusCode::OK),
            (get("/export"), StatusCode::OK),
        ];
        let (requests, expected): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
        assert_eq!(statuses("wrong-requests", requests), expected);
    }
}
