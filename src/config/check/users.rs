//! Users, conversions, funnels, experiments.

use super::{Checker, path};
use crate::config::suggest;
use crate::config::tree::Path;
use crate::config::users::{Experiment, Match};
use crate::config::values::shown;

pub(super) fn check(checker: &mut Checker) {
    let users = &checker.config.users;
    timezone(checker, &users.timezone);
    if users.identity.is_empty() {
        checker.error(path("users.identity"), "no attributes: no user could be told from another");
    }
    for (key, duration) in [
        ("users.session.timeout", users.session.timeout),
        ("users.session.max", users.session.max),
        ("users.retention", users.retention),
    ] {
        checker.above_zero(path(key), duration);
    }
    if users.session.max < users.session.timeout {
        let message =
            format!("{} is shorter than users.session.timeout ({})", users.session.max, users.session.timeout);
        checker.error(path("users.session.max"), message);
    }
    checker.at_least_one(path("users.max_users"), users.max_users);
    conversions(checker);
    funnels(checker);
    let list = path("users.experiments");
    checker.names(&list, "id", "experiment", users.experiments.iter().map(|experiment| experiment.id.as_str()));
    for (index, experiment) in users.experiments.iter().enumerate() {
        self::experiment(checker, &list.index(index), experiment);
    }
}

fn timezone(checker: &mut Checker, name: &str) {
    let database = jiff::tz::db();
    if database.get(name).is_ok() {
        return;
    }
    let known: Vec<String> = database.available().map(|name| name.to_string()).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let hint = suggest::nearest(name, &known).map(|near| format!("; did you mean `{near}`?"));
    let hint = hint.unwrap_or_else(|| "; expected an IANA name such as Europe/Berlin".to_owned());
    checker.error(path("users.timezone"), format!("there is no time zone `{}`{hint}", shown(name)));
}

fn conversions(checker: &mut Checker) {
    let conversions = &checker.config.users.conversions;
    let list = path("users.conversions");
    checker.names(&list, "name", "conversion", conversions.iter().map(|conversion| conversion.name.as_str()));
    for (index, conversion) in conversions.iter().enumerate() {
        let at = list.index(index);
        one_of(checker, &at.key("match"), &conversion.r#match);
        let Some(currency) = &conversion.currency else { continue };
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            let message = format!("`{}` is not a currency's code, such as EUR", shown(currency));
            checker.error(at.key("currency"), message);
        }
    }
}

fn funnels(checker: &mut Checker) {
    let funnels = &checker.config.users.funnels;
    let list = path("users.funnels");
    checker.names(&list, "name", "funnel", funnels.iter().map(|funnel| funnel.name.as_str()));
    for (index, funnel) in funnels.iter().enumerate() {
        let at = list.index(index);
        let steps = at.key("steps");
        if funnel.steps.len() < 2 {
            checker.error(steps.clone(), format!("{} steps; a funnel needs at least 2", funnel.steps.len()));
        }
        checker.names(&steps, "name", "step", funnel.steps.iter().map(|step| step.name.as_str()));
        for (step_index, step) in funnel.steps.iter().enumerate() {
            one_of(checker, &steps.index(step_index).key("match"), &step.r#match);
        }
        checker.above_zero(at.key("window"), funnel.window);
    }
}

/// A match needs exactly one of an event's and a span's name.
fn one_of(checker: &mut Checker, at: &Path, wanted: &Match) {
    let name = match (&wanted.event, &wanted.span) {
        (Some(_), Some(_)) => {
            return checker.error(at.key("span"), "`event` and `span` are both given; expected one of them");
        }
        (None, None) => return checker.error(at.clone(), "nothing to match; expected `event` or `span` with a name"),
        (Some(name), None) | (None, Some(name)) => name,
    };
    if name.is_empty() {
        checker.error(at.clone(), "an empty name matches nothing");
    }
}

fn experiment(checker: &mut Checker, at: &Path, experiment: &Experiment) {
    let variants = at.key("variants");
    if experiment.variants.len() < 2 {
        let message =
            format!("{} variants; an experiment needs at least 2, the control first", experiment.variants.len());
        checker.error(variants.clone(), message);
    }
    for (index, variant) in experiment.variants.iter().enumerate() {
        if experiment.variants.iter().take(index).any(|earlier| earlier == variant) {
            checker.error(variants.index(index), format!("variant `{}` stands here twice", shown(variant)));
        }
    }
    let weights = at.key("weights");
    if !experiment.weights.is_empty() && experiment.weights.len() != experiment.variants.len() {
        let message = format!(
            "{} weights for {} variants; expected one each, or none for equal shares",
            experiment.weights.len(),
            experiment.variants.len()
        );
        checker.error(weights.clone(), message);
    }
    for (index, weight) in experiment.weights.iter().enumerate() {
        if !(weight.is_finite() && *weight > 0.0) {
            checker.error(weights.index(index), format!("{weight} is not a share above 0"));
        }
    }
    checker.above_zero(at.key("window"), experiment.window);
    if experiment.goal.is_empty() {
        checker.error(at.key("goal"), "`goal` is missing: every experiment needs the name of a conversion");
    } else {
        let conversions = &checker.config.users.conversions;
        let known: Vec<&str> = conversions.iter().map(|conversion| conversion.name.as_str()).collect();
        checker.exists(at.key("goal"), &experiment.goal, &known, "conversion");
    }
}
