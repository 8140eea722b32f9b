//! Sends lines with tracing-loki, as its users do. Its argument is the URL of the server.
#![forbid(unsafe_code)]

use tracing_loki::url::Url;
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

const COUNT: u64 = 500;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: narvi-client-tracing URL")?;
    let (layer, controller, task) =
        tracing_loki::builder().label("client", "tracing-loki")?.build_controller_url(Url::parse(&url)?)?;
    tracing_subscriber::registry().with(layer).init();
    let task = tokio::spawn(task);
    for n in 0..COUNT {
        let text = format!("line {n} of {COUNT}: \"quoted\" back\\slash tab\t \u{e9} \u{1f980} <&> {{\"n\": {}}}", n * n);
        tracing::info!(side = "left", "{text}");
    }
    controller.shutdown().await;
    task.await?;
    Ok(())
}
