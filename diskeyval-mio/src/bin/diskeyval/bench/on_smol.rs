//! The same case with the async adapter: each node is driven by a thread of its own, and each operation in flight is a
//! task, all of them on one thread.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use diskeyval_mio::certs::Authority;
use diskeyval_mio::{Config, Error, Metrics, Read};
use diskeyval_smol::{Node, Pending};
use smol::{LocalExecutor, block_on};

use super::Op;
use super::drive::{Counted, Draws, FILLING, Span, key, set};
use super::load::{Case, Cost, KEYS, Measured, PATIENCE, WARM_UP, changed_leader};
use super::place::{Place, durable};
use crate::exit::Failure;

/// Measures one case in a cluster of its own.
pub(super) fn measure(case: &Case<'_>) -> Result<Measured, Failure> {
    let place = case.data.map(Place::below).transpose()?;
    let (nodes, threads) = start(case.nodes, |config| match &place {
        Some(place) => durable(config, place.path()),
        None => config,
    })
    .map_err(Failure::failed)?;
    let failed = |error: Error| Failure::failed(format!("{case}: {error}"));
    let leader = block_on(lead(&nodes)).map_err(failed)?;
    if case.op == Op::Get {
        fill(leader).map_err(failed)?;
    }
    let before: Vec<Metrics> = nodes.iter().map(Node::metrics).collect();
    let span = Span::of(case.span, WARM_UP);
    let counted = match case.op {
        Op::Put => by_tasks(span, case.in_flight, |number| leader.submit(set(number))),
        Op::Get => {
            by_tasks(span, case.in_flight, |number| leader.submit_get(key(number), Read::Linearizable))
        }
    };
    let counted = counted.map_err(failed)?;
    let cost = (place.is_some() && case.op == Op::Put).then(|| {
        let now = nodes.iter().map(|node| (node.id() == leader.id(), node.metrics()));
        Cost::between(now.zip(before).map(|((leads, now), before)| (leads, before, now)))
    });
    if !leader.is_leader() {
        return Err(changed_leader(case));
    }
    nodes.iter().for_each(Node::stop);
    drop(nodes);
    for thread in threads {
        // A driver catches what panics in it.
        let _ = thread.join();
    }
    Ok(Measured { counted, cost })
}

type Started = (Vec<Node>, Vec<JoinHandle<()>>);

fn start(count: usize, adjust: impl Fn(Config) -> Config) -> Result<Started, Box<dyn std::error::Error>> {
    let authority = Authority::new("diskeyval bench")?;
    let names: Vec<String> = (1..=count).map(|number| format!("node-{number}")).collect();
    let listeners: Vec<_> =
        names.iter().map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<_>>()?;
    let ports: Vec<u16> = listeners.iter().map(|l| Ok(l.local_addr()?.port())).collect::<io::Result<_>>()?;
    let (mut nodes, mut threads) = (Vec::new(), Vec::new());
    for (name, listener) in names.iter().zip(listeners) {
        let mut config = Config::new(name)?;
        for (other, port) in names.iter().zip(&ports).filter(|(other, _)| *other != name) {
            config = config.peer(other, "127.0.0.1", *port)?;
        }
        let issued = authority.issue_node(&config.node_id)?;
        let config = adjust(config.tls(&issued.cert_pem, &issued.key_pem, authority.cert_pem()));
        let (node, driver) = block_on(Node::with_driver_on(listener, config))?;
        threads.push(thread::Builder::new().name(format!("drives-{name}")).spawn(|| block_on(driver))?);
        nodes.push(node);
    }
    Ok((nodes, threads))
}

/// Waits until every node is in its seat and one leads.
async fn lead(nodes: &[Node]) -> Result<&Node, Error> {
    for node in nodes {
        node.wait_ready(PATIENCE).await?;
    }
    loop {
        let known = nodes[0].wait_leader(PATIENCE).await?;
        // It is known to others before it knows itself.
        if let Some(leader) = nodes.iter().find(|node| *node.id() == known && node.is_leader()) {
            return Ok(leader);
        }
        smol::future::yield_now().await;
    }
}

/// Writes every key once.
fn fill(node: &Node) -> Result<(), Error> {
    block_on(async {
        let mut pending = VecDeque::new();
        for number in 0..KEYS {
            if pending.len() == FILLING
                && let Some(oldest) = pending.pop_front()
            {
                let oldest: Pending<_> = oldest;
                oldest.await?;
            }
            pending.push_back(node.submit(set(number)));
        }
        for oldest in pending {
            oldest.await?;
        }
        Ok(())
    })
}

/// Each operation in flight is a task that begins the next at the end of one.
fn by_tasks<F, T>(span: Span, in_flight: usize, start: impl Fn(u64) -> F) -> Result<Counted, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let (draws, ended) = (RefCell::new(Draws::new(1)), RefCell::new(Vec::new()));
    let one = || async {
        loop {
            let (number, began) = (draws.borrow_mut().below(KEYS), Instant::now());
            start(number).await?;
            if !span.note(began, &mut ended.borrow_mut()) {
                return Ok::<(), Error>(());
            }
        }
    };
    let executor = LocalExecutor::new();
    let tasks: Vec<_> = (0..in_flight).map(|_| executor.spawn(one())).collect();
    smol::future::block_on(executor.run(async {
        for task in tasks {
            task.await?;
        }
        Ok::<(), Error>(())
    }))?;
    drop(executor);
    Ok(Counted::new(span, ended.into_inner()))
}
