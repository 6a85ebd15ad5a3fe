//! A call that left the JavaScript thread: from its token to its last message.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use vicinal_core::{Index, Progress, Result, Work};

use crate::control::Control;
use crate::environment::Home;
use crate::error::{Failure, guarded};
use crate::gate::Pass;
use crate::lane::Lane;
use crate::mailbox::{Content, Message, Token};
use crate::output::Payload;
use crate::progress::Throttle;

/// Ends a job, from any thread; only the first call counts.
pub(crate) type Done = Box<dyn FnOnce(Result<Payload>) + Send>;

pub(crate) struct Job {
    token: Token,
    home: Arc<Home>,
    control: Arc<Control>,
    throttle: Option<Arc<Throttle>>,
    /// The index that the call is about. None for a load.
    index: Option<Index>,
    /// The lane that it runs in, or that may have to wait for it.
    lane: Option<Lane>,
    /// Held while the call has to be over before its index closes.
    _pass: Option<Pass>,
}

impl Job {
    /// On the JavaScript thread, which from now on waits for one message that settles `token`.
    pub(crate) fn new(
        env: &napi::Env,
        home: &Arc<Home>,
        token: Token,
        progress: bool,
        index: Option<&Index>,
        pass: Option<Pass>,
    ) -> Self {
        let control = Arc::default();
        home.mailbox.expect(env);
        let throttle = progress.then(Arc::default);
        home.enter(token, &control, throttle.as_ref());
        Self { token, home: Arc::clone(home), control, throttle, index: index.cloned(), lane: None, _pass: pass }
    }

    /// The job as one of `lane`.
    pub(crate) fn in_lane(mut self, lane: &Lane) -> Self {
        self.lane = Some(lane.clone());
        self
    }

    /// Runs `body` on this thread and posts what it returns, unless the job was cancelled before.
    pub(crate) fn run(self, point: &'static str, body: impl FnOnce(&Work) -> Result<Payload>) {
        if let Some(result) = self.perform(point, body) {
            self.settle(result);
        }
    }

    /// Runs `body` on this thread, unless the job was cancelled before. What it returns is for [`Job::settle`].
    pub(crate) fn perform(
        &self,
        point: &'static str,
        body: impl FnOnce(&Work) -> Result<Payload>,
    ) -> Option<Result<Payload>> {
        let work = self.control.start().then(|| self.work())?;
        Some(guarded(self.index.as_ref(), point, || body(&work)))
    }

    /// Starts work that goes on without this thread and ends with a call of the given function.
    pub(crate) fn start(self, point: &'static str, body: impl FnOnce(Work, Done)) {
        if !self.control.start() {
            return;
        }
        let (work, index) = (self.work(), self.index.clone());
        let job = Arc::new(Mutex::new(Some(self)));
        let settle = move |result| {
            let job = job.lock().take();
            if let Some(job) = job {
                job.settle(result);
            }
        };
        let done = Box::new(settle.clone());
        let body = || {
            body(work, done);
            Ok(())
        };
        if let Err(error) = guarded(index.as_ref(), point, body) {
            settle(Err(error));
        }
    }

    fn work(&self) -> Work {
        let Some(throttle) = &self.throttle else {
            return Work { cancelled: Some(self.control.flag()), on_progress: None };
        };
        let (home, throttle, token) = (Arc::clone(&self.home), Arc::clone(throttle), self.token);
        let (cancelled, lane) = (self.control.flag(), self.lane.clone());
        let on_progress = move |progress: Progress| {
            let calls = if progress.is_last { throttle.conclude(progress) } else { throttle.report(progress) };
            if calls {
                home.post(Message { token, content: Content::Progress(Arc::clone(&throttle)) });
            }
            if progress.is_last {
                // What the listener throws cancels the job, which looks at that next.
                throttle.wait(|| cancelled.load(Ordering::Relaxed) || lane.as_ref().is_some_and(Lane::is_waited_for));
            }
        };
        Work { cancelled: Some(self.control.flag()), on_progress: Some(Arc::new(on_progress)) }
    }

    /// Posts how the job ended.
    pub(crate) fn settle(self, result: Result<Payload>) {
        if let (Some(throttle), Ok(_)) = (&self.throttle, &result)
            && throttle.finish()
        {
            self.home.post(Message { token: self.token, content: Content::Progress(Arc::clone(throttle)) });
        }
        let content = Content::Settled(result.map_err(Failure::from));
        self.home.post(Message { token: self.token, content });
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.home.exit(self.token);
    }
}
