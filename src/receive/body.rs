//! Takes a request's body in as it arrives, under the request's charge; and the bodies of answers.
//!
//! Invariants: every byte is charged before it is kept; a body larger than the limit ends the reading at once; what is
//! returned holds little memory beyond its own length, so that what the journal charges is what it costs.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;

use super::admission::Charge;
use super::refusal::Refusal;

/// A body that comes in one frame of at least this size is used as it is. A frame is a slice of the connection's read
/// buffer and keeps all of it alive (`serve` bounds it to 64 KiB), so a shorter one is copied instead.
const KEPT_AS_IS_BYTES: usize = 32 << 10;

/// After an early refusal so much of the rest of an HTTP/1.1 request is read and thrown away, so that a client still
/// writing gets to read the answer: closing on unread data would reset the connection under it.
const DISCARD_BYTES: usize = 32 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(1);

/// Reads a whole body of at most `limit_bytes`. `peek` sees the first bytes that arrive and may refuse the rest.
pub(super) async fn collect<B>(
    body: &mut B,
    limit_bytes: usize,
    charge: &mut Charge,
    peek: impl Fn(&[u8]) -> Result<(), Refusal>,
) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut first = Bytes::new();
    let mut joined = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::Aborted(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        let so_far = first.len() + joined.len();
        if so_far + data.len() > limit_bytes {
            return Err(Refusal::TooLarge { limit_bytes });
        }
        if so_far == 0 {
            peek(&data)?;
        }
        charge.add(data.len()).map_err(|_| Refusal::InFlight)?;
        if so_far == 0 && data.len() >= KEPT_AS_IS_BYTES {
            first = data;
            continue;
        }
        if !first.is_empty() {
            joined.reserve(first.len() + data.len());
            joined.extend_from_slice(&std::mem::take(&mut first));
        }
        joined.extend_from_slice(&data);
    }
    if joined.is_empty() {
        return Ok(first);
    }
    joined.shrink_to_fit();
    Ok(joined.into())
}

/// Reads on and throws away, within the bounds above.
pub(super) async fn discard<B>(mut body: B)
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut left = DISCARD_BYTES;
    let to_the_end = async {
        while let Some(Ok(frame)) = body.frame().await {
            let data_bytes = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(data_bytes) {
                Some(less) => left = less,
                None => return,
            }
        }
    };
    let _ = tokio::time::timeout(DISCARD_TIME, to_the_end).await;
}

/// The body of an answer: at most one piece of data, then, in gRPC, the trailers.
#[derive(Debug, Default)]
pub struct Reply {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Reply {
    pub fn empty() -> Self {
        Self::default()
    }

    pub fn data(data: impl Into<Bytes>) -> Self {
        let data = data.into();
        Self { data: (!data.is_empty()).then_some(data), trailers: None }
    }

    pub fn with_trailers(mut self, trailers: HeaderMap) -> Self {
        self.trailers = Some(trailers);
        self
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take().map(Frame::data);
        Poll::Ready(data.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, Bytes::len) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receive::admission::Admission;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    /// A body of the given frames.
    pub(crate) struct Frames(pub VecDeque<Bytes>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
        }
    }

    fn frames(sizes: &[usize]) -> Frames {
        Frames(sizes.iter().enumerate().map(|(i, size)| vec![i as u8; *size].into()).collect())
    }

    fn collected(body: &mut Frames, limit: usize, charge: &mut Charge) -> Result<Bytes, Refusal> {
        ready(collect(body, limit, charge, |_| Ok(())))
    }

    /// Drives a future that is never pending.
    fn ready<T>(future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        match future.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(done) => done,
            Poll::Pending => panic!("pending"),
        }
    }

    proptest! {
        #[test]
        fn joins_the_frames_and_charges_their_bytes(sizes in prop::collection::vec(0_usize..70_000, 0..6)) {
            let admission = Admission::new(usize::MAX);
            let mut charge = admission.open();
            let expected: Vec<u8> = frames(&sizes).0.make_contiguous().concat();
            let body = collected(&mut frames(&sizes), expected.len(), &mut charge).unwrap();
            prop_assert_eq!(charge.bytes(), expected.len());
            prop_assert_eq!(&body[..], &expected[..]);
        }
    }

    #[test]
    fn a_large_single_frame_is_used_as_it_is_and_a_small_one_is_copied() {
        let admission = Admission::new(usize::MAX);
        for (size, kept) in [(KEPT_AS_IS_BYTES, true), (KEPT_AS_IS_BYTES - 1, false)] {
            let frame = Bytes::from(vec![1; size]);
            let mut body = Frames([frame.clone()].into());
            let taken = collected(&mut body, size, &mut admission.open()).unwrap();
            assert_eq!(taken.as_ptr() == frame.as_ptr(), kept, "{size}");
        }
    }

    #[test]
    fn the_limit_is_decided_before_admission_and_ends_the_reading() {
        let admission = Admission::new(10);
        let mut other = admission.open();
        other.add(100).unwrap();
        let mut body = frames(&[4, 4, 4]);
        let refusal = collected(&mut body, 3, &mut admission.open()).unwrap_err();
        assert_eq!(refusal, Refusal::TooLarge { limit_bytes: 3 });
        assert_eq!(body.0.len(), 2, "the rest was not read");
        assert_eq!(collected(&mut body, 100, &mut admission.open()), Err(Refusal::InFlight));
        assert_eq!(admission.held_bytes(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn discarding_ends_after_a_second() {
        let start = tokio::time::Instant::now();
        discard(Never).await;
        assert_eq!(start.elapsed(), DISCARD_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn discarding_ends_at_its_bytes() {
        let mut body = frames(&[20 << 20, 20 << 20, 20 << 20]);
        discard(&mut body).await;
        assert_eq!(body.0.len(), 1);
    }

    struct Never;

    impl Body for Never {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }
}
