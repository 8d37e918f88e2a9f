//! `ccp pool subscribe`: events, one a line.

use super::arguments::Subscribe;
use super::stand::Stand;
use super::{Exchange, SOON, say, show};
use crate::cli::failure::{Failure, Outcome};
use crate::contract::exit;
use crate::contract::pool::{self, Message};

/// Runs `ccp pool subscribe`.
pub(super) fn run(stand: &Stand, arguments: &Subscribe) -> Outcome {
    let given = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let exchange = Exchange::open(stand)?;
    let mut client = exchange.link.connect()?;
    let subscribe = pool::Subscribe {
        sessions: given(&arguments.session),
        events: given(&arguments.event),
        statuses: (!arguments.status.is_empty()).then(|| arguments.status.clone()),
        fields: given(&arguments.field),
        ack: false,
    };
    let subscribed = client.subscribe(subscribe, SOON);
    subscribed.map_err(|error| exchange.failure(error))?;
    loop {
        let received = client
            .receive(None)
            .map_err(|error| exchange.failure(error))?;
        let Some(received) = received else {
            return Err(Failure::new("the pool ended"));
        };
        match received.message {
            Message::Error(error) => return Err(Failure::new(error)),
            _ if stand.json => say(&format!("{}\n", received.raw))?,
            Message::Event(event) => {
                let over = matches!(event, pool::Event::Pool(pool::PoolChange::Destroy));
                say(&show::event(&event))?;
                if over {
                    return Ok(exit::OK);
                }
            }
            Message::Reply(_) => {}
        }
    }
}
