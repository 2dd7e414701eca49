//! The fold: one thread that owns all state.
//!
//! Invariants: nobody else touches the state, so it has no locks; records are folded in order and committed one by one;
//! between two records the thread answers questions, each a closure that it runs on the state. An asker waits for its
//! answer and for nobody else's; the fold waits for no asker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use tokio::sync::oneshot;

use super::state::State;
use crate::journal::{Behind, Journal, Sequence, Wants};
use crate::observe::Observations;
use crate::units::UnixNanos;

/// The fold's name among the journal's readers.
pub const READER: &str = "fold";
/// Questions waiting at most.
const MAX_QUESTIONS: usize = 64;
/// Records folded between two looks at the questions.
const RECORDS_PER_TURN: usize = 64;
/// The thread looks around at least so often, were a wake-up ever lost.
const NAP: Duration = Duration::from_millis(500);

type Question = Box<dyn FnOnce(&mut State) + Send>;

/// Why a question was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    #[error("too many questions are waiting for the fold")]
    Busy,
    #[error("the fold has stopped")]
    Stopped,
}

/// The fold's side that others hold.
#[derive(Clone)]
pub struct Asker {
    questions: SyncSender<Question>,
    thread: Thread,
    progress: Arc<Progress>,
}

/// How far the fold is.
#[derive(Debug, Default)]
pub struct Progress {
    folded: AtomicU64,
    /// Wall-clock time of the last step, in Unix nanoseconds; for liveness only.
    moved_at: AtomicU64,
}

impl Progress {
    /// The newest record folded.
    pub fn folded(&self) -> Sequence {
        self.folded.load(Ordering::Acquire)
    }

    /// When the fold last folded a record or found nothing to fold.
    pub fn moved_at(&self) -> UnixNanos {
        UnixNanos(self.moved_at.load(Ordering::Acquire))
    }
}

impl Asker {
    /// Runs `question` on the fold's thread, between two records.
    pub async fn ask<A: Send + 'static>(
        &self,
        question: impl FnOnce(&State) -> A + Send + 'static,
    ) -> Result<A, Unanswered> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |state| {
            // The asker may have gone; then nobody needs the answer.
            let _gone = reply.send(question(state));
        });
        match self.questions.try_send(question) {
            Ok(()) => self.thread.unpark(),
            Err(TrySendError::Full(_)) => return Err(Unanswered::Busy),
            Err(TrySendError::Disconnected(_)) => return Err(Unanswered::Stopped),
        }
        answer.await.map_err(|_| Unanswered::Stopped)
    }

    pub fn progress(&self) -> &Progress {
        &self.progress
    }
}

/// The running fold. Dropping every [`Asker`] and this ends it after the records that are there.
pub struct Fold {
    asker: Asker,
    thread: JoinHandle<()>,
}

impl Fold {
    /// Starts the fold of `journal` into `state`.
    pub fn start(journal: &Journal<Observations>, state: State) -> std::io::Result<Self> {
        let (questions, inbox) = sync_channel(MAX_QUESTIONS);
        let (thread_known, thread_here) = sync_channel(1);
        let progress = Arc::new(Progress::default());
        let (journal, shared) = (journal.clone(), Arc::clone(&progress));
        let handle = std::thread::Builder::new().name("qiyas-fold".into()).spawn(move || {
            let thread = std::thread::current();
            let waker = thread.clone();
            let reader = journal.reader(READER, Behind::Refuse, Wants::ALL, move || waker.unpark());
            let _started = thread_known.send(thread);
            run(reader, state, &inbox, &shared);
        })?;
        let thread = thread_here.recv().map_err(std::io::Error::other)?;
        Ok(Self { asker: Asker { questions, thread, progress }, thread: handle })
    }

    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// Waits until every record is folded and the thread has ended. All askers must be gone.
    pub fn stop(self) {
        let Self { asker, thread } = self;
        let parked = asker.thread.clone();
        drop(asker);
        parked.unpark();
        if thread.join().is_err() {
            tracing::error!("the fold panicked");
        }
    }
}

fn run(
    mut reader: crate::journal::Reader<Observations>,
    mut state: State,
    inbox: &Receiver<Question>,
    progress: &Progress,
) {
    loop {
        let mut folded = 0;
        while folded < RECORDS_PER_TURN
            && let Some(record) = reader.read()
        {
            state.fold(&record);
            reader.commit(record.sequence);
            progress.folded.store(record.sequence, Ordering::Release);
            folded += 1;
        }
        progress.moved_at.store(UnixNanos::now().0, Ordering::Release);
        let mut answered = 0;
        let open = loop {
            match inbox.try_recv() {
                Ok(question) => {
                    question(&mut state);
                    answered += 1;
                }
                Err(std::sync::mpsc::TryRecvError::Empty) => break true,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => break false,
            }
        };
        if folded == 0 && answered == 0 {
            if !open {
                return;
            }
            std::thread::park_timeout(NAP);
        }
    }
}
