//! Which exemplars a series shows, and their labels.
//!
//! Only exemplars with a trace id are shown. A counter shows its newest; a bucket the one with the largest value in it,
//! as OpenTelemetry's compatibility rules say. Two ids in hexadecimal are 63 code points with their names, under
//! OpenMetrics's 128.

use crate::series::Exemplar;

/// Whether there is anything to show.
pub fn is_shown(exemplar: &Exemplar) -> bool {
    exemplar.trace_id != [0; 16] && !exemplar.value.is_nan()
}

/// A counter's exemplar.
pub fn newest(exemplars: &[Exemplar]) -> Option<&Exemplar> {
    exemplars.iter().filter(|exemplar| is_shown(exemplar)).max_by_key(|exemplar| exemplar.time)
}

/// Each bucket's exemplar, by the bucket's index; the newest of those with one value. Empty where there are none at all.
pub fn sort_into_buckets<'a>(exemplars: &'a [Exemplar], bounds: &[f64], in_buckets: &mut Vec<Option<&'a Exemplar>>) {
    in_buckets.clear();
    for exemplar in exemplars.iter().filter(|exemplar| is_shown(exemplar)) {
        // A bound of +Inf is the last bucket's like no bound at all.
        let index = bounds.partition_point(|bound| *bound < exemplar.value && bound.is_finite());
        if in_buckets.len() <= index {
            in_buckets.resize(index + 1, None);
        }
        let beats = |known: &Exemplar| (known.value, known.time) < (exemplar.value, exemplar.time);
        if let Some(best) = in_buckets.get_mut(index)
            && best.is_none_or(beats)
        {
            *best = Some(exemplar);
        }
    }
}

/// `trace_id`, and `span_id` where it is known.
pub fn labels(exemplar: &Exemplar) -> impl Iterator<Item = (&'static str, &[u8])> {
    let span_id = (exemplar.span_id != [0; 8]).then_some(("span_id", exemplar.span_id.as_slice()));
    [("trace_id", exemplar.trace_id.as_slice())].into_iter().chain(span_id)
}

/// An id in lower-case hexadecimal.
pub fn push_hex(out: &mut Vec<u8>, id: &[u8]) {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + (nibble - 10) };
    for byte in id {
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::UnixNanos;

    fn exemplar(value: f64, time: u64) -> Exemplar {
        Exemplar { value, time: UnixNanos(time), trace_id: [1; 16], span_id: [0; 8] }
    }

    #[test]
    fn buckets_take_the_largest_value() {
        let nameless = Exemplar { trace_id: [0; 16], ..exemplar(0.9, 9) };
        let all = [
            exemplar(0.5, 1),
            exemplar(0.7, 0),
            exemplar(0.7, 3),
            exemplar(1.0, 0),
            exemplar(7.0, 0),
            exemplar(f64::NAN, 0),
            nameless,
        ];
        let mut in_buckets = Vec::new();
        sort_into_buckets(&all, &[0.1, 0.8, 1.0, 2.0], &mut in_buckets);
        assert_eq!(in_buckets, [None, Some(&all[2]), Some(&all[3]), None, Some(&all[4])]);
        sort_into_buckets(&all[3..5], &[1.0, f64::INFINITY], &mut in_buckets);
        assert_eq!(in_buckets, [Some(&all[3]), Some(&all[4])]);
        sort_into_buckets(&[], &[1.0], &mut in_buckets);
        assert!(in_buckets.is_empty());
    }

    #[test]
    fn counters_take_the_newest() {
        let all = [exemplar(9.0, 1), exemplar(0.5, 3), exemplar(1.0, 2)];
        assert_eq!(newest(&all), Some(&all[1]));
    }

    #[test]
    fn labels_of_known_ids() {
        let of = |exemplar: &Exemplar| {
            let mut text = Vec::new();
            for (name, id) in labels(exemplar) {
                text.extend_from_slice(name.as_bytes());
                push_hex(&mut text, id);
            }
            String::from_utf8(text).unwrap()
        };
        let known = Exemplar { span_id: [0xf0; 8], ..exemplar(1.0, 0) };
        assert_eq!(of(&known), "trace_id01010101010101010101010101010101span_idf0f0f0f0f0f0f0f0");
        assert_eq!(of(&exemplar(1.0, 0)), "trace_id01010101010101010101010101010101");
    }
}
