//! Rounds of derived metrics under paused time.

use super::super::Derive;
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// A destination for derived metrics alone, and whether each round was told that the one before was taken.
fn road(script: &Script, points: usize) -> (Road, Arc<Mutex<Vec<bool>>>) {
    let mut road = Road::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let derive: Derive = Arc::new(move |previous_taken| {
        telling.lock().unwrap().push(previous_taken);
        Box::pin(async move { vec![gauge(points), gauge(1)] })
    });
    let config = Forward { signals: vec![config::Signal::Derived], ..traces_to("d") };
    let lent = Lent { enrich: None, derive: Some(derive) };
    road.forwarder.add_with(&config, &road.journal, lent, script.clone());
    (road, told)
}

fn since_start(road: &Road, script: &Script) -> Vec<u64> {
    script.attempts().iter().map(|attempt| attempt.at.duration_since(road.start).as_secs()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_round_an_interval_and_one_at_the_end() {
    let script = Script::default();
    let (road, told) = road(&script, 3);
    script.attempts_reach(4).await;
    settle().await;
    assert_eq!(since_start(&road, &script), [60, 60, 120, 120]);
    assert!(script.attempts().iter().all(|attempt| attempt.signal == Signal::Metrics));
    let own = Arc::clone(&road.own);
    let drained = road.drain().await;
    assert_eq!((drained.took, drained.sent), (Duration::ZERO, 12));
    assert_eq!(own.forward_sent.total(&["d", "derived"]), 12);
    assert_eq!(*told.lock().unwrap(), [true; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_round_that_fails_is_counted_and_the_next_one_is_on_its_grid() {
    let script = Script::always(retry(Some(25 * MINUTE / 60)));
    let (road, told) = road(&script, 3);
    script.attempts_reach(5).await;
    script.then_always(None);
    while told.lock().unwrap().len() < 2 {
        script.attempts_reach(script.attempts().len() + 1).await;
    }
    settle().await;
    assert_eq!(told.lock().unwrap().last(), Some(&false));
    let own = Arc::clone(&road.own);
    let total = told.lock().unwrap().len() as u64 * 4;
    let (sent, dropped) = (own.forward_sent.total(&["d", "derived"]), own.forward_dropped.total(&["d", "derived"]));
    assert_eq!(sent + dropped, total, "{sent} {dropped}");
    assert!(dropped > 0);
    let last = since_start(&road, &script).last().copied().unwrap();
    assert_eq!(last % 60, 0, "{last}");
    assert_eq!(own.forward_sent.total(&["d", "traces"]), 0);
}

#[tokio::test(start_paused = true)]
async fn the_last_round_ends_at_the_deadline() {
    let script = Script::hanging(&Signal::ALL);
    let (road, _) = road(&script, 3);
    let drained = road.drain_within(Duration::from_secs(2)).await;
    assert_eq!(drained, Drained { took: Duration::from_secs(2), sent: 0, failed: 0, dropped: 4 });
}

#[tokio::test(start_paused = true)]
async fn refusals_and_partial_successes_are_counted() {
    let partial = Outcome::Accepted { rejected: 1, message: String::new() };
    let script = Script::new([partial, refused(Blame::Records)]);
    let (road, told) = road(&script, 3);
    script.attempts_reach(2).await;
    let drained = road.drain().await;
    assert_eq!((drained.sent, drained.failed, drained.dropped), (2 + 4, 2, 0));
    assert_eq!(*told.lock().unwrap(), [true, false]);
}
