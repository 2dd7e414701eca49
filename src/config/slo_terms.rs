//! The words of service level objectives: what they are about, and what separates good from bad.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::values::{Dur, Percent, shown};

/// What an objective can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SloMetric {
    // Duration of requests, or of a model's calls.
    Latency,
    // Failed requests, or failed calls of a model.
    Errors,
    // Time a service is up.
    Availability,
    // Cost of one call, in USD.
    Cost,
    Accuracy,
    Precision,
    Recall,
    F1,
    Mae,
    Rmse,
    Bleu,
    Rouge1,
    Rouge2,
    #[serde(rename = "rougeL")]
    RougeL,
    Meteor,
    Perplexity,
    Bertscore,
    Fid,
    InceptionScore,
    Drift,
    Fairness,
    HealthScore,
    ConversionRate,
    #[serde(rename = "day_1_retention")]
    Day1Retention,
    #[serde(rename = "day_7_retention")]
    Day7Retention,
    #[serde(rename = "day_30_retention")]
    Day30Retention,
    BounceRate,
    ReturnRate,
    ChurnRate,
    Stickiness,
    MauGrowth,
    NpsScore,
}

/// Who a metric is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// Requests of a service, or a model's calls.
    Calls,
    Service,
    Model,
    Users,
}

impl SloMetric {
    pub(super) fn subject(self) -> Subject {
        match self {
            Self::Latency | Self::Errors => Subject::Calls,
            Self::Availability => Subject::Service,
            Self::ConversionRate
            | Self::Day1Retention
            | Self::Day7Retention
            | Self::Day30Retention
            | Self::BounceRate
            | Self::ReturnRate
            | Self::ChurnRate
            | Self::Stickiness
            | Self::MauGrowth
            | Self::NpsScore => Subject::Users,
            _ => Subject::Model,
        }
    }

    /// Whether less is better.
    pub fn lower_is_better(self) -> bool {
        matches!(
            self,
            Self::Latency
                | Self::Errors
                | Self::Cost
                | Self::Mae
                | Self::Rmse
                | Self::Perplexity
                | Self::Fid
                | Self::Drift
                | Self::BounceRate
                | Self::ChurnRate
        )
    }

    /// Whether the metric is a fraction of one, so that a percentage can be its level.
    pub fn is_ratio(self) -> bool {
        !matches!(
            self,
            Self::Latency
                | Self::Cost
                | Self::Drift
                | Self::Mae
                | Self::Rmse
                | Self::Bleu
                | Self::Perplexity
                | Self::Fid
                | Self::InceptionScore
                | Self::HealthScore
                | Self::NpsScore
        )
    }

    /// The metric that a word of prose or of a name speaks of. Retention is day 7 unless a day is named.
    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "latency" => Self::Latency,
            "error" | "errors" => Self::Errors,
            "availability" | "available" | "uptime" => Self::Availability,
            "cost" => Self::Cost,
            "accuracy" => Self::Accuracy,
            "precision" => Self::Precision,
            "recall" => Self::Recall,
            "f1" => Self::F1,
            "drift" => Self::Drift,
            "fairness" => Self::Fairness,
            "health" => Self::HealthScore,
            "conversion" | "conversions" => Self::ConversionRate,
            "retention" => Self::Day7Retention,
            "bounce" => Self::BounceRate,
            "churn" => Self::ChurnRate,
            "stickiness" => Self::Stickiness,
            "nps" => Self::NpsScore,
            _ => return None,
        })
    }
}

/// What separates good from bad.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// `100ms`
    Duration(Dur),
    /// `95%`
    Percent(Percent),
    /// `0.25`
    Number(f64),
    /// `$0.01`
    Usd(f64),
    /// `43m downtime/month`
    Downtime { allowed: Dur, per: Dur },
    /// `95% accuracy`
    Level { percent: Percent, metric: SloMetric },
}

/// The periods of a downtime budget, as people name them. A month is 30 days, as an SLO's window is.
const PERIODS: [(&str, Dur); 6] = [
    ("day", Dur::from_days(1)),
    ("week", Dur::from_days(7)),
    ("month", Dur::from_days(30)),
    ("quarter", Dur::from_days(90)),
    ("year", Dur::from_days(365)),
    ("hour", Dur::from_hours(1)),
];

