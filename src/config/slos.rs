//! Service level objectives: as they are written ([`Slo`]) and as they are meant ([`Objective`]).
//!
//! The short forms leave much out, and people write prose into them (`threshold: 43m downtime/month`). What is measured
//! follows, in this order, from `metric`, from the threshold's words, from `service` or `model`, from the words of the
//! name. [`Slo::resolve`] is the one place that knows these rules.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::slo_terms::{SloMetric, Subject, Threshold, metric_in};
use super::values::{Dur, Percent};

/// A service level objective, in a short form or as an OpenSLO document.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Slo {
    /// Unique. Where no other key tells what is measured, the words of the name do: `api-latency-p95`, `availability`,
    /// `model-accuracy`, `conversion-rate`, `user-retention-day7`.
    pub name: String,
    /// The service whose requests count; left out: all.
    pub service: Option<String>,
    /// The model whose calls count; left out: all.
    pub model: Option<String>,
    /// What is measured, where neither the threshold nor the name tells.
    pub metric: Option<SloMetric>,
    /// The share that must be good, such as `99.9%`; for a level such as accuracy, the level itself.
    pub objective: Option<Percent>,
    /// What separates good from bad: `100ms`, `$0.01`, `0.25`; or in prose: `43m downtime/month`, `95% accuracy`,
    /// `5% conversion`, `40% retention`.
    pub threshold: Option<Threshold>,
    /// The rolling window of the objective.
    pub window: Dur,
    /// Bad events that an alert's long window must have before the alert fires.
    pub min_bad_events: u64,
    /// An OpenSLO v1 document, in place of the other keys.
    pub openslo: Option<PathBuf>,
}

impl Default for Slo {
    fn default() -> Self {
        Self {
            name: String::new(),
            service: None,
            model: None,
            metric: None,
            objective: None,
            threshold: None,
            window: Dur::from_days(30),
            min_bad_events: 5,
            openslo: None,
        }
    }
}

/// An objective as it is meant.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    pub name: String,
    pub indicator: Indicator,
    /// The share of events (or of time, for availability) that must be good. `None` only for a level that is no share.
    pub target: Option<Percent>,
    pub window: Dur,
    pub min_bad_events: u64,
}

/// What is measured for an objective. `None` as service or model means all.
#[derive(Clone, Debug, PartialEq)]
pub enum Indicator {
    /// A request (SERVER or CONSUMER span) is bad if it took longer than `threshold`.
    RequestLatency { service: Option<String>, threshold: Dur },
    /// A request is bad if it failed.
    RequestErrors { service: Option<String> },
    /// Time is bad while the service is down.
    Availability { service: Option<String> },
    /// A model's call is bad if it took longer than `threshold`.
    InferenceLatency { model: Option<String>, threshold: Dur },
    /// A model's call is bad if it failed.
    InferenceErrors { model: Option<String> },
    /// A model's call is bad if it cost more than `threshold_usd`.
    InferenceCost { model: Option<String>, threshold_usd: f64 },
    /// A value that is met or not; it has no error budget.
    Level { model: Option<String>, metric: SloMetric, bound: Bound },
    /// An OpenSLO v1 document.
    OpenSlo { path: PathBuf },
}

/// The bound of a level, in the metric's own unit: a fraction of one where [`SloMetric::is_ratio`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// Why an objective cannot be understood, and the key that is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SloError {
    pub key: &'static str,
    pub message: String,
}

fn fault(key: &'static str, message: impl Into<String>) -> SloError {
    SloError { key, message: message.into() }
}

