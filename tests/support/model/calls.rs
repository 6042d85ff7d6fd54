//! A call from its arrival to its answer.

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::fate::{Fate, Lot};
use super::log::What;
use super::sqs;
use super::wire::{Answer, Call, Input};
use super::world::World;

/// What a connection gets.
#[derive(Debug)]
pub(super) enum Reply {
    Answer(Answer, News),
    Reset,
}

/// Who makes a call, and how many entries the log had when it was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pub(super) instance: u32,
    pub(super) asked: usize,
}

/// What an answer tells; if it is dropped on the way, nobody knows.
#[derive(Debug)]
pub(super) struct News {
    world: World,
    instance: u32,
    facts: Vec<What>,
}

impl News {
    pub(super) fn arrived(mut self) {
        let mut state = self.world.lock();
        for fact in std::mem::take(&mut self.facts) {
            state.note(Some(self.instance), fact);
        }
    }
}

impl Drop for News {
    fn drop(&mut self) {
        if self.facts.is_empty() {
            return;
        }
        let mut state = self.world.lock();
        for fact in std::mem::take(&mut self.facts) {
            match fact {
                What::Handed { event, .. } => state.fault(&event, "received, but the answer was lost"),
                What::Confirmed { event, .. } => state.onward_fault(&event, "published, but the answer was lost"),
                other => panic!("not a fact of an answer: {other:?}"),
            }
        }
    }
}

/// Serves one call.
pub(super) async fn serve(world: World, instance: u32, call: Call, mut reply: oneshot::Sender<Reply>) {
    let caller = Caller { instance, asked: world.lock().log.len() };
    let Fate { before, lot, after } = world.lock().fate(&call);
    sleep(before).await;
    match lot {
        Lot::Error(answer) => {
            sleep(after).await;
            let news = News { world, instance, facts: Vec::new() };
            let _gone = reply.send(Reply::Answer(answer, news));
            return;
        }
        Lot::LostRequest => return,
        Lot::ResetBefore => {
            let _gone = reply.send(Reply::Reset);
            return;
        }
        Lot::Answered | Lot::LostAnswer | Lot::ResetAfter => {}
    }
    let (answer, facts) = match &call.input {
        Input::Sqs(input) if call.operation == "ReceiveMessage" => sqs::receive(&world, input, &mut reply).await,
        Input::Sqs(input) => world.lock().sqs(instance, &call.operation, input),
        Input::Sns(form) => world.lock().sns(caller, &call.operation, form),
    };
    world.changed().notify_waiters();
    if after.as_millis() > 100 {
        // The visibility of what was received is running.
        let mut state = world.lock();
        for what in &facts {
            if let What::Handed { event, .. } = what {
                state.fault(event, "received, and the answer was slow");
            }
        }
    }
    let news = News { world, instance, facts };
    sleep(after).await;
    match lot {
        Lot::LostAnswer => {}
        Lot::ResetAfter => {
            let _gone = reply.send(Reply::Reset);
        }
        _ => {
            let _gone = reply.send(Reply::Answer(answer, news));
        }
    }
}
