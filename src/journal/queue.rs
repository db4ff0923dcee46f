//! What waits to be written: bounded, many put in, one takes all that is there.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Rows in the order of asking.
pub(super) struct Queue<T> {
    waiting: Mutex<Waiting<T>>,
    /// Told only while the taker sleeps: under load it never does, and telling costs a system call.
    filled: Condvar,
    length: usize,
}

struct Waiting<T> {
    rows: Vec<T>,
    taker_sleeps: bool,
    is_closed: bool,
}

/// Why a row is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// As many wait as may.
    Full,
    /// Nothing is taken any more.
    Closed,
}

impl<T> Queue<T> {
    pub(super) fn new(length: usize) -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                rows: Vec::new(),
                taker_sleeps: false,
                is_closed: false,
            }),
            filled: Condvar::new(),
            length,
        }
    }

    /// Puts a row at the end.
    pub(super) fn push(&self, row: T) -> Result<(), Refused> {
        let mut waiting = self.lock();
        if waiting.is_closed {
            return Err(Refused::Closed);
        }
        if waiting.rows.len() >= self.length {
            return Err(Refused::Full);
        }
        waiting.rows.push(row);
        let must_tell = std::mem::take(&mut waiting.taker_sleeps);
        drop(waiting);
        if must_tell {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.lock().rows.len()
    }

    /// Takes what waits, at most so many, and sleeps while nothing does. `false`: closed and empty.
    pub(super) fn take(&self, batch: &mut Vec<T>, most: usize) -> bool {
        let mut waiting = self.lock();
        while waiting.rows.is_empty() {
            if waiting.is_closed {
                return false;
            }
            waiting.taker_sleeps = true;
            waiting = self
                .filled
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.rows.len() <= most && batch.is_empty() {
            // All of it: the two lists change places and nothing is copied.
            std::mem::swap(&mut waiting.rows, batch);
        } else {
            let many = most.min(waiting.rows.len());
            batch.extend(waiting.rows.drain(..many));
        }
        true
    }

    /// Lets rows gather for a while, or until the queue is closed.
    pub(super) fn rest(&self, length: Duration) {
        let waiting = self.lock();
        // Nobody tells of rows meanwhile, since the taker is not marked as sleeping.
        let open = |waiting: &mut Waiting<T>| !waiting.is_closed;
        let rested = self.filled.wait_timeout_while(waiting, length, open);
        drop(rested.unwrap_or_else(PoisonError::into_inner));
    }

    /// Refuses rows from now on; those that wait can still be taken.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.filled.notify_one();
    }

    /// Takes nothing any more and drops what waits: the taker has gone.
    pub(super) fn abandon(&self) {
        let mut waiting = self.lock();
        waiting.is_closed = true;
        drop(std::mem::take(&mut waiting.rows));
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_in_order_and_no_more_than_asked_for() {
        let queue = Queue::new(3);
        for row in 1..=3 {
            queue.push(row).unwrap();
        }
        assert_eq!(queue.push(4), Err(Refused::Full));
        let mut batch = Vec::new();
        assert!(queue.take(&mut batch, 2));
        assert_eq!(batch, [1, 2]);
        batch.clear();
        queue.push(4).unwrap();
        assert!(queue.take(&mut batch, 2));
        assert_eq!(batch, [3, 4]);
    }

    #[test]
    fn what_waits_when_it_is_closed_is_still_taken() {
        let queue = Queue::new(3);
        queue.push(1).unwrap();
        queue.close();
        assert_eq!(queue.push(2), Err(Refused::Closed));
        let mut batch = Vec::new();
        assert!(queue.take(&mut batch, 9));
        assert_eq!(batch, [1]);
        assert!(!queue.take(&mut batch, 9));
    }

    #[test]
    fn a_taker_that_sleeps_is_told() {
        let queue = Queue::new(3);
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| {
                let mut batch = Vec::new();
                assert!(queue.take(&mut batch, 9));
                batch
            });
            std::thread::sleep(Duration::from_millis(50));
            queue.push(7).unwrap();
            assert_eq!(taker.join().unwrap(), [7]);
        });
    }
}