impl Threshold {
    /// Reads a threshold; case and spacing do not matter, and a leading `<` or `>` is only emphasis.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{}` is not a threshold; write it like 100ms, $0.01, 0.25, 43m downtime/month or 95% accuracy",
                shown(text)
            )
        };
        let lower = text.to_lowercase();
        let trimmed = lower.trim_start_matches(['<', '>', '=', ' ', '≤', '≥']).trim_end();
        if let Some(usd) = trimmed.strip_prefix('$').or_else(|| trimmed.strip_suffix("usd")) {
            let usd = usd.trim().parse::<f64>().ok().filter(|usd| usd.is_finite());
            return usd.map(Self::Usd).ok_or_else(wrong);
        }
        if let Some((percent, words)) = trimmed.split_once('%') {
            let percent = Percent::parse(percent).map_err(|_| wrong())?;
            if words.trim().is_empty() {
                return Ok(Self::Percent(percent));
            }
            let metric = metric_in(words).ok_or_else(wrong)?;
            return Ok(Self::Level { percent, metric });
        }
        if let Some((duration, rest)) = trimmed.split_once("downtime") {
            let allowed = Dur::parse(&duration.replace(' ', "")).map_err(|_| wrong())?;
            let period = rest.trim().trim_start_matches('/').trim();
            let period = period.strip_prefix("per ").or_else(|| period.strip_prefix("a ")).unwrap_or(period).trim();
            let named = PERIODS.iter().find(|(name, _)| *name == period).map(|(_, per)| *per);
            let per = named.or_else(|| Dur::parse(period).ok()).ok_or_else(wrong)?;
            return Ok(Self::Downtime { allowed, per });
        }
        if let Ok(duration) = Dur::parse(trimmed) {
            return Ok(Self::Duration(duration));
        }
        trimmed.parse::<f64>().ok().filter(|number| number.is_finite()).map(Self::Number).ok_or_else(wrong)
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration(duration) => write!(f, "{duration}"),
            Self::Percent(percent) => write!(f, "{percent}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Usd(usd) => write!(f, "${usd}"),
            Self::Downtime { allowed, per } => {
                let named = PERIODS.iter().find(|(_, duration)| duration == per);
                match named {
                    Some((period, _)) => write!(f, "{allowed} downtime/{period}"),
                    None => write!(f, "{allowed} downtime/{per}"),
                }
            }
            Self::Level { percent, metric } => {
                let name = serde_json::to_value(metric).ok();
                let name = name.as_ref().and_then(|name| name.as_str()).unwrap_or_default();
                write!(f, "{percent} {name}")
            }
        }
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ThresholdVisitor;

        impl Visitor<'_> for ThresholdVisitor {
            type Value = Threshold;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a threshold like 100ms, $0.01, 0.25, 43m downtime/month or 95% accuracy")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Threshold, E> {
                Threshold::parse(text).map_err(E::custom)
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Threshold, E> {
                Ok(Threshold::Number(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Threshold, E> {
                Ok(Threshold::Number(number as f64))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Threshold, E> {
                Ok(Threshold::Number(number as f64))
            }
        }

        deserializer.deserialize_any(ThresholdVisitor)
    }
}

impl Serialize for Threshold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_f64(*number),
            other => serializer.collect_str(other),
        }
    }
}

impl JsonSchema for Threshold {
    fn schema_name() -> Cow<'static, str> {
        "Threshold".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What separates good from bad: `100ms`, `$0.01`, `0.25`, `43m downtime/month`, `95% accuracy`.",
            "type": ["string", "number"]
        })
    }
}

/// The metric that the words of `text` speak of, with the day of a retention.
pub(super) fn metric_in(text: &str) -> Option<SloMetric> {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let metric = words.iter().find_map(|word| SloMetric::from_word(word))?;
    if metric != SloMetric::Day7Retention {
        return Some(metric);
    }
    let day = |word: &str| match word.trim_start_matches("day").trim_start_matches('d').trim_end_matches('d') {
        "1" => Some(SloMetric::Day1Retention),
        "7" => Some(SloMetric::Day7Retention),
        "30" => Some(SloMetric::Day30Retention),
        _ => None,
    };
    Some(words.iter().find_map(|word| day(word)).unwrap_or(metric))
}
