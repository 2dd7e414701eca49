//! Lanes under paused time.

use super::super::backoff::Backoff;
use super::super::batch::REQUEST_BYTES;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_record_sent_alone_keeps_its_very_bytes() {
    let script = Script::default();
    let road = Road::to(&script);
    let bytes = spans(&["a", "b"]);
    road.try_append(Origin::App, Signal::Traces, 2, bytes.clone()).unwrap();
    script.attempts_reach(1).await;
    settle().await;
    assert_eq!(script.attempts()[0].body.as_ptr(), bytes.as_ptr(), "not even copied");
    assert_eq!((road.sent(), road.failed(), road.dropped()), (2, 0, 0));
    assert_eq!(road.journal.stats().bytes, 0, "what is settled is let go");
}

#[tokio::test(start_paused = true)]
async fn what_waits_leaves_together_in_order() {
    let script = Script::new([retry(None)]);
    let road = Road::to(&script);
    road.append(&["a"]);
    script.attempts_reach(1).await;
    for name in ["b", "c", "d"] {
        road.append(&[name]);
    }
    let drained = road.drain().await;
    assert_eq!(drained.sent, 4);
    let bodies = script.taken();
    assert_eq!(bodies[0], spans(&["a"]), "a request that failed is tried again as it was");
    assert_eq!(bodies[1], [spans(&["b"]), spans(&["c"]), spans(&["d"])].concat());
    assert_eq!(bodies.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn requests_end_at_their_size_limit() {
    let script = Script::default();
    let road = Road::to(&script);
    let third = "x".repeat(REQUEST_BYTES / 3 - 100);
    for _ in 0..7 {
        road.append(&[&third]);
    }
    let drained = road.drain().await;
    assert_eq!(drained.sent, 7);
    let spans_each: Vec<_> = script.taken().iter().map(|body| span_names(body).len()).collect();
    assert_eq!(spans_each, [3, 3, 1]);
    assert!(script.taken().iter().all(|body| body.len() <= REQUEST_BYTES));
}

#[tokio::test(start_paused = true)]
async fn a_record_beyond_the_limit_is_cut_between_items() {
    let script = Script::default();
    let road = Road::to(&script);
    let third = "x".repeat(REQUEST_BYTES / 3 - 100);
    let large = "y".repeat(REQUEST_BYTES + 1);
    road.append(&["a", &third, &third, &third, &large, "b"]);
    road.append(&["c"]);
    let drained = road.drain().await;
    assert_eq!((drained.sent, drained.failed, drained.dropped), (7, 0, 0));
    let names: Vec<_> = script.taken_spans().into_iter().map(|name| name[..1].to_owned()).collect();
    assert_eq!(names, ["a", "x", "x", "x", "y", "b", "c"]);
    for body in script.taken() {
        assert!(body.len() <= REQUEST_BYTES || span_names(&body).len() == 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_of_a_record_is_up_to_the_enrichment() {
    let enriched = Script::default();
    let plain = Script::default();
    let mut road = Road::new();
    let add: super::super::Enrich<()> = Arc::new(|record| [record.bytes.clone(), spans(&["added"])].concat().into());
    for (name, script, enrich) in [("e", &enriched, Some(add)), ("p", &plain, None)] {
        let lent = Lent { enrich, derive: None };
        road.forwarder.add_with(&traces_to(name), &road.journal, lent, script.clone());
    }
    road.append(&["a"]);
    road.append(&["b"]);
    road.drain().await;
    assert_eq!(enriched.taken_spans(), ["a", "added", "b", "added"]);
    assert_eq!(plain.taken_spans(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn only_the_apps_items_of_the_wanted_signals_are_sent() {
    let script = Script::default();
    let mut road = Road::new();
    let signals = vec![config::Signal::Traces, config::Signal::Logs];
    road.add(&Forward { signals, ..traces_to("d") }, &script);
    road.append(&["app"]);
    road.try_append(Origin::Own, Signal::Logs, 1, log("own")).unwrap();
    road.try_append(Origin::App, Signal::Metrics, 2, gauge(2)).unwrap();
    road.try_append(Origin::App, Signal::Logs, 1, log("app")).unwrap();
    road.journal.tick(UnixNanos(u64::MAX));
    let journal = road.journal.clone();
    assert_eq!(road.drain().await.sent, 2);
    let mut seen: Vec<_> = script.attempts().into_iter().map(|a| (a.signal.as_str(), a.body)).collect();
    seen.sort();
    assert_eq!(seen, [("logs", log("app")), ("traces", spans(&["app"]))]);
    assert_eq!(journal.stats().bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn an_empty_request_is_settled_without_being_sent() {
    let script = Script::default();
    let road = Road::to(&script);
    road.try_append(Origin::App, Signal::Traces, 0, Bytes::new()).unwrap();
    let journal = road.journal.clone();
    assert_eq!(road.drain().await.sent, 0);
    assert!(script.attempts().is_empty());
    assert_eq!(journal.stats().bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn the_longer_of_backoff_and_hint_is_waited_exactly() {
    let hint = Duration::from_secs(7);
    let script =
        Script::new([retry(Some(hint)), retry(None), retry(Some(Duration::from_nanos(1))), accepted(), retry(None)]);
    let road = Road::to(&script);
    road.append(&["a"]);
    script.attempts_reach(4).await;
    road.append(&["b"]);
    script.attempts_reach(6).await;
    let mut backoff = Backoff::seeded(SEED);
    let waits = [backoff.next_wait().max(hint), backoff.next_wait(), backoff.next_wait()];
    let at: Vec<_> = script.attempts().iter().map(|attempt| attempt.at.duration_since(road.start)).collect();
    assert_eq!(waits[0], hint);
    // Timers have a resolution of a millisecond and never fire early.
    let waited = |from: usize, wait: Duration| {
        let actual = at[from + 1] - at[from];
        assert!(actual >= wait && actual < wait + Duration::from_millis(2), "{from}: {actual:?}, expected {wait:?}");
    };
    waited(0, hint);
    waited(1, waits[1]);
    waited(2, waits[2]);
    backoff.reset();
    waited(4, backoff.next_wait());
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_given_up_after_max_elapsed_and_the_next_one_is_tried() {
    let script = Script::always(retry(None));
    let mut road = Road::new();
    let retry_config = config::Retry { max_elapsed: config::Dur::from_secs(60) };
    road.add(&Forward { retry: retry_config, ..traces_to("d") }, &script);
    road.append(&["a", "b"]);
    script.attempts_reach(1).await;
    road.append(&["c"]);
    while road.dropped() == 0 {
        script.attempts_reach(script.attempts().len() + 1).await;
    }
    assert_eq!(road.dropped(), 2);
    let first: Vec<_> = script.attempts().into_iter().filter(|a| span_names(&a.body) == ["a", "b"]).collect();
    let last_after = first.last().unwrap().at.duration_since(road.start);
    assert!(last_after <= 60 * SECOND && last_after > 15 * SECOND, "{last_after:?}");
    script.then_always(None);
    let drained = road.drain().await;
    assert_eq!((drained.sent, drained.failed, drained.dropped), (1, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_hint_beyond_max_elapsed_gives_up_at_once_but_is_kept_to() {
    let hint = 3600 * SECOND;
    let script = Script::new([retry(Some(hint))]);
    let road = Road::to(&script);
    road.append(&["a"]);
    script.attempts_reach(1).await;
    road.append(&["b"]);
    settle().await;
    assert_eq!(road.dropped(), 1);
    script.attempts_reach(2).await;
    assert_eq!(script.attempts()[1].at.duration_since(script.attempts()[0].at), hint);
    assert_eq!(script.taken_spans(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn with_max_elapsed_zero_nothing_is_given_up() {
    let script = Script::always(retry(Some(1000 * SECOND)));
    let mut road = Road::new();
    let retry_config = config::Retry { max_elapsed: config::Dur::from_secs(0) };
    road.add(&Forward { retry: retry_config, ..traces_to("d") }, &script);
    road.append(&["a"]);
    script.attempts_reach(100).await;
    assert_eq!(road.dropped(), 0);
    script.then_always(None);
    assert_eq!(road.drain_within(3600 * SECOND).await.sent, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_costs_the_record_at_fault_and_no_other() {
    let script = Script::default();
    *script.0.poison.lock().unwrap() = Some("bad");
    let road = Road::to(&script);
    for name in ["a", "b", "c", "bad", "d", "e", "f", "g", "h"] {
        road.append(&[name]);
    }
    let journal = road.journal.clone();
    let drained = road.drain().await;
    assert_eq!((drained.sent, drained.failed, drained.dropped), (8, 1, 0));
    assert_eq!(script.taken_spans(), ["a", "b", "c", "d", "e", "f", "g", "h"]);
    assert!(script.attempts().len() <= 9, "{} requests to find one of nine", script.attempts().len());
    assert_eq!(journal.stats().bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_sender_costs_the_batch_in_one_request() {
    let script = Script::new([refused(Blame::Sender)]);
    let road = Road::to(&script);
    for name in ["a", "b", "c"] {
        road.append(&[name]);
    }
    let drained = road.drain().await;
    assert_eq!((drained.sent, drained.failed, drained.dropped), (0, 3, 0));
    assert_eq!(script.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_partial_success_is_counted_and_not_retried() {
    let script = Script::new([Outcome::Accepted { rejected: 2, message: "too old".into() }]);
    let road = Road::to(&script);
    road.append(&["a", "b", "c"]);
    let drained = road.drain().await;
    assert_eq!((drained.sent, drained.failed, drained.dropped), (1, 2, 0));
    assert_eq!(script.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_hangs_delays_no_other() {
    let slow = Script::hanging(&Signal::ALL);
    let fast = Script::default();
    let mut road = Road::new();
    road.add(&traces_to("slow"), &slow);
    road.add(&traces_to("d"), &fast);
    road.append(&["a"]);
    slow.attempts_reach(1).await;
    road.append(&["b"]);
    settle().await;
    assert_eq!(fast.taken_spans(), ["a", "b"]);
    assert_eq!(road.start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_hangs_delays_no_other() {
    let script = Script::hanging(&[Signal::Traces]);
    let mut road = Road::new();
    let signals = vec![config::Signal::Traces, config::Signal::Logs];
    road.add(&Forward { signals, ..traces_to("d") }, &script);
    road.append(&["a"]);
    script.attempts_reach(1).await;
    road.try_append(Origin::App, Signal::Logs, 1, log("l")).unwrap();
    settle().await;
    assert_eq!(script.taken(), [log("l")]);
    assert_eq!(road.start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_backlog_beyond_the_journal_is_dropped_oldest_first_and_counted_at_once() {
    let script = Script::always(retry(Some(100 * SECOND)));
    let mut road = Road::with_budget(4096);
    road.add(&traces_to("d"), &script);
    road.append(&["first"]);
    script.attempts_reach(1).await;
    let names: Vec<_> = (0..100).map(|number| format!("n{number:03}")).collect();
    for name in &names {
        road.append(&[name]);
    }
    settle().await;
    assert_eq!(road.start.elapsed(), Duration::ZERO, "still waiting for the hint");
    let dropped = road.dropped();
    assert!(dropped > 80 && dropped < 100, "{dropped}");
    script.then_always(None);
    let drained = road.drain().await;
    assert_eq!((drained.sent, drained.failed, drained.dropped), (101 - dropped, 0, dropped));
    let mut expected = vec!["first".to_owned()];
    expected.extend_from_slice(&names[dropped as usize..]);
    assert_eq!(script.taken_spans(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_refuses_pushes_back_and_loses_nothing() {
    let script = Script::always(retry(Some(100 * SECOND)));
    let mut road = Road::with_budget(4096);
    road.add(&Forward { when_behind: config::WhenBehind::Refuse, ..traces_to("d") }, &script);
    let mut names = Vec::new();
    let full = loop {
        let name = format!("n{}", names.len());
        match road.try_append(Origin::App, Signal::Traces, 1, spans(&[&name])) {
            Ok(_) => names.push(name),
            Err(full) => break full,
        }
        settle().await;
    };
    assert_eq!(full.reader.as_ref(), "forward/d/traces");
    script.then_always(None);
    script.attempts_reach(2).await;
    settle().await;
    road.append(&["later"]);
    names.push("later".into());
    let drained = road.drain().await;
    assert_eq!((drained.sent, drained.failed, drained.dropped), (names.len() as u64, 0, 0));
    assert_eq!(script.taken_spans(), names);
}

#[tokio::test(start_paused = true)]
async fn draining_ends_with_the_journal() {
    let script = Script::default();
    let road = Road::to(&script);
    for _ in 0..10 {
        road.append(&["a"]);
    }
    let drained = road.drain().await;
    assert_eq!(drained, Drained { took: Duration::ZERO, sent: 10, failed: 0, dropped: 0 });
}

#[tokio::test(start_paused = true)]
async fn draining_ends_at_its_deadline_and_counts_what_is_left() {
    for script in [Script::always(retry(None)), Script::hanging(&Signal::ALL)] {
        let road = Road::to(&script);
        road.append(&["a"]);
        script.attempts_reach(1).await;
        for _ in 0..9 {
            road.append(&["b", "c"]);
        }
        let journal = road.journal.clone();
        let drained = road.drain_within(10 * SECOND).await;
        assert_eq!(drained, Drained { took: 10 * SECOND, sent: 0, failed: 0, dropped: 19 });
        assert!(journal.stats().readers.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn the_order_to_stop_ends_a_backoff_but_no_wait_that_was_asked_for() {
    // After eight failures the backoff is long; the order is then followed by an attempt at once.
    let script = Script::new(vec![retry(None); 8]);
    let road = Road::to(&script);
    road.append(&["a"]);
    script.attempts_reach(8).await;
    settle().await;
    let drained = road.drain_within(SECOND).await;
    assert_eq!(drained, Drained { took: Duration::ZERO, sent: 1, failed: 0, dropped: 0 });

    let script = Script::new([retry(Some(5 * SECOND))]);
    let road = Road::to(&script);
    road.append(&["a"]);
    script.attempts_reach(1).await;
    settle().await;
    tokio::time::advance(2 * SECOND).await;
    let drained = road.drain_within(10 * SECOND).await;
    assert_eq!(drained, Drained { took: 3 * SECOND, sent: 1, failed: 0, dropped: 0 });
}

#[tokio::test(start_paused = true)]
async fn what_is_large_is_enriched_and_compressed_off_the_async_threads_and_arrives() {
    let record = Arc::new(Mutex::new(Vec::new()));
    struct Inflating(Arc<Mutex<Vec<Vec<u8>>>>);
    impl Export for Inflating {
        async fn export(&self, _: Signal, payload: Payload) -> Outcome {
            assert_eq!(payload.compression, Compression::Zstd);
            self.0.lock().unwrap().push(zstd::decode_all(&*payload.body).unwrap());
            accepted()
        }
    }
    let mut road = Road::new();
    let config = Forward { compression: Compression::Zstd, ..traces_to("d") };
    let add: super::super::Enrich<()> = Arc::new(|record| [record.bytes.clone(), spans(&["added"])].concat().into());
    let lent = Lent { enrich: Some(add), derive: None };
    road.forwarder.add_with(&config, &road.journal, lent, Inflating(Arc::clone(&record)));
    let mut names: Vec<_> = (0..20_000).map(|number| format!("span {number}")).collect();
    road.append(&names.iter().map(String::as_str).collect::<Vec<_>>());
    names.push("added".into());
    assert_eq!(road.drain().await.sent, 20_000);
    assert_eq!(record.lock().unwrap().iter().flat_map(|body| span_names(body)).collect::<Vec<_>>(), names);
}
