//! Which app said it.
//!
//! An identity is (`service.namespace`, `service.name`, `service.instance.id`); its id is a hash of the three that is the
//! same in every process, so keys that hold it can be merged. Each identity keeps the attributes of its newest resource.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::observe;
use crate::otlp::visit::{self, AnyValue, Visitor};
use crate::series::{Identity, Label, LabelValue, stable_hash};
use crate::units::UnixNanos;

/// The name of an app that sent none, as the semantic conventions have it.
pub const UNKNOWN_SERVICE: &str = "unknown_service";

/// An identity's hash. Zero: none, for series beyond the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdentityId(pub u64);

impl IdentityId {
    pub const NONE: Self = Self(0);

    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.try_into().map_or(0, u64::from_le_bytes))
    }
}

#[derive(Debug)]
struct Known {
    identity: Arc<Identity>,
    body_hash: u64,
    last: UnixNanos,
    /// When it last fed the measures that derive metrics, by [`Feed`].
    fed: [UnixNanos; 2],
}

/// What an app sends that we derive metrics from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// Spans of any kind.
    Spans,
    /// Spans of AI calls.
    Calls,
}

#[derive(Debug, Default)]
pub struct Identities {
    known: HashMap<IdentityId, Known>,
    budget: usize,
}

/// What [`Identities::resolve`] noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Seen before, with these attributes.
    Same,
    New,
    /// Another resource with the same identity: a restart under one instance id, or two processes that share it.
    Changed,
    /// Beyond the budget: its series carry no identity.
    Overflowed,
}

impl Identities {
    pub fn new(budget: usize) -> Self {
        Self { known: HashMap::new(), budget }
    }

    /// The identity of a resource; its attributes are read only when they changed.
    pub fn resolve(&mut self, record: &[u8], resource: &observe::Resource, now: UnixNanos) -> (IdentityId, Notice) {
        let (namespace, name, instance) =
            (resource.namespace.get(record), resource.name.get(record), resource.instance.get(record));
        let name = if name.is_empty() { UNKNOWN_SERVICE.as_bytes() } else { name };
        let id = IdentityId(stable_hash(&[namespace, name, instance]).max(1));
        let body = resource.body.get(record);
        let body_hash = stable_hash(&[body]);
        let is_full = self.known.len() >= self.budget;
        let notice = match self.known.get_mut(&id) {
            Some(known) if known.body_hash == body_hash => {
                known.last = known.last.max(now);
                return (id, Notice::Same);
            }
            Some(_) => Notice::Changed,
            None if is_full => return (IdentityId::NONE, Notice::Overflowed),
            None => Notice::New,
        };
        let fed = self.known.get(&id).map(|known| known.fed).unwrap_or_default();
        let text = |bytes: &[u8]| Arc::<str>::from(String::from_utf8_lossy(bytes));
        let identity = Arc::new(Identity {
            namespace: text(namespace),
            name: text(name),
            instance: text(instance),
            attributes: attributes(body),
        });
        self.known.insert(id, Known { identity, body_hash, last: now, fed });
        (id, notice)
    }

    /// Notes that an app feeds what we derive.
    pub fn feed(&mut self, id: IdentityId, feed: Feed, now: UnixNanos) {
        if let Some(known) = self.known.get_mut(&id)
            && let Some(fed) = known.fed.get_mut(feed as usize)
        {
            *fed = now.max(*fed);
        }
    }

    /// Whether an app has fed that since `since`.
    pub fn feeds(&self, id: IdentityId, feed: Feed, since: UnixNanos) -> bool {
        let fed = self.known.get(&id).and_then(|known| known.fed.get(feed as usize));
        fed.is_some_and(|fed| fed.0 > 0 && *fed >= since)
    }

    pub fn get(&self, id: IdentityId) -> Option<Arc<Identity>> {
        self.known.get(&id).map(|known| Arc::clone(&known.identity))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Identity>> {
        self.known.values().map(|known| &known.identity)
    }

    pub fn len(&self) -> usize {
        self.known.len()
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub fn expire(&mut self, now: UnixNanos, expiry: Duration) {
        let oldest = now.saturating_sub(expiry);
        self.known.retain(|_, known| known.last >= oldest);
    }
}

/// A resource's scalar attributes but for the identity; lists are left out, as no label can show them.
fn attributes(resource: &[u8]) -> Vec<Label> {
    struct Collect(Vec<Label>);
    impl<'a> Visitor<'a> for Collect {
        fn resource_attribute(&mut self, key: &'a [u8], value: AnyValue<'a>) {
            const IDENTITY: [&[u8]; 3] = [b"service.namespace", b"service.name", b"service.instance.id"];
            let value = match value {
                AnyValue::Text(text) => LabelValue::Text(String::from_utf8_lossy(text).into()),
                AnyValue::Int(int) => LabelValue::Int(int),
                AnyValue::Bool(flag) => LabelValue::Bool(flag),
                AnyValue::Double(double) => LabelValue::Double(double),
                AnyValue::Empty | AnyValue::Bytes(_) | AnyValue::Array(_) | AnyValue::List(_) => return,
            };
            if !IDENTITY.contains(&key) {
                let key = String::from_utf8_lossy(key).into_owned();
                self.0.retain(|label| label.key != key);
                self.0.push(Label { key: key.into(), value });
            }
        }
    }
    let mut collect = Collect(Vec::new());
    // The bytes passed the check when they were received.
    let _checked = visit::resource(resource, &mut collect);
    collect.0
}
