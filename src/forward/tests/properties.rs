//! Whatever a destination answers, each item is counted once and order is kept.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// A record of so many spans.
    Append(usize),
    /// Time passes.
    Pass(Duration),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0_usize..4).prop_map(Step::Append),
        1 => (0_u64..100).prop_map(|seconds| Step::Pass(Duration::from_secs(seconds))),
    ];
    prop::collection::vec(step, 0..40)
}

fn answers() -> impl Strategy<Value = Vec<Outcome>> {
    let answer = prop_oneof![
        3 => Just(accepted()),
        1 => (0_u64..5).prop_map(|rejected| Outcome::Accepted { rejected, message: String::new() }),
        2 => prop::option::of(0_u64..200).prop_map(|seconds| retry(seconds.map(Duration::from_secs))),
        1 => Just(refused(Blame::Records)),
        1 => Just(refused(Blame::Sender)),
    ];
    prop::collection::vec(answer, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_item_is_counted_once_and_order_is_kept(
        steps in steps(),
        answers in answers(),
        budget_bytes in 500_usize..8000,
        drain_secs in 0_u64..300,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let script = Script::new(answers);
            let mut road = Road::with_budget(budget_bytes);
            road.add(&traces_to("d"), &script);
            let mut appended = 0;
            for step in steps {
                match step {
                    Step::Append(count) => {
                        let names: Vec<_> = (appended..appended + count).map(|n| format!("{n:06}")).collect();
                        road.append(&names.iter().map(String::as_str).collect::<Vec<_>>());
                        appended += count;
                    }
                    Step::Pass(time) => tokio::time::sleep(time).await,
                }
            }
            let drained = road.drain_within(Duration::from_secs(drain_secs)).await;
            assert_eq!(drained.sent + drained.failed + drained.dropped, appended as u64, "{drained:?}");
            let taken = script.taken_spans();
            assert!(taken.is_sorted_by(|one, next| one < next), "out of order or twice: {taken:?}");
            assert!(taken.len() as u64 >= drained.sent);
        });
    }
}