impl Slo {
    /// What this objective means. Errors name the key that is to blame.
    pub fn resolve(&self) -> Result<Objective, SloError> {
        if let Some(path) = &self.openslo {
            return self.open_slo(path);
        }
        if self.name.is_empty() {
            return Err(fault("name", "an SLO needs a `name`"));
        }
        if self.service.is_some() && self.model.is_some() {
            return Err(fault("model", "give `service` or `model`, not both"));
        }
        let shortest_window = Dur::from_hours(1);
        if self.window < shortest_window || self.window > Dur::from_days(90) {
            return Err(fault("window", format!("a window of {} is not between 1h and 90d", self.window)));
        }
        let metric = self.meant_metric();
        match (metric.subject(), &self.service, &self.model) {
            (Subject::Users, Some(_), _) => {
                return Err(fault("service", "this objective is about users, not a service"));
            }
            (Subject::Users, _, Some(_)) => return Err(fault("model", "this objective is about users, not a model")),
            (Subject::Model, Some(_), _) => {
                return Err(fault("service", "this objective is about a model; give `model`"));
            }
            (Subject::Service, _, Some(_)) => {
                return Err(fault("model", "this objective is about a service; give `service`"));
            }
            _ => {}
        }
        let (indicator, target) = match metric {
            SloMetric::Latency => (self.latency()?, Some(self.share()?)),
            SloMetric::Errors => (self.errors()?, Some(self.share()?)),
            SloMetric::Availability => self.availability()?,
            SloMetric::Cost => (self.cost()?, Some(self.share()?)),
            level => self.level(level)?,
        };
        Ok(Objective {
            name: self.name.clone(),
            indicator,
            target,
            window: self.window,
            min_bad_events: self.min_bad_events,
        })
    }

    fn open_slo(&self, path: &Path) -> Result<Objective, SloError> {
        let others = [
            ("service", self.service.is_some()),
            ("model", self.model.is_some()),
            ("metric", self.metric.is_some()),
            ("objective", self.objective.is_some()),
            ("threshold", self.threshold.is_some()),
        ];
        if let Some((key, _)) = others.into_iter().find(|(_, given)| *given) {
            return Err(fault(key, format!("`{key}` beside `openslo`: the document says it")));
        }
        Ok(Objective {
            name: self.name.clone(),
            indicator: Indicator::OpenSlo { path: path.to_owned() },
            target: None,
            window: self.window,
            min_bad_events: self.min_bad_events,
        })
    }

    fn meant_metric(&self) -> SloMetric {
        if let Some(metric) = self.metric {
            return metric;
        }
        match self.threshold {
            Some(Threshold::Duration(_)) => return SloMetric::Latency,
            Some(Threshold::Usd(_)) => return SloMetric::Cost,
            Some(Threshold::Downtime { .. }) => return SloMetric::Availability,
            Some(Threshold::Level { metric: SloMetric::Day7Retention, .. }) => {
                let by_name = metric_in(&self.name).filter(|metric| metric.subject() == Subject::Users);
                return by_name.unwrap_or(SloMetric::Day7Retention);
            }
            Some(Threshold::Level { metric, .. }) => return metric,
            Some(Threshold::Percent(_) | Threshold::Number(_)) | None => {}
        }
        if self.service.is_some() && self.threshold.is_none() {
            return SloMetric::Errors;
        }
        metric_in(&self.name).unwrap_or(SloMetric::Errors)
    }

    /// The objective as a share of events: between 0 and 100 %, both excluded.
    fn share(&self) -> Result<Percent, SloError> {
        let objective =
            self.objective.ok_or_else(|| fault("objective", "an SLO needs an `objective` such as 99.9%"))?;
        if objective.0 <= 0.0 || objective.0 >= 100.0 {
            return Err(fault("objective", format!("{objective} is not between 0% and 100%: no budget could be kept")));
        }
        if objective.0 < 1.0 {
            let meant = Percent(objective.0 * 100.0);
            return Err(fault(
                "objective",
                format!("{} is read as a percentage; write {meant} if that is meant", objective.0),
            ));
        }
        Ok(objective)
    }

    fn about_model(&self) -> bool {
        let named = || {
            let lower = self.name.to_lowercase();
            lower.split(|c: char| !c.is_alphanumeric()).any(|word| matches!(word, "model" | "inference" | "llm" | "ai"))
        };
        self.model.is_some() || (self.service.is_none() && named())
    }

    fn latency(&self) -> Result<Indicator, SloError> {
        match self.threshold {
            Some(Threshold::Duration(threshold)) if threshold.is_zero() => {
                Err(fault("threshold", "a latency of 0s can not be kept; expected one like 100ms"))
            }
            Some(Threshold::Duration(threshold)) if self.about_model() => {
                Ok(Indicator::InferenceLatency { model: self.model.clone(), threshold })
            }
            Some(Threshold::Duration(threshold)) => {
                Ok(Indicator::RequestLatency { service: self.service.clone(), threshold })
            }
            _ => Err(fault("threshold", "a latency objective needs a `threshold` such as 100ms")),
        }
    }

