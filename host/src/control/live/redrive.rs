//! A dead letter's event goes to its entity again: fetched, decoded as the reader would, and given to the shard.

use super::{Live, refusal};
use crate::control::{Fault, Redrive, RedriveDone, RedriveSource, report};
use crate::event::{EntityKey, Event, Message};
use crate::shard::Asked;
use crate::source::decode::Decoder;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use seriatim_sequencer::{Redriven, WaitReason};
use std::sync::Arc;

impl Live {
    pub(super) async fn redrive_one(&self, dead: u64, redrive: Redrive) -> Result<RedriveDone, Fault> {
        let source = self.parts.letters.fetch(dead).await?;
        let pipeline = self.pipeline(&source.pipeline)?;
        let decoder = self.parts.decoders.get(pipeline.index).and_then(Option::as_ref);
        let decoder = decoder.ok_or_else(|| Fault::Unknown(format!("pipeline {} is not read any more", source.pipeline)))?;
        let edited = redrive.payload.is_some();
        let event = Arc::new(event(decoder, &source, redrive.payload.as_deref())?);
        let key = event.key.clone();
        let out_of_order = redrive.out_of_order;
        let asked = |answer| Asked::Redrive { dead, event, edited, out_of_order, answer };
        let answer = self.ask(key.clone(), pipeline.index, asked).await?;
        let (answer, error) = answer.map_err(|refused| refusal(&key, refused))?;
        told(&key, dead, answer, error)
    }
}

/// The event as the reader would have made it, with another payload if there is one.
fn event(decoder: &Decoder, source: &RedriveSource, payload: Option<&str>) -> Result<Event, Fault> {
    let dead = source.dead_letter;
    let message = match payload {
        None => source.message.clone(),
        Some(payload) => {
            let payload = BASE64_STANDARD.decode(payload).map_err(|error| Fault::Bad(format!("the payload is not base64: {error}")))?;
            Arc::new(Message { payload: payload.into(), ..Message::clone(&source.message) })
        }
    };
    let event = decoder.decode(message).map_err(|malformed| {
        Fault::Bad(format!("the event of dead letter {dead} cannot be read ({malformed}); redrive it with a payload that can"))
    })?;
    let place = crate::control::Place { epoch: event.epoch, sequence: event.sequence };
    let moved = source.entity.as_deref().is_some_and(|entity| entity.trim() != event.key.entity.trim())
        || source.place.is_some_and(|known| known != place);
    if moved {
        return Err(Fault::Bad(format!(
            "dead letter {dead} is about {}, event {}; with this payload it would be {}, event {}",
            source.entity.as_deref().unwrap_or("an unknown entity"),
            source.place.map_or_else(String::new, |place| place.sequence.to_string()),
            event.key.entity,
            event.sequence
        )));
    }
    Ok(event)
}

fn told(key: &EntityKey, dead: u64, answer: Redriven, error: Option<String>) -> Result<RedriveDone, Fault> {
    let entity = &key.entity;
    let conflict = |detail, head: Option<seriatim_sequencer::Place>| Err(Fault::Conflict { detail, head: head.map(report::place) });
    match answer {
        Redriven::Done { late } => Ok(RedriveDone { changed: true, late }),
        Redriven::Already => Ok(RedriveDone { changed: false, late: false }),
        Redriven::Passed { since, head } => {
            conflict(format!("{since} events of {entity} were applied since; redrive it out of order to apply it all the same"), Some(head))
        }
        Redriven::Ahead { head } => conflict(
            format!(
                "{entity} has not come to this event: it stands at event {} (epoch {}); redrive it when that one came or was skipped",
                head.sequence, head.epoch
            ),
            Some(head),
        ),
        Redriven::Forgotten => {
            conflict(format!("so many dead letters of {entity} were redriven that nobody remembers whether {dead} was"), None)
        }
        Redriven::Parked(WaitReason::Operator) => conflict(format!("{entity} was parked by an operator: resume it first"), None),
        Redriven::Parked(reason) => conflict(format!("{entity} is parked ({}): nothing can be delivered to it", reason.name()), None),
        Redriven::Failed(reason) => {
            let error = error.unwrap_or_default();
            conflict(format!("the handlers failed again ({}): {error}; nothing was changed", reason.name()), None)
        }
        Redriven::Stopped => {
            conflict(format!("pipeline {} stops: /readyz says why; redrive it when the host has been started again", key.pipeline), None)
        }
        Redriven::Barred => conflict(
            format!(
                "a handler of pipeline {} fails so often that none is called (circuit breaker); redrive it when it has closed",
                key.pipeline
            ),
            None,
        ),
        Redriven::Busy => conflict(format!("another dead letter of {entity} is being redriven"), None),
    }
}
