//! Users: identity, sessions, conversions, funnels, experiments.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::Dur;

/// Users and what they do.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Users {
    /// The zone whose calendar days count, by its IANA name.
    pub timezone: String,
    /// The attributes that may carry the user's id; the first present counts.
    pub identity: Vec<String>,
    /// Ids are hashed with this key before they are kept anywhere; `null`: a random key kept with the state.
    pub hash_key_file: Option<PathBuf>,
    pub session: Session,
    /// How late an event may come and still join its session.
    pub lateness: Dur,
    /// A user's record lives so long after the last event; day-by-day activity 64 days.
    pub retention: Dur,
    /// What counts as a bounce.
    pub bounce: Bounce,
    /// Users told apart; beyond, counts are estimates.
    pub max_users: u64,
    /// What counts as success.
    pub conversions: Vec<Conversion>,
    /// Steps toward a goal.
    pub funnels: Vec<Funnel>,
    /// Experiments and their goals.
    pub experiments: Vec<Experiment>,
}

/// The attributes that may carry a user's id, in the order they are asked.
const DEFAULT_IDENTITY: [&str; 10] = [
    "user.id",
    "enduser.id",
    "enduser.pseudo.id",
    "user.hash",
    "app.installation.id",
    "device.id",
    "user.account_uuid",
    "user.account_id",
    "installation.id",
    "user.email",
];

impl Default for Users {
    fn default() -> Self {
        Self {
            timezone: "UTC".to_owned(),
            identity: DEFAULT_IDENTITY.map(str::to_owned).to_vec(),
            hash_key_file: None,
            session: Session::default(),
            lateness: Dur::from_hours(1),
            retention: Dur::from_days(400),
            bounce: Bounce::Ga4,
            max_users: 1_000_000,
            conversions: Vec::new(),
            funnels: Vec::new(),
            experiments: Vec::new(),
        }
    }
}

/// Where a session ends that does not say so itself.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Session {
    /// Idle time after which a session is over.
    pub timeout: Dur,
    /// Longest session.
    pub max: Dur,
}

impl Default for Session {
    fn default() -> Self {
        Self { timeout: Dur::from_secs(1800), max: Dur::from_hours(24) }
    }
}

/// What counts as a bounce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bounce {
    /// Not engaged: at most 10 s, no conversion, fewer than two views.
    #[default]
    Ga4,
    /// At most one view, no other event, short; of sessions with a view.
    Posthog,
    /// Exactly one event of any kind.
    Classic,
}

/// An event or a span, by its name and attributes. Give exactly one of `event` and `span`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// The `event.name` of a log record or span event.
    pub event: Option<String>,
    /// The name of a span.
    pub span: Option<String>,
    /// Attributes that must have these values.
    pub attributes: BTreeMap<String, AttributeValue>,
}

/// A value an attribute is compared with.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged, expecting = "a string, number or boolean")]
pub enum AttributeValue {
    Bool(bool),
    Int(i64),
    Double(f64),
    String(String),
}

/// Something a user does that counts as success.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name", "match"]))]
pub struct Conversion {
    /// Unique; the label `conversion`.
    pub name: String,
    pub r#match: Match,
    /// The attribute that holds the conversion's value, such as an order's total.
    pub value_from: Option<String>,
    /// The value's currency, as an ISO 4217 code.
    pub currency: Option<String>,
}

/// Steps toward a goal.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name", "steps"]))]
pub struct Funnel {
    /// Unique; the label `funnel`.
    pub name: String,
    /// At least two.
    pub steps: Vec<FunnelStep>,
    /// How long after the first step the last one counts.
    pub window: Dur,
    pub order: FunnelOrder,
}

impl Default for Funnel {
    fn default() -> Self {
        Self { name: String::new(), steps: Vec::new(), window: Dur::from_days(14), order: FunnelOrder::Ordered }
    }
}

/// One step of a funnel.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name", "match"]))]
pub struct FunnelStep {
    /// Unique in its funnel; the label `step`.
    pub name: String,
    pub r#match: Match,
}

/// How the steps of a funnel must follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FunnelOrder {
    /// In order; other events may come between.
    #[default]
    Ordered,
    /// In order, with no other event between.
    Strict,
    /// In any order.
    Unordered,
}

/// An experiment: variants shown to users, and the conversion that tells which is better.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["id", "variants", "goal"]))]
pub struct Experiment {
    /// The feature flag's key.
    pub id: String,
    /// A name to show; default: the id.
    pub name: Option<String>,
    /// The variants; the first is the control.
    pub variants: Vec<String>,
    /// The share of users each variant is meant to have; default: equal shares.
    pub weights: Vec<f64>,
    /// The name of a conversion.
    pub goal: String,
    /// How long after the first exposure a conversion counts.
    pub window: Dur,
}

impl Default for Experiment {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: None,
            variants: Vec::new(),
            weights: Vec::new(),
            goal: String::new(),
            window: Dur::from_days(14),
        }
    }
}