    fn errors(&self) -> Result<Indicator, SloError> {
        match self.threshold {
            Some(threshold) => {
                Err(fault("threshold", format!("`{threshold}` does not tell what is measured; give `metric` too")))
            }
            None if self.about_model() => Ok(Indicator::InferenceErrors { model: self.model.clone() }),
            None => Ok(Indicator::RequestErrors { service: self.service.clone() }),
        }
    }

    fn availability(&self) -> Result<(Indicator, Option<Percent>), SloError> {
        let by_threshold = match self.threshold {
            None => None,
            Some(Threshold::Downtime { allowed, per }) if allowed < per && !allowed.is_zero() => {
                Some(Percent(100.0 * (1.0 - allowed.as_secs_f64() / per.as_secs_f64())))
            }
            Some(Threshold::Percent(percent) | Threshold::Level { percent, .. }) => Some(percent),
            Some(threshold) => {
                return Err(fault(
                    "threshold",
                    format!("`{threshold}` is no availability; write it like 43m downtime/month"),
                ));
            }
        };
        let target = match (self.objective, by_threshold) {
            (None, Some(share)) => share,
            _ => self.share()?,
        };
        Ok((Indicator::Availability { service: self.service.clone() }, Some(target)))
    }

    fn cost(&self) -> Result<Indicator, SloError> {
        match self.threshold {
            Some(Threshold::Usd(threshold_usd) | Threshold::Number(threshold_usd)) if threshold_usd > 0.0 => {
                Ok(Indicator::InferenceCost { model: self.model.clone(), threshold_usd })
            }
            _ => Err(fault("threshold", "a cost objective needs a `threshold` such as $0.01")),
        }
    }

