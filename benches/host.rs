//! What one scrape of this machine costs, each scraper alone and all together, at 10 seconds between scrapes: every third
//! one counts sockets.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use qiyas::receive::host::{HostSettings, Scraper, ScraperKind};
use qiyas::units::UnixNanos;

fn scrape(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("host scrape");
    let mut bench = |name: &str, scrapers: Vec<ScraperKind>| {
        let mut scraper = Scraper::new(&HostSettings { scrapers, ..HostSettings::default() });
        let mut now = UnixNanos::now();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                now = now.saturating_add(Duration::from_secs(10));
                scraper.scrape(now)
            });
        });
    };
    for kind in ScraperKind::ALL {
        bench(kind.name(), vec![kind]);
    }
    bench("all", ScraperKind::ALL.to_vec());
    group.finish();
}

criterion_group!(benches, scrape);
criterion_main!(benches);
