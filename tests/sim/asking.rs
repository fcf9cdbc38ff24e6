//! What operators ask of one incarnation of the host, through the host's own `control::Live`. Its futures are looked at by hand: the questions that
//! come out of them wait for their shards as in production, and what a redrive needs of the stream of dead letters is laid out beforehand.

use futures_util::FutureExt as _;
use seriatim::control::{
    Answer, Control as _, DeadLetterPage, DeadLetterQuery, DeadLetterReport, EntityName, ExportPage, Fault, HistoryPart, HistoryQuery,
    Letters, Live, LiveParts, PurgeDone, Redrive, RedriveSource, Word,
};
use seriatim::event::Message;
use seriatim::shard::Question;
use seriatim::sink::dead_letters;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

thread_local! {
    /// Nothing runs on it: the host's time-outs want a clock to be there. They are long, and none is waited for.
    static CLOCK: Runtime = Builder::new_current_thread().enable_time().build().unwrap();
}

/// See the module.
pub(crate) struct Asking {
    live: Arc<Live>,
    shelf: Arc<Shelf>,
    /// By shard.
    questions: Vec<mpsc::Receiver<Question>>,
}

impl Asking {
    /// `parts` with the shards whose questions come out of `questions`, and [`Shelf`] as their letters.
    pub(crate) fn new(parts: LiveParts, shelf: Arc<Shelf>, questions: Vec<mpsc::Receiver<Question>>) -> Self {
        Self { live: Arc::new(Live::new(parts)), shelf, questions }
    }

    /// Says a word to an entity.
    pub(crate) fn say(&self, name: EntityName, word: Word) -> Asked {
        let live = self.live.clone();
        Asked(Box::pin(async move { live.operate(name, word).await.map(|done| done.changed) }))
    }

    /// Gives a dead letter's event again. `letter` is what its stream holds; `None`: the stream does not answer.
    pub(crate) fn redrive(&self, number: u64, letter: Option<Message>, redrive: Redrive) -> Asked {
        let (live, shelf) = (self.live.clone(), self.shelf.clone());
        Asked(Box::pin(async move {
            shelf.lay(letter);
            live.redrive(number, redrive).await.map(|done| done.changed)
        }))
    }

    pub(crate) fn idle(&self) -> bool {
        self.questions.iter().all(mpsc::Receiver::is_empty)
    }

    /// A question waits for this shard.
    pub(crate) fn waits(&self, shard: usize) -> bool {
        !self.questions[shard].is_empty()
    }

    pub(crate) fn take(&mut self, shard: usize) -> Option<Question> {
        self.questions[shard].try_recv().ok()
    }
}

/// An operator's request that is under way.
pub(crate) struct Asked(Pin<Box<dyn Future<Output = Result<bool, Fault>>>>);

impl Asked {
    /// What came back, if anything did: whether something was changed, or why not.
    pub(crate) fn answer(&mut self) -> Option<Result<bool, Fault>> {
        CLOCK.with(|clock| {
            let _entered = clock.enter();
            (&mut self.0).now_or_never()
        })
    }
}

/// The dead letter that the next redrive fetches.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<Option<Message>>);

impl Shelf {
    fn lay(&self, letter: Option<Message>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = letter;
    }
}

fn unused<'a, T: Send + 'a>() -> Answer<'a, T> {
    Box::pin(async { Err(Fault::Unavailable("the simulation does not ask for this".to_owned())) })
}

impl Letters for Shelf {
    fn list(&self, _: DeadLetterQuery) -> Answer<'_, DeadLetterPage> {
        unused()
    }

    fn get(&self, _: u64) -> Answer<'_, DeadLetterReport> {
        unused()
    }

    fn fetch(&self, stream_sequence: u64) -> Answer<'_, RedriveSource> {
        let laid = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move {
            let letter = laid.filter(|letter| letter.stream_sequence == stream_sequence);
            letter.map_or_else(|| Err(Fault::Unavailable("the broker does not answer".to_owned())), dead_letters::redrive_source)
        })
    }

    fn export(&self, _: DeadLetterQuery) -> Answer<'_, ExportPage> {
        unused()
    }

    fn purge(&self, _: DeadLetterQuery, _: bool) -> Answer<'_, PurgeDone> {
        unused()
    }

    fn history(&self, _: HistoryQuery) -> Answer<'_, HistoryPart> {
        unused()
    }
}
