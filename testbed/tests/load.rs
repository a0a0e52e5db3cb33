//! The load generator, through the bare proxy, at the fake provider.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use testbed::bare_proxy;
use testbed::fake_provider::log::Target as LogTarget;
use testbed::fake_provider::{Options, Server};
use testbed::load::{Arrival, Ask, Report, Run, Target};

fn provider() -> Server {
    Server::start(&Options { log: LogTarget::Nowhere, ..Options::default() }).unwrap()
}

/// A proxy that runs as long as the test.
fn proxy(server: &Server) -> SocketAddr {
    let upstream = format!("http://{}", server.address()).parse().unwrap();
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = bare_proxy::Options { listen, upstream, threads: 1 };
    let (tell, told) = mpsc::channel();
    thread::spawn(move || bare_proxy::run(&options, |address| tell.send(address).unwrap()));
    told.recv().unwrap()
}

fn load(address: SocketAddr, ask: &Ask, arrival: Arrival) -> Report {
    let base = format!("http://{address}/v1").parse().unwrap();
    let target = Target { base, secret: "sk-fake".to_owned() };
    Run {
        address,
        request: target.request(ask),
        ending: ask.ending(),
        arrival,
        warmup: Duration::ZERO,
        length: Duration::from_millis(200),
    }
    .go()
    .unwrap()
}

#[test]
fn answers_and_streams_come_through_the_proxy_whole() {
    let server = provider();
    let proxy = proxy(&server);
    for ask in [Ask::default(), Ask::chunks(20, 0)] {
        let report = load(proxy, &ask, Arrival::Closed { connections: 4 });
        assert_eq!((report.errors, report.first_error), (0, None));
        assert!(report.requests > 10);
    }
}

#[test]
fn the_rate_is_kept() {
    let report = load(provider().address(), &Ask::default(), Arrival::Open { rate: 200.0 });
    assert_eq!((report.requests, report.errors), (40, 0));
}

#[test]
fn an_answer_that_breaks_off_is_an_error() {
    let server = provider();
    let usual = Ask::default();
    for script in [r#"{"cut_after_bytes": 100}"#, r#"{"status": 500}"#, r#"{"garbage": "html"}"#] {
        let ask = Ask { prompt: format!("<<{script}>>"), stream: true, ..usual.clone() };
        let report = load(server.address(), &ask, Arrival::Closed { connections: 1 });
        assert_eq!(report.requests, 0);
        assert!(report.errors > 0);
    }
}
