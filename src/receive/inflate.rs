//! The one place that inflates compressed data, with its limit.
//!
//! Invariants:
//! - no more than the limit plus one step is ever held, whatever the input expands to;
//! - what comes out is exact or an error: a truncated stream, a wrong checksum, and bytes after the end are malformed;
//! - the work is done in steps of the caller's size, so that it decides where a long inflation runs and what it costs.
//!
//! gzip may have several members and zstd several frames; both are joined, as their formats say. A zstd window beyond
//! 8 MiB, the most that RFC 8878 asks a decoder to support, is refused.

use std::io::{self, Cursor, Read};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http::HeaderValue;
use zstd::stream::read::Decoder as ZstdDecoder;

/// log₂ of the largest zstd window.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Deflate cannot expand by more than this, so a gzip trailer that claims more is lying.
const DEFLATE_RATIO_MAX: usize = 1032;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// What `Accept-Encoding` and `grpc-accept-encoding` say.
    pub const ACCEPTED: &'static str = "gzip,zstd,identity";

    /// Reads `Content-Encoding` or `grpc-encoding`; absent is identity. The error is what stood there.
    pub fn from_header(value: Option<&HeaderValue>) -> Result<Self, String> {
        let Some(value) = value else { return Ok(Self::Identity) };
        let name = value.as_bytes().trim_ascii();
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if name.is_empty() || is("identity") {
            Ok(Self::Identity)
        } else if is("gzip") || is("x-gzip") {
            Ok(Self::Gzip)
        } else if is("zstd") {
            Ok(Self::Zstd)
        } else {
            Err(String::from_utf8_lossy(name).into_owned())
        }
    }
}

/// Why a body cannot be inflated. Both are the sender's fault and permanent.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("the body inflates to more than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    #[error("the {encoding} body is malformed: {cause}")]
    Malformed { encoding: &'static str, cause: io::Error },
}

/// Whether there may be more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    More,
    Done,
}

/// An inflation under way.
pub struct Inflater {
    source: Source,
    output: Vec<u8>,
    /// Bytes produced so far, those discarded included.
    produced: usize,
    limit_bytes: usize,
}

enum Source {
    /// Plain already; it is handed back as it is.
    Plain(Bytes),
    Gzip(Box<MultiGzDecoder<Cursor<Bytes>>>),
    Zstd(ZstdDecoder<'static, Cursor<Bytes>>),
}

impl Source {
    fn name(&self) -> &'static str {
        match self {
            Self::Plain(_) => "plain",
            Self::Gzip(_) => "gzip",
            Self::Zstd(_) => "zstd",
        }
    }
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(_) => Ok(0),
            Self::Gzip(source) => source.read(into),
            Self::Zstd(source) => source.read(into),
        }
    }
}

