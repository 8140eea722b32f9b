//! A place at a scheduler: connects, takes one job after the other, connects again.

use std::{sync::Arc, time::Instant};

use futures_util::{StreamExt as _, stream};
use narvi_rpc::{FromQuerier, OfferStream, RpcError, ToQuerier};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use super::{Shared, Wish, run::Run};

/// Messages that are told ahead of the scheduler.
const AHEAD: usize = 2;

/// Keeps a place until it is not wished any more.
pub(super) async fn keep(shared: Arc<Shared>, address: String, mut wishes: watch::Receiver<Wish>) {
    let settings = &shared.settings;
    let (mut wait, mut fails) = (settings.min_backoff, false);
    while wish(&wishes) == Wish::Stay {
        let began = Instant::now();
        let result = attend(&shared, &address, &mut wishes).await;
        match &result {
            Ok(_) => {}
            Err(error) if !fails => tracing::warn!(address, %error, "cannot take queries from there; trying again"),
            Err(error) => tracing::debug!(address, %error, "cannot take queries from there yet"),
        }
        fails = result.is_err();
        if result == Ok(true) || began.elapsed() > settings.max_backoff {
            wait = settings.min_backoff;
        }
        tokio::select! {
            () = sleep(wait) => {}
            () = unwished(&mut wishes) => {}
        }
        wait = (wait * 2).min(settings.max_backoff);
    }
}

/// What is wished now.
fn wish(wishes: &watch::Receiver<Wish>) -> Wish {
    let wish = *wishes.borrow();
    match wish {
        // Who gave this place up.
        Wish::Stay if wishes.has_changed().is_err() => Wish::Leave,
        wish => wish,
    }
}

/// Waits until the place is not wished any more.
async fn unwished(wishes: &mut watch::Receiver<Wish>) {
    // It fails when the place was given up.
    let _ = wishes.wait_for(|wish| *wish != Wish::Stay).await;
}

/// Connects and runs jobs until the scheduler ends it, or it is not wished any more. Gives whether there was a job.
async fn attend(shared: &Shared, address: &str, wishes: &mut watch::Receiver<Wish>) -> Result<bool, RpcError> {
    let client = shared.pool.scheduler(address)?;
    let piece_bytes = client.piece_bytes();
    let (tell, told) = mpsc::channel(AHEAD);
    let told = stream::unfold(told, |mut told| async move { told.recv().await.map(|message| (message, told)) });
    // There is room.
    let _ = tell.try_send(FromQuerier::Greeting(shared.settings.querier.clone()));
    let offers = tokio::select! {
        offers = client.work(told) => offers?,
        () = unwished(wishes) => return Ok(false),
    };
    let mut place = Place { shared, tell, offers, wishes, piece_bytes, leaves: false };
    place.serve().await
}

/// A place that is connected.
struct Place<'a> {
    shared: &'a Shared,
    tell: mpsc::Sender<FromQuerier>,
    offers: OfferStream,
    wishes: &'a mut watch::Receiver<Wish>,
    piece_bytes: usize,
    leaves: bool,
}

impl Place<'_> {
    async fn serve(&mut self) -> Result<bool, RpcError> {
        let mut served = false;
        loop {
            let message = tokio::select! {
                message = self.offers.next() => Some(message),
                () = unwished(self.wishes), if !self.leaves => None,
                () = sleep(self.shared.settings.farewell), if self.leaves => return Ok(served),
            };
            let Some(message) = message else {
                self.leave().await;
                continue;
            };
            match message {
                None => return Ok(served),
                Some(Err(error)) => return Err(error),
                // Of a job that ended meanwhile.
                Some(Ok(ToQuerier::Cancel(_))) => {}
                Some(Ok(ToQuerier::Offer(number, job))) => {
                    served = true;
                    let run = Run::new(number, &self.tell, &mut self.offers, self.piece_bytes);
                    let Some(result) = run.run(&self.shared.work, job).await else { return Ok(served) };
                    // Told before the end of the job, so that no other follows it.
                    if wish(self.wishes) != Wish::Stay {
                        self.leave().await;
                    }
                    if self.tell.send(FromQuerier::End(number, result)).await.is_err() {
                        return Ok(served);
                    }
                }
            }
        }
    }

    async fn leave(&mut self) {
        if !self.leaves {
            self.leaves = true;
            let stops = wish(self.wishes) == Wish::Stop;
            // Who is lost needs no farewell.
            let _ = self.tell.send(FromQuerier::Leave { stops }).await;
        }
    }
}
