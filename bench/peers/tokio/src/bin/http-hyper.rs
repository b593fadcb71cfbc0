//! The HTTP server of the Tokio peer: hyper, as its guide has it. Every path is /plaintext.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use peer::{Args, WORKERS_MAX, cpus, die, raise_descriptor_limit, runtime, usage};
use tokio::net::TcpListener;

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"Hello, World!")));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

async fn serve(address: String) {
    let listener = TcpListener::bind(address).await.unwrap_or_else(|e| die("listen", e));
    loop {
        let (stream, _) = listener.accept().await.unwrap_or_else(|e| die("accept", e));
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).pipeline_flush(true);
            let _ = http.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}

fn main() {
    let (mut address, mut workers) = (String::from("127.0.0.1:0"), cpus());
    let mut args = Args::new();
    while let Some(word) = args.next() {
        match word.as_str() {
            "--listen" => address = args.value(&word),
            "--workers" => workers = args.number(&word, WORKERS_MAX),
            _ => usage(&format!("{word}: no such option")),
        }
    }
    raise_descriptor_limit();
    runtime(workers).block_on(async { tokio::spawn(serve(address)).await.unwrap_or_else(|e| die("serve", e)) });
}
