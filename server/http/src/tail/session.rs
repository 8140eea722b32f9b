//! The socket of a tail.

use std::{sync::Arc, time::Duration};

use axum::extract::ws::{CloseFrame, Message as Socketed, WebSocket};
use narvi::logql::ast::Expr;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};

use super::{
    Place, Wanted,
    follow::{Follower, Message},
};
use crate::App;

/// Frames between the thread that makes them and the task that sends them.
const FRAMES_AHEAD: usize = 4;
/// How often a client is asked whether it is there.
const PING: Duration = Duration::from_secs(1);
/// How long the last words to a client may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// Serves a tail until one side has enough.
pub(crate) async fn serve(mut socket: WebSocket, app: Arc<App>, wanted: Wanted, place: Place) {
    let deadline = Instant::now() + app.settings.tail_max_duration;
    let (code, reason) = run(&mut socket, &app, wanted, deadline).await;
    drop(place);
    let close = Socketed::Close(Some(CloseFrame { code, reason: short(&reason).into() }));
    // The client may be gone.
    let _ = timeout_at(Instant::now() + FAREWELL, socket.send(close)).await;
}

/// A reason fits into a close frame: 123 bytes.
fn short(reason: &str) -> String {
    let end = (0..=123).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
    reason.get(..end).unwrap_or(reason).to_owned()
}

/// Gives the code and the reason to close with.
async fn run(socket: &mut WebSocket, app: &Arc<App>, wanted: Wanted, deadline: Instant) -> (u16, String) {
    if matches!(wanted.expr, Expr::Metric(_)) {
        return (1011, "a metric query cannot be tailed; only lines can".to_owned());
    }
    let (out, mut frames) = mpsc::channel(FRAMES_AHEAD);
    let of_thread = app.clone();
    let follow = move || {
        // Subscribed before the history is read, so that no line is missed between.
        let tail = of_thread.read().map_err(|error| error.message).and_then(|read| {
            read.tail(&wanted.tenant, &wanted.expr, wanted.apart()).map_err(|error| error.to_string())
        });
        match tail {
            Ok(tail) => Follower::new(of_thread, tail, wanted, out).run(),
            Err(error) => drop(out.blocking_send(Message::End(1011, error))),
        }
    };
    // A thread of its own: tails live long, and must not use up those that queries wait for.
    if let Err(error) = std::thread::Builder::new().name("narvi-tail".into()).spawn(follow) {
        return (1011, format!("cannot start a thread for the tail: {error}"));
    }
    let mut stopping = app.stopping();
    let mut ping = interval(PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let send = tokio::select! {
            message = frames.recv() => match message {
                Some(Message::Frame(frame)) => Socketed::Text(frame.into()),
                Some(Message::End(code, reason)) => return (code, reason),
                None => return (1011, "the tail failed unexpectedly; the server's log says more".to_owned()),
            },
            received = socket.recv() => match received {
                Some(Ok(Socketed::Close(_)) | Err(_)) | None => return (1000, String::new()),
                // Pings are answered below us; there is nothing else to hear.
                Some(Ok(_)) => continue,
            },
            _ = ping.tick() => Socketed::Ping(Vec::new().into()),
            _ = stopping.wait_for(|stop| *stop) => return (1001, "the server is shutting down".to_owned()),
            () = tokio::time::sleep_until(deadline) => return (1000, "reached tail max duration limit".to_owned()),
        };
        match timeout_at(deadline, socket.send(send)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return (1000, String::new()),
            Err(_) => return (1000, "reached tail max duration limit".to_owned()),
        }
    }
}
