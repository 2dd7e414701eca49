//! Services, SLOs, KPI targets, alerts.

use super::forward::{client_tls, headers};
use super::measures::is_share;
use super::{Checker, path};
use crate::config::objectives::{AlertReceiver, AlertReceiverType};
use crate::config::secrets::Url;
use crate::config::tree::Path;
use crate::config::values::{Dur, Timestamp, shown};

pub(super) fn check(checker: &mut Checker) {
    services(checker);
    slos(checker);
    kpis(checker);
    alerts(checker);
}

fn services(checker: &mut Checker) {
    let services = &checker.config.services;
    let list = path("services");
    checker.names(&list, "name", "service", services.iter().map(|service| service.name.as_str()));
    for (index, service) in services.iter().enumerate() {
        let at = list.index(index);
        let target = service.sla_target;
        if target.0 <= 0.0 || target.0 > 100.0 {
            checker.error(at.key("sla_target"), format!("{target} is not above 0% and at most 100%"));
        } else if target.0 <= 1.0 {
            let message = format!("{} is read as a percentage; write {} if that is meant", target.0, target.0 * 100.0);
            checker.error(at.key("sla_target"), message);
        }
        let down_when = &service.down_when;
        if !is_share(down_when.error_ratio) {
            let message = format!("{} is not a ratio above 0 and at most 1", down_when.error_ratio.0);
            checker.error(at.key("down_when").key("error_ratio"), message);
        }
        checker.above_zero(at.key("down_when").key("for"), down_when.r#for);
        checker.at_least_one(at.key("down_when").key("min_requests"), down_when.min_requests);
        for (window, maintenance) in service.maintenance.iter().enumerate() {
            let planned = at.key("maintenance").index(window);
            let missing = [("start", maintenance.start), ("end", maintenance.end)];
            let missing = missing.into_iter().find(|(_, moment)| *moment == Timestamp::default());
            if let Some((key, _)) = missing {
                checker
                    .error(planned.key(key), format!("`{key}` is missing: a planned outage needs `start` and `end`"));
            } else if maintenance.end <= maintenance.start {
                let message = format!("ends at {}, not after its start at {}", maintenance.end, maintenance.start);
                checker.error(planned.key("end"), message);
            }
        }
        if let Some(probe) = &service.probe {
            let probe_at = at.key("probe");
            if probe.url.is_empty() {
                checker.error(probe_at.key("url"), "`url` is missing: a probe needs the page to ask");
            } else if let Err(message) = probe.url.check_http() {
                checker.error(probe_at.key("url"), message);
            }
            checker.above_zero(probe_at.key("interval"), probe.interval);
            checker.above_zero(probe_at.key("timeout"), probe.timeout);
        }
    }
}

fn slos(checker: &mut Checker) {
    let slos = &checker.config.slos;
    let list = path("slos");
    let mut seen: Vec<&str> = Vec::new();
    for (index, slo) in slos.iter().enumerate() {
        let at = list.index(index);
        if let Err(error) = slo.resolve() {
            checker.error(at.key(error.key), error.message);
        }
        if seen.contains(&slo.name.as_str()) {
            checker.error(at.key("name"), format!("a second SLO is called `{}`; names must differ", shown(&slo.name)));
        }
        if !slo.name.is_empty() {
            seen.push(&slo.name);
        }
    }
}

fn kpis(checker: &mut Checker) {
    let kpis = &checker.config.kpis;
    for (key, percent) in [
        ("cpu", kpis.cpu),
        ("memory", kpis.memory),
        ("disk", kpis.disk),
        ("availability", kpis.availability),
        ("accuracy", kpis.accuracy),
        ("conversion", kpis.conversion),
        ("bounce", kpis.bounce),
        ("day_7_retention", kpis.day_7_retention),
    ] {
        if !(0.0..=100.0).contains(&percent.0) {
            checker.error(path("kpis").key(key), format!("{percent} is not between 0% and 100%"));
        }
    }
    for (key, number, range) in [
        ("fairness", kpis.fairness, 0.0..=1.0),
        ("stickiness", kpis.stickiness.0, 0.0..=1.0),
        ("health", kpis.health, 0.0..=100.0),
        ("nps", kpis.nps, -100.0..=100.0),
        ("drift", kpis.drift, 0.0..=f64::MAX),
        ("cost_per_request_usd", kpis.cost_per_request_usd, 0.0..=f64::MAX),
    ] {
        if !range.contains(&number) {
            let most = if *range.end() == f64::MAX { String::new() } else { format!(" and at most {}", range.end()) };
            checker.error(path("kpis").key(key), format!("{number} is not at least {}{most}", range.start()));
        }
    }
}

fn alerts(checker: &mut Checker) {
    let alerts = &checker.config.alerts;
    if alerts.interval < Dur::from_secs(1) {
        checker.error(path("alerts.interval"), format!("{} is too short; expected at least 1s", alerts.interval));
    }
    for (index, receiver) in alerts.receivers.iter().enumerate() {
        alert_receiver(checker, &path("alerts.receivers").index(index), receiver);
    }
}

fn alert_receiver(checker: &mut Checker, at: &Path, receiver: &AlertReceiver) {
    let Some(kind) = receiver.r#type else {
        let message = "`type` is missing; expected alertmanager, webhook, slack, pagerduty or email";
        return checker.error(at.key("type"), message);
    };
    headers(checker, &at.key("headers"), &receiver.headers);
    if let Some(tls) = &receiver.tls {
        client_tls(checker, &at.key("tls"), tls);
    }
    checker.above_zero(at.key("timeout"), receiver.timeout);
    let one_of = |checker: &mut Checker, key: &'static str, inline: bool, file: bool| match (inline, file) {
        (false, false) => {
            checker.error(at.key(key), format!("`{key}` or `{key}_file` is missing: this type needs one"))
        }
        (true, true) => {
            checker.error(at.key(key), format!("`{key}` and `{key}_file` are both given; expected one of them"))
        }
        _ => {}
    };
    match kind {
        AlertReceiverType::Alertmanager | AlertReceiverType::Webhook | AlertReceiverType::Slack => {
            one_of(checker, "url", receiver.url.is_some(), receiver.url_file.is_some());
            let wrong = receiver.url.as_ref().is_some_and(|url| Url::new(url.expose()).check_http().is_err());
            if wrong {
                checker.error(at.key("url"), "not a URL that starts with http:// or https://");
            }
        }
        AlertReceiverType::Pagerduty => {
            one_of(checker, "routing_key", receiver.routing_key.is_some(), receiver.routing_key_file.is_some());
        }
        AlertReceiverType::Email => {
            let missing =
                [("smtp", receiver.smtp.is_none()), ("from", receiver.from.is_none()), ("to", receiver.to.is_empty())];
            for (key, _) in missing.into_iter().filter(|(_, missing)| *missing) {
                checker.error(at.key(key), format!("`{key}` is missing: email needs it"));
            }
            if receiver.username.is_some() != receiver.password_file.is_some() {
                checker.error(at.key("username"), "`username` and `password_file` go together; expected both or none");
            }
        }
    }
}
