//! From an attribute's name to what it means, in a few nanoseconds.
//!
//! Most attributes of most spans mean nothing to us, so the common answer is "no": an open-addressed table at a fifth of
//! its capacity, indexed by a mix of the name's length and three of its words. A full comparison follows only where the
//! mixes are equal.

use super::names::{Field, NAMES};

/// What a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    /// The field, and how good this spelling of it is (lower is better).
    pub field: Option<(Field, u8)>,
    /// The position among the configured dimensions.
    pub dimension: Option<u8>,
}

struct Slot {
    mix: u64,
    name: Box<[u8]>,
    meaning: Meaning,
}

pub(super) struct Lookup {
    /// A power of two, at most a quarter full.
    slots: Box<[Option<Slot>]>,
}

impl Lookup {
    /// `dimensions`: at most 255 are looked at.
    pub(super) fn new(dimensions: &[String]) -> Self {
        let mut names: Vec<(Box<[u8]>, Meaning)> = Vec::with_capacity(NAMES.len() + dimensions.len());
        let mut ranks = [0_u8; Field::COUNT];
        for (name, field) in NAMES {
            let Some(rank) = ranks.get_mut(*field as usize) else { continue };
            names.push((name.as_bytes().into(), Meaning { field: Some((*field, *rank)), dimension: None }));
            *rank += 1;
        }
        for (index, name) in (0..=u8::MAX).zip(dimensions) {
            match names.iter_mut().find(|(known, _)| &**known == name.as_bytes()) {
                Some((_, meaning)) => meaning.dimension = Some(index),
                None => names.push((name.as_bytes().into(), Meaning { field: None, dimension: Some(index) })),
            }
        }
        let capacity = (names.len() * 4).next_power_of_two();
        let mut slots: Box<[Option<Slot>]> = (0..capacity).map(|_| None).collect();
        for (name, meaning) in names {
            let mix = mix(&name);
            let free = (0..capacity).map(|step| (mix as usize).wrapping_add(step) & (capacity - 1));
            if let Some(slot) = free.into_iter().find_map(|index| slots.get(index)?.is_none().then_some(index))
                && let Some(slot) = slots.get_mut(slot)
            {
                *slot = Some(Slot { mix, name, meaning });
            }
        }
        Self { slots }
    }

    #[inline]
    pub(super) fn find(&self, name: &[u8]) -> Option<Meaning> {
        let wanted = mix(name);
        let mut index = wanted as usize & (self.slots.len() - 1);
        // The table is never full, so an empty slot ends the search.
        while let Some(Some(slot)) = self.slots.get(index) {
            if slot.mix == wanted && *slot.name == *name {
                return Some(slot.meaning);
            }
            index = (index + 1) & (self.slots.len() - 1);
        }
        None
    }
}

#[inline]
fn mix(name: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let (first, middle, last) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            let half = name.get(name.len() / 2 - 4..).and_then(|half| half.first_chunk::<8>());
            (u64::from_le_bytes(*first), half.map_or(0, |half| u64::from_le_bytes(*half)), u64::from_le_bytes(*last))
        }
        _ => {
            let short = name.iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
            (short, 0, 0)
        }
    };
    let mixed = (first ^ last.rotate_left(23) ^ middle.rotate_left(41) ^ name.len() as u64).wrapping_mul(ODD);
    mixed ^ mixed >> 29
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_name_and_nothing_else() {
        let lookup = Lookup::new(&["http.route".to_owned(), "gen_ai.request.model".to_owned()]);
        for (name, field) in NAMES {
            let meaning = lookup.find(name.as_bytes()).unwrap();
            assert_eq!(meaning.field.map(|(field, _)| field), Some(*field), "{name}");
        }
        assert_eq!(lookup.find(b"http.route"), Some(Meaning { field: None, dimension: Some(0) }));
        assert_eq!(lookup.find(b"gen_ai.request.model").unwrap().dimension, Some(1));
        for other in ["", "http", "http.request.method", "gen_ai.usage.input_token", "gen_ai.usage.input_tokensX"] {
            assert_eq!(lookup.find(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn newer_spellings_are_better() {
        let lookup = Lookup::new(&[]);
        let rank = |name: &str| lookup.find(name.as_bytes()).unwrap().field.unwrap().1;
        assert!(rank("gen_ai.usage.input_tokens") < rank("gen_ai.usage.prompt_tokens"));
        assert!(rank("gen_ai.response.model") < rank("llm.model_name"));
    }

    #[test]
    fn a_name_stands_once() {
        let mut names: Vec<_> = NAMES.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NAMES.len());
    }
}