impl Inflater {
    /// `limit_bytes` counts the bytes that come out.
    pub fn new(encoding: Encoding, body: Bytes, limit_bytes: usize) -> Result<Self, Fault> {
        let expected = expected_bytes(encoding, &body).min(limit_bytes);
        let source = match encoding {
            Encoding::Identity if body.len() > limit_bytes => return Err(Fault::TooLarge { limit_bytes }),
            Encoding::Identity => Source::Plain(body),
            Encoding::Gzip => Source::Gzip(Box::new(MultiGzDecoder::new(Cursor::new(body)))),
            Encoding::Zstd => {
                let malformed = |cause| Fault::Malformed { encoding: "zstd", cause };
                let mut decoder = ZstdDecoder::with_buffer(Cursor::new(body)).map_err(malformed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(malformed)?;
                Source::Zstd(decoder)
            }
        };
        Ok(Self { source, output: Vec::with_capacity(expected), produced: 0, limit_bytes })
    }

    /// Inflates up to `step_bytes` more and says how many came out.
    pub fn step(&mut self, step_bytes: usize) -> Result<(usize, Progress), Fault> {
        let room = step_bytes.min(self.limit_bytes.saturating_add(1).saturating_sub(self.produced)).max(1);
        let encoding = self.source.name();
        let step = (&mut self.source).take(room as u64).read_to_end(&mut self.output);
        let bytes = step.map_err(|cause| Fault::Malformed { encoding, cause })?;
        self.produced += bytes;
        if self.produced > self.limit_bytes {
            return Err(Fault::TooLarge { limit_bytes: self.limit_bytes });
        }
        let progress = if bytes < room { Progress::Done } else { Progress::More };
        Ok((bytes, progress))
    }

    /// Forgets what has come out so far; it still counts against the limit.
    pub fn discard(&mut self) {
        self.output.clear();
    }

    /// What came out, in an allocation of about its own size.
    pub fn finish(mut self) -> Bytes {
        if let Source::Plain(body) = self.source {
            return body;
        }
        let spare = self.output.capacity() - self.output.len();
        if spare > self.output.len() / 8 {
            self.output.shrink_to_fit();
        }
        self.output.into()
    }
}

/// What the body itself says it inflates to: a hint for the first allocation and nothing more.
fn expected_bytes(encoding: Encoding, body: &[u8]) -> usize {
    match encoding {
        Encoding::Identity => 0,
        Encoding::Gzip => {
            let trailer = body.last_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size) as usize);
            trailer.min(body.len().saturating_mul(DEFLATE_RATIO_MAX))
        }
        Encoding::Zstd => {
            let declared = zstd::zstd_safe::get_frame_content_size(body).ok().flatten().unwrap_or(0);
            usize::try_from(declared).unwrap_or(usize::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::Write as _;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(data: &[u8]) -> Vec<u8> {
        zstd::encode_all(data, 3).unwrap()
    }

    fn encode(encoding: Encoding, data: &[u8]) -> Vec<u8> {
        match encoding {
            Encoding::Identity => data.to_vec(),
            Encoding::Gzip => gzip(data),
            Encoding::Zstd => zstd(data),
        }
    }

    fn inflate(encoding: Encoding, body: impl Into<Bytes>, limit: usize, step: usize) -> Result<Bytes, Fault> {
        let mut inflater = Inflater::new(encoding, body.into(), limit)?;
        while inflater.step(step)?.1 == Progress::More {}
        Ok(inflater.finish())
    }

    const COMPRESSED: [Encoding; 2] = [Encoding::Gzip, Encoding::Zstd];

    proptest! {
        #[test]
        fn gives_back_what_was_compressed(data in prop::collection::vec(0_u8..4, 0..5000), step in 1_usize..600) {
            for encoding in COMPRESSED {
                let out = inflate(encoding, encode(encoding, &data), 5000, step).unwrap();
                prop_assert_eq!(&out[..], &data[..]);
            }
        }

        #[test]
        fn arbitrary_bytes_end_in_an_answer(data in prop::collection::vec(any::<u8>(), 0..2000)) {
            for encoding in COMPRESSED {
                let mut with_magic = match encoding { Encoding::Gzip => vec![0x1f, 0x8b, 8, 0], _ => vec![0x28, 0xb5, 0x2f, 0xfd] };
                with_magic.extend(&data);
                let _ = inflate(encoding, data.clone(), 100_000, 4096);
                let _ = inflate(encoding, with_magic, 100_000, 4096);
            }
        }

        #[test]
        fn every_truncation_is_malformed(cut in 1_usize..60) {
            let data: Vec<u8> = (0..=255).collect();
            for encoding in COMPRESSED {
                let mut body = encode(encoding, &data);
                body.truncate(body.len() - cut);
                let fault = inflate(encoding, body, 1000, 64).unwrap_err();
                prop_assert!(matches!(fault, Fault::Malformed { .. }), "{}", fault);
            }
        }
    }

    #[test]
    fn the_limit_is_exact() {
        let data = vec![7_u8; 10_000];
        for encoding in COMPRESSED {
            assert_eq!(inflate(encoding, encode(encoding, &data), 10_000, 1 << 20).unwrap().len(), 10_000);
            for step in [100, 9_999, 1 << 20] {
                let fault = inflate(encoding, encode(encoding, &data), 9_999, step).unwrap_err();
                assert!(matches!(fault, Fault::TooLarge { limit_bytes: 9_999 }), "{fault}");
            }
        }
    }

    #[test]
    fn joins_members_and_frames() {
        for encoding in COMPRESSED {
            let body = [encode(encoding, b"one "), encode(encoding, b""), encode(encoding, b"two")].concat();
            assert_eq!(&inflate(encoding, body, 100, 3).unwrap()[..], b"one two");
        }
    }

    #[test]
    fn refuses_bytes_after_the_end_and_wrong_checksums() {
        for encoding in COMPRESSED {
            let trailing = [encode(encoding, b"one"), b"garbage".to_vec()].concat();
            assert!(matches!(inflate(encoding, trailing, 100, 64), Err(Fault::Malformed { .. })), "{encoding:?}");
        }
        let mut wrong = gzip(b"some text that is long enough");
        let crc_at = wrong.len() - 8;
        wrong[crc_at] ^= 1;
        assert!(matches!(inflate(Encoding::Gzip, wrong, 100, 64), Err(Fault::Malformed { .. })));
    }

    /// Scenario: 1 GiB of zeros in each encoding, against a limit of 1 MiB.
    /// Guarantees: refused as too large, holding no more than the limit and one step.
    #[test]
    fn a_bomb_costs_the_limit_and_no_more() {
        let block = vec![0_u8; 1 << 20];
        let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
        for _ in 0..1024 {
            bomb.write_all(&block).unwrap();
        }
        let gzip_bomb = bomb.finish().unwrap();
        let mut bomb = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        for _ in 0..1024 {
            bomb.write_all(&block).unwrap();
        }
        let zstd_bomb = bomb.finish().unwrap();
        for (encoding, body) in [(Encoding::Gzip, gzip_bomb), (Encoding::Zstd, zstd_bomb)] {
            let mut inflater = Inflater::new(encoding, body.into(), 1 << 20).unwrap();
            let fault = loop {
                match inflater.step(64 << 10) {
                    Ok((bytes, _)) => assert!(bytes <= 64 << 10),
                    Err(fault) => break fault,
                }
            };
            assert!(matches!(fault, Fault::TooLarge { .. }));
            assert!(inflater.output.capacity() <= (2 << 20) + (64 << 10), "{}", inflater.output.capacity());
        }
    }

    /// Scenario: trailers and headers that claim a size they do not have.
    #[test]
    fn a_claimed_size_is_only_a_hint() {
        let mut lying = gzip(b"short");
        let size_at = lying.len() - 4;
        lying[size_at..].copy_from_slice(&u32::MAX.to_le_bytes());
        let inflater = Inflater::new(Encoding::Gzip, lying.clone().into(), 1 << 30).unwrap();
        assert!(inflater.output.capacity() <= lying.len() * DEFLATE_RATIO_MAX);
        assert!(matches!(inflate(Encoding::Gzip, lying, 1 << 30, 64), Err(Fault::Malformed { .. })));
    }

    #[test]
    fn a_window_beyond_8_mib_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(24).unwrap();
        encoder.write_all(&vec![1_u8; 17 << 20]).unwrap();
        let body = encoder.finish().unwrap();
        assert!(matches!(inflate(Encoding::Zstd, body, 64 << 20, 1 << 20), Err(Fault::Malformed { .. })));
    }

    #[test]
    fn what_is_discarded_still_counts() {
        for encoding in COMPRESSED {
            let body = encode(encoding, &[3; 300_000]);
            for (limit, fits) in [(300_000, true), (299_999, false)] {
                let mut inflater = Inflater::new(encoding, body.clone().into(), limit).unwrap();
                let ended = loop {
                    inflater.discard();
                    match inflater.step(10_000) {
                        Ok((_, Progress::More)) => {}
                        Ok((_, Progress::Done)) => break true,
                        Err(_) => break false,
                    }
                };
                assert_eq!(ended, fits);
            }
        }
    }

    #[test]
    fn a_plain_body_is_handed_back_and_bounded_too() {
        let body = Bytes::from_static(b"plain");
        let mut inflater = Inflater::new(Encoding::Identity, body.clone(), 5).unwrap();
        assert_eq!(inflater.step(1).unwrap(), (0, Progress::Done), "its bytes are charged already");
        assert_eq!(inflater.finish().as_ptr(), body.as_ptr());
        assert!(matches!(Inflater::new(Encoding::Identity, body, 4), Err(Fault::TooLarge { limit_bytes: 4 })));
    }

    #[test]
    fn names_of_encodings() {
        let parse = |name: &'static str| Encoding::from_header(Some(&HeaderValue::from_static(name)));
        assert_eq!(parse("GZIP"), Ok(Encoding::Gzip));
        assert_eq!(parse(" zstd "), Ok(Encoding::Zstd));
        assert_eq!(parse(""), Ok(Encoding::Identity));
        assert_eq!(parse("gzip, gzip"), Err("gzip, gzip".to_owned()));
        assert_eq!(parse("br"), Err("br".to_owned()));
    }
}
