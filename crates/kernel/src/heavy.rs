//! Work that takes a core for long: keys of RSA. It must not stand in the way of requests that take
//! some microseconds, so it runs on threads of its own that give way to all others, as many at a time
//! as the process says; whoever comes when all are taken waits without holding a thread.

use std::sync::Arc;

use strongroom_base::{Error, Result};
use tokio::sync::{Semaphore, oneshot};

use crate::host::Host;

/// Where such work is done.
pub struct Heavy {
    places: Arc<Semaphore>,
    host: Arc<dyn Host>,
}

impl Heavy {
    /// On the threads of this process.
    pub fn new(host: Arc<dyn Host>) -> Self {
        Self { places: Arc::new(Semaphore::new(host.heavy_places().max(1))), host }
    }

    /// Does `work`. Once begun it goes on to its end, and keeps its place until then, even where
    /// nobody waits for it any more.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let place = self.places.clone().acquire_owned().await.map_err(Error::internal)?;
        let (tell, told) = oneshot::channel();
        self.host.run_heavy(Box::new(move || {
            let done = work();
            drop(place);
            // Whoever asked may have gone.
            let _ = tell.send(done);
        }));
        told.await.map_err(|_| Error::internal("a thread of heavy work ended early"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::host::{LogLevel, MachineView};

    /// Two places, each piece of work a thread.
    #[derive(Debug)]
    struct Threads;

    impl Host for Threads {
        fn machine(&self) -> MachineView {
            MachineView::default()
        }
        fn loggers(&self) -> Vec<(String, LogLevel)> {
            Vec::new()
        }
        fn set_log_level(&self, _: Option<&str>, _: Option<LogLevel>) -> bool {
            false
        }
        fn heavy_places(&self) -> usize {
            2
        }
        fn run_heavy(&self, work: Box<dyn FnOnce() + Send>) {
            std::thread::spawn(work);
        }
    }

    #[tokio::test]
    async fn no_more_at_a_time_than_there_are_places() {
        let heavy = Heavy::new(Arc::new(Threads));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let both = Arc::new(std::sync::Barrier::new(2));
        let work = || {
            let (now, most, both) = (now.clone(), most.clone(), both.clone());
            heavy.run(move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                both.wait();
                now.fetch_sub(1, Ordering::SeqCst);
                7
            })
        };
        let done = tokio::join!(work(), work(), work(), work());
        for result in [done.0, done.1, done.2, done.3] {
            assert_eq!(result.unwrap(), 7);
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_frees_its_place() {
        let heavy = Heavy::new(Arc::new(Threads));
        for _ in 0..4 {
            let error = heavy.run(|| -> u8 { panic!("planted") }).await.unwrap_err();
            assert_eq!(error.kind, strongroom_base::ErrorKind::Internal);
        }
        assert_eq!(heavy.run(|| 1).await.unwrap(), 1);
    }
}
