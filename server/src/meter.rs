//! A provider's answer on its way to the client: passed on as it comes, looked at for its usage, and
//! settled by whoever ends it. What the bytes mean is `wire`'s business.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use domain::{Ending, RequestId};
use http_body::Frame;
use tokio::time::{Instant, Sleep};

use crate::exchange::broke;
use crate::failure::Envelope;
use crate::gate::Draining;
use crate::pieces::Pieces;
use crate::providers::OnHangup;
use crate::reservation::Reservation;
use crate::upstream::{Body, SendFault};
use crate::wire::{Observed, StreamReader};

/// The provider's answer broke off where no error can be told any more: the connection is closed.
#[derive(Debug, thiserror::Error)]
#[error("the provider's answer broke off")]
pub struct BrokenOff;

/// The body of a streamed answer.
pub struct Meter {
    upstream: Body,
    /// Reads the events of a stream; an answer of another kind (audio, a file) has none.
    reader: Option<StreamReader>,
    reservation: Option<Reservation>,
    request: RequestId,
    envelope: Envelope,
    /// What has come since the client was last given something.
    gathered: Pieces,
    /// How often we looked in vain since the last frame came.
    looked: u8,
    done: bool,
    silence: Silence,
}

/// How often to look for more before what has been gathered is passed on. hyper looks twice in one
/// turn of the scheduler, so the third look is the first after the provider's connection had a turn.
const LOOKS: u8 = 2;

/// Beyond this, what has been gathered is passed on without waiting for more.
const GATHERED_BYTES_MAX: usize = 64 * 1024;

impl Meter {
    pub fn new(
        upstream: Body,
        reader: Option<StreamReader>,
        reservation: Reservation,
        envelope: Envelope,
    ) -> Self {
        let request = reservation.request();
        let silence = Silence::new(reservation.gate().wire.silence_timeout);
        Self {
            upstream,
            reader,
            reservation: Some(reservation),
            request,
            envelope,
            gathered: Pieces::Nothing,
            looked: 0,
            done: false,
            silence,
        }
    }