    fn level(&self, metric: SloMetric) -> Result<(Indicator, Option<Percent>), SloError> {
        let needs = |key, expected| Err(fault(key, format!("this objective needs {expected}")));
        let value = match (metric.is_ratio(), self.threshold, self.objective) {
            (true, Some(Threshold::Percent(percent) | Threshold::Level { percent, .. }), _) => percent.ratio(),
            (true, None, Some(objective)) => objective.ratio(),
            (true, None, None) => return needs("objective", "an `objective` such as 95%"),
            (_, Some(Threshold::Number(number)), _) => number,
            (false, Some(Threshold::Level { percent, .. } | Threshold::Percent(percent)), _) => percent.0,
            (false, None, _) => return needs("threshold", "a `threshold`, a number in the metric's own unit"),
            (_, Some(_), _) => return needs("threshold", "a number or a percentage as `threshold`"),
        };
        if metric.is_ratio() && !(-1.0..=1.0).contains(&value) && metric != SloMetric::MauGrowth {
            return Err(fault("threshold", format!("{}% is not between 0% and 100%", value * 100.0)));
        }
        let bound = if metric.lower_is_better() { Bound::AtMost(value) } else { Bound::AtLeast(value) };
        let share = metric.is_ratio().then_some(Percent(value * 100.0));
        let target = self.objective.or(share);
        Ok((Indicator::Level { model: self.model.clone(), metric, bound }, target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Slo {
        let node = crate::config::yaml::parse(yaml).unwrap();
        <Slo as Deserialize>::deserialize(&node).unwrap()
    }

    fn objective(yaml: &str) -> Objective {
        read(yaml).resolve().unwrap_or_else(|error| panic!("{error} in {yaml}"))
    }

    fn indicator(yaml: &str) -> (Indicator, Option<Percent>) {
        let objective = objective(yaml);
        (objective.indicator, objective.target)
    }

    fn blamed(yaml: &str) -> &'static str {
        read(yaml).resolve().unwrap_err().key
    }

    #[test]
    fn the_short_forms_are_understood() {
        let checkout = || Some("checkout".to_owned());
        let latency = objective("{name: l, service: checkout, objective: 99.0%, threshold: 100ms, window: 7d}");
        assert_eq!(
            latency.indicator,
            Indicator::RequestLatency { service: checkout(), threshold: Dur::from_millis(100) }
        );
        assert_eq!(latency.target, Some(Percent(99.0)));
        assert_eq!((latency.window, latency.min_bad_events), (Dur::from_days(7), 5));
        assert_eq!(
            indicator("{name: e, service: checkout, objective: 99.9%, window: 30d}"),
            (Indicator::RequestErrors { service: checkout() }, Some(Percent(99.9)))
        );
        // A name does not overrule the form.
        assert_eq!(
            indicator("{name: checkout-availability, service: checkout, objective: 99.9%}").0,
            Indicator::RequestErrors { service: checkout() }
        );
        let model = || Some("gpt-4o".to_owned());
        assert_eq!(
            indicator("{name: q, model: gpt-4o, objective: 95%, metric: accuracy}").0,
            Indicator::Level { model: model(), metric: SloMetric::Accuracy, bound: Bound::AtLeast(0.95) }
        );
        assert_eq!(
            indicator("{name: q, model: gpt-4o, objective: 95%, metric: latency, threshold: 2s}").0,
            Indicator::InferenceLatency { model: model(), threshold: Dur::from_secs(2) }
        );
        assert_eq!(
            indicator("{name: q, model: gpt-4o, objective: 95%, metric: cost, threshold: 0.01}").0,
            Indicator::InferenceCost { model: model(), threshold_usd: 0.01 }
        );
        assert_eq!(
            indicator("{name: q, model: gpt-4o, objective: 99%}").0,
            Indicator::InferenceErrors { model: model() }
        );
        assert_eq!(
            indicator("{name: c, metric: conversion_rate, objective: 5.0%, window: 30d}").0,
            Indicator::Level { model: None, metric: SloMetric::ConversionRate, bound: Bound::AtLeast(0.05) }
        );
        assert_eq!(
            indicator("{name: r, metric: day_30_retention, objective: 20%}").0,
            Indicator::Level { model: None, metric: SloMetric::Day30Retention, bound: Bound::AtLeast(0.2) }
        );
        assert_eq!(
            indicator("{name: bounce, metric: bounce_rate, objective: 40%}").0,
            Indicator::Level { model: None, metric: SloMetric::BounceRate, bound: Bound::AtMost(0.4) }
        );
        assert_eq!(
            indicator("{name: drift, metric: drift, threshold: 0.1}"),
            (Indicator::Level { model: None, metric: SloMetric::Drift, bound: Bound::AtMost(0.1) }, None)
        );
    }

    #[test]
    fn prose_is_understood() {
        assert_eq!(
            indicator("{name: api-latency-p95, objective: 99.0%, threshold: 100ms}").0,
            Indicator::RequestLatency { service: None, threshold: Dur::from_millis(100) }
        );
        assert_eq!(
            indicator("{name: model-inference-latency, objective: 95.0%, threshold: 200ms}").0,
            Indicator::InferenceLatency { model: None, threshold: Dur::from_millis(200) }
        );
        assert_eq!(
            indicator("{name: availability, objective: 99.9%, threshold: 43m downtime/month}"),
            (Indicator::Availability { service: None }, Some(Percent(99.9)))
        );
        let (_, target) = indicator("{name: availability, threshold: 43.2m downtime per month}");
        assert!((target.unwrap().0 - 99.9).abs() < 1e-9);
        assert_eq!(
            indicator("{name: model-accuracy, objective: 95.0%, threshold: 95% accuracy}").0,
            Indicator::Level { model: None, metric: SloMetric::Accuracy, bound: Bound::AtLeast(0.95) }
        );
        assert_eq!(
            indicator("{name: conversion-rate, objective: 5.0%, threshold: 5% conversion}").0,
            Indicator::Level { model: None, metric: SloMetric::ConversionRate, bound: Bound::AtLeast(0.05) }
        );
        assert_eq!(
            indicator("{name: user-retention-day7, objective: 40.0%, threshold: 40% retention}").0,
            Indicator::Level { model: None, metric: SloMetric::Day7Retention, bound: Bound::AtLeast(0.4) }
        );
        assert_eq!(
            indicator("{name: user-retention-day30, threshold: 40% retention}").0,
            Indicator::Level { model: None, metric: SloMetric::Day30Retention, bound: Bound::AtLeast(0.4) }
        );
        // With no threshold the name alone tells.
        assert_eq!(indicator("{name: availability, objective: 99.9%}").0, Indicator::Availability { service: None });
        assert_eq!(
            indicator("{name: model-accuracy, objective: 95%}").0,
            Indicator::Level { model: None, metric: SloMetric::Accuracy, bound: Bound::AtLeast(0.95) }
        );
        assert_eq!(indicator("{name: checkout, objective: 99%}").0, Indicator::RequestErrors { service: None });
    }

    #[test]
    fn thresholds_are_read_and_printed() {
        for (text, threshold, printed) in [
            ("< 100ms", Threshold::Duration(Dur::from_millis(100)), "100ms"),
            ("$0.01", Threshold::Usd(0.01), "$0.01"),
            ("0.01 USD", Threshold::Usd(0.01), "$0.01"),
            ("0.25", Threshold::Number(0.25), "0.25"),
            ("95 %", Threshold::Percent(Percent(95.0)), "95%"),
            (
                "43m Downtime / month",
                Threshold::Downtime { allowed: Dur::from_secs(2580), per: Dur::from_days(30) },
                "43m downtime/month",
            ),
            (
                "1h 30m downtime a week",
                Threshold::Downtime { allowed: Dur::from_secs(5400), per: Dur::from_days(7) },
                "1h30m downtime/week",
            ),
            (
                "5m downtime/10d",
                Threshold::Downtime { allowed: Dur::from_secs(300), per: Dur::from_days(10) },
                "5m downtime/10d",
            ),
            (
                "40% day-30 retention",
                Threshold::Level { percent: Percent(40.0), metric: SloMetric::Day30Retention },
                "40% day_30_retention",
            ),
        ] {
            assert_eq!(Threshold::parse(text), Ok(threshold), "{text}");
            assert_eq!(threshold.to_string(), printed);
            assert_eq!(Threshold::parse(printed), Ok(threshold), "{printed}");
        }
        for text in ["", "fast", "95% of something", "43m downtime/fortnight", "downtime/month", "$", "$x", "%"] {
            assert!(Threshold::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_key_to_blame_is_named() {
        assert_eq!(blamed("{objective: 99%}"), "name");
        assert_eq!(blamed("{name: a, service: s, model: m, objective: 99%}"), "model");
        assert_eq!(blamed("{name: a}"), "objective");
        assert_eq!(blamed("{name: a, objective: 100%}"), "objective");
        assert_eq!(blamed("{name: a, objective: 0%}"), "objective");
        assert_eq!(blamed("{name: a, objective: 0.999}"), "objective");
        assert_eq!(blamed("{name: a, objective: 99%, window: 5m}"), "window");
        assert_eq!(blamed("{name: a, objective: 99%, window: 1w, threshold: 0.5}"), "threshold");
        assert_eq!(blamed("{name: latency, objective: 99%}"), "threshold");
        assert_eq!(blamed("{name: latency, objective: 99%, threshold: 0s}"), "threshold");
        assert_eq!(blamed("{name: a, metric: accuracy, service: s, objective: 99%}"), "service");
        assert_eq!(blamed("{name: a, metric: conversion_rate, model: m, objective: 9%}"), "model");
        assert_eq!(blamed("{name: a, metric: availability, model: m, objective: 99%}"), "model");
        assert_eq!(blamed("{name: a, metric: mae}"), "threshold");
        assert_eq!(blamed("{name: a, metric: accuracy, threshold: 100ms}"), "threshold");
        assert_eq!(blamed("{name: a, metric: accuracy, threshold: 130%}"), "threshold");
        assert_eq!(blamed("{name: a, metric: availability, threshold: 2d downtime/day}"), "threshold");
        assert_eq!(blamed("{name: a, openslo: x.yaml, objective: 9%}"), "objective");
    }

    #[test]
    fn an_open_slo_document_is_kept_by_its_path() {
        assert_eq!(indicator("{openslo: slos/x.yaml}").0, Indicator::OpenSlo { path: PathBuf::from("slos/x.yaml") });
    }
}
