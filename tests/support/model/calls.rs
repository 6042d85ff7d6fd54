//! Serves one call, from its arrival to its answer.

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::fate::{Ending, Fate};
use super::log::What;
use super::sqs;
use super::wire::{Answer, Call, Input};
use super::world::World;

/// The result of a call, as its connection sees it.
#[derive(Debug)]
pub(super) enum Reply {
    Answer(Answer, PendingFacts),
    Reset,
}

/// The origin of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    /// The run of the service that makes the call.
    pub(super) instance: u32,
    /// The number of log entries at the time of the call.
    pub(super) log_length: usize,
}

/// The facts that the caller learns from an answer. They are logged when the answer arrives. If the answer is lost,
/// each of them is logged as a fault instead.
#[derive(Debug)]
pub(super) struct PendingFacts {
    world: World,
    instance: u32,
    facts: Vec<What>,
}

impl PendingFacts {
    /// Logs the facts, because the answer has arrived.
    pub(super) fn confirm(mut self) {
        let mut state = self.world.lock();
        for fact in std::mem::take(&mut self.facts) {
            state.note(Some(self.instance), fact);
        }
    }
}

impl Drop for PendingFacts {
    fn drop(&mut self) {
        if self.facts.is_empty() {
            return;
        }
        let mut state = self.world.lock();
        for fact in std::mem::take(&mut self.facts) {
            match fact {
                What::Handed { event, .. } => state.fault(&event, "received, but the answer was lost"),
                What::Confirmed { event, .. } => state.onward_fault(&event, "published, but the answer was lost"),
                other => panic!("an answer does not carry this fact: {other:?}"),
            }
        }
    }
}

/// Serves one call of this run of the service, and sends the result to `reply`.
pub(super) async fn serve(world: World, instance: u32, call: Call, mut reply: oneshot::Sender<Reply>) {
    let caller = Caller { instance, log_length: world.lock().log.len() };
    let Fate { before, ending, after } = world.lock().draw_fate(&call);
    sleep(before).await;
    match ending {
        Ending::Error(answer) => {
            sleep(after).await;
            let facts = PendingFacts { world, instance, facts: Vec::new() };
            let _gone = reply.send(Reply::Answer(answer, facts));
            return;
        }
        Ending::LostRequest => return,
        Ending::ResetBefore => {
            let _gone = reply.send(Reply::Reset);
            return;
        }
        Ending::Answered | Ending::LostAnswer | Ending::ResetAfter => {}
    }
    let (answer, facts) = match call.input {
        Input::Sqs(input) if call.operation == "ReceiveMessage" => sqs::receive(&world, &input, &mut reply).await,
        Input::Sqs(input) => world.lock().sqs(instance, &call.operation, input),
        Input::Sns(form) => world.lock().sns(caller, &call.operation, &form),
        Input::Lookup(lookup) => (world.lock().look_up(&lookup), Vec::new()),
    };
    world.changed().notify_waiters();
    if after.as_millis() > 100 {
        // The visibility timeouts of the received messages run while the answer is on its way.
        let mut state = world.lock();
        for what in &facts {
            if let What::Handed { event, .. } = what {
                state.fault(event, "received, and the answer was slow");
            }
        }
    }
    let facts = PendingFacts { world, instance, facts };
    sleep(after).await;
    match ending {
        Ending::LostAnswer => {}
        Ending::ResetAfter => {
            let _gone = reply.send(Reply::Reset);
        }
        _ => {
            let _gone = reply.send(Reply::Answer(answer, facts));
        }
    }
}