    /// The next part of the answer. Frames that lie ready leave together, so that what a provider
    /// wrote at once is written at once: after a frame came, the provider's connection gets one turn
    /// of the scheduler to bring more.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        loop {
            if self.done {
                return Poll::Ready(self.gathered.take().map(|bytes| Ok(Frame::data(bytes))));
            }
            match self.upstream.poll_data(cx) {
                Poll::Ready(Some(Ok(data))) => {
                    self.silence.broken();
                    self.take_in(data);
                    self.looked = 0;
                    if self.gathered.len() >= GATHERED_BYTES_MAX {
                        return Poll::Ready(
                            self.gathered.take().map(|bytes| Ok(Frame::data(bytes))),
                        );
                    }
                }
                Poll::Ready(None) => self.ended(),
                Poll::Ready(Some(Err(fault))) => {
                    if let Err(broken) = self.failed(fault) {
                        return Poll::Ready(Some(Err(broken)));
                    }
                }
                Poll::Pending if self.gathered.is_empty() => {
                    if self.silence.poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    if let Err(broken) = self.failed(SendFault::TimedOut) {
                        return Poll::Ready(Some(Err(broken)));
                    }
                }
                Poll::Pending if self.looked >= LOOKS => {
                    return Poll::Ready(self.gathered.take().map(|bytes| Ok(Frame::data(bytes))));
                }
                Poll::Pending => {
                    self.looked += 1;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }

    fn take_in(&mut self, data: Bytes) {
        let Some(reader) = &mut self.reader else {
            self.gathered.push(data);
            return;
        };
        let out = reader.push(data);
        self.gathered.push(out);
        // Settled before the client can see the end, so that whoever has seen it finds the row.
        if reader.observed().ended
            && let Some(reservation) = self.reservation.take()
        {
            let ending =
                if reader.observed().failed { Ending::ProviderError } else { Ending::Complete };
            reservation.close(reader.observed(), ending);
        }
    }

    fn ended(&mut self) {
        self.done = true;
        if let Some(reader) = &mut self.reader {
            let rest = reader.finish();
            self.gathered.push(rest);
        }
        let Some(reservation) = self.reservation.take() else { return };
        match &self.reader {
            // A stream that stops without its closing event was cut, however politely.
            Some(reader) => {
                let ending = if reader.observed().failed {
                    Ending::ProviderError
                } else if reader.observed().ended || reader.observed().usage_is_final {
                    Ending::Complete
                } else {
                    Ending::ProviderBroke
                };
                reservation.close(reader.observed(), ending);
            }
            None => {
                reservation
                    .close(&Observed { ended: true, ..Observed::default() }, Ending::Complete);
            }
        }
    }

    /// A stream of events can still say what happened; any other body can only break off.
    fn failed(&mut self, fault: SendFault) -> Result<(), BrokenOff> {
        self.done = true;
        let ending = if matches!(fault, SendFault::TimedOut) {
            Ending::TimedOut
        } else {
            Ending::ProviderBroke
        };
        let had_ended = self.reservation.is_none();
        if let Some(reservation) = self.reservation.take() {
            let nothing = Observed::default();
            reservation
                .close(self.reader.as_ref().map_or(&nothing, StreamReader::observed), ending);
        }
        let failure = broke(fault);
        crate::failure::log(&failure, self.request);
        match &mut self.reader {
            Some(_) if had_ended => Ok(()),
            Some(reader) => {
                let rest = reader.finish();
                self.gathered.push(rest);
                self.gathered.push(Bytes::from(format!(
                    "\n\n{}",
                    self.envelope.event(&failure, self.request)
                )));
                Ok(())
            }
            None => Err(BrokenOff),
        }
    }
}

/// The client has gone before the end: read on for the usage, or cancel, as the provider bills.
impl Drop for Meter {
    fn drop(&mut self) {
        let Some(reservation) = self.reservation.take() else { return };
        let nothing = Observed::default();
        let observed = || self.reader.as_ref().map_or(&nothing, StreamReader::observed);
        let ends_the_bill =
            reservation.route().provider.on_hangup == OnHangup::Cancel && !reservation.is_bound();
        // A file, or sound, says nothing about its cost, however far it is read.
        let tells = self.reader.is_some() && reservation.is_told_by_the_answer();
        let cancel = ends_the_bill || !tells;
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            reservation.close(observed(), Ending::Stopped);
            return;
        };
        let draining = if cancel { None } else { reservation.gate().drain() };
        let Some(draining) = draining else {
            reservation.close(observed(), Ending::ClientGone);
            return;
        };
        let upstream = std::mem::replace(&mut self.upstream, Body::Nothing);
        let reader = self.reader.take();
        let tasks = reservation.gate().tasks.clone();
        tasks.spawn_on(drain(upstream, reader, reservation, draining), &runtime);
    }
}

/// Reads the rest of an answer that nobody waits for, for its usage, and throws it away.
async fn drain(
    mut upstream: Body,
    mut reader: Option<StreamReader>,
    reservation: Reservation,
    _draining: Draining,
) {
    let until = Instant::now() + reservation.gate().wire.drain_timeout;
    while let Ok(Some(Ok(data))) = tokio::time::timeout_at(until, upstream.data()).await {
        let Some(reader) = &mut reader else { continue };
        reader.push(data);
        if reader.observed().ended {
            break;
        }
    }
    let nothing = Observed::default();
    reservation.close(reader.as_ref().map_or(&nothing, StreamReader::observed), Ending::ClientGone);
}

/// How long a provider may say nothing. The timer is set once and only looked at when it fires, so
/// that a frame costs no timer work.
struct Silence {
    most: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    since_set: bool,
}

impl Silence {
    fn new(most: Duration) -> Self {
        Self { most, timer: None, since_set: false }
    }

    fn broken(&mut self) {
        self.since_set = true;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let most = self.most;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(most)));
        loop {
            match timer.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                // Something came while the timer ran: it starts once more. A silence is noticed
                // after at most twice its length.
                Poll::Ready(()) if self.since_set => {
                    self.since_set = false;
                    timer.as_mut().reset(Instant::now() + most);
                }
                Poll::Ready(()) => return Poll::Ready(()),
            }
        }
    }
}
