//! A strict reader of both text formats, for tests: it refuses whatever the formats' documents forbid, which real
//! parsers let pass in one place or another.

use std::collections::{BTreeMap, BTreeSet};

use super::escaping::{is_legacy_label, is_legacy_metric};
use super::number::canonical;

/// One sample line.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
    pub exemplar: bool,
}

/// Reads a whole exposition; an error says what and in which line.
pub fn read(text: &str, openmetrics: bool) -> Result<Vec<Sample>, String> {
    let text = if openmetrics { text.strip_suffix("# EOF\n").ok_or("does not end in # EOF")? } else { text };
    if text.contains('\0') {
        return Err("NUL".to_owned());
    }
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("last line does not end".to_owned());
    }
    let mut reader = Reader { openmetrics, ..Reader::default() };
    for line in text.split_terminator('\n') {
        reader.line(line).map_err(|error| format!("{error}: {line:?}"))?;
    }
    reader.close_family()?;
    Ok(reader.samples)
}

#[derive(Default)]
struct Reader {
    openmetrics: bool,
    samples: Vec<Sample>,
    /// Sample names that families before this one could have.
    closed: BTreeSet<String>,
    series: BTreeSet<(String, BTreeMap<String, String>)>,
    family: Option<Family>,
}

struct Family {
    name: String,
    metadata: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

impl Family {
    fn kind(&self) -> &str {
        self.metadata.get("TYPE").map_or("", String::as_str)
    }

    fn names(&self, openmetrics: bool) -> Vec<String> {
        let suffixes: &[&str] = match (self.kind(), openmetrics) {
            ("counter", true) => &["_total", "_created"],
            ("info", true) => &["_info"],
            ("histogram", true) => &["_bucket", "_sum", "_count", "_created"],
            ("histogram", false) => &["_bucket", "_sum", "_count"],
            ("summary", true) => &["", "_sum", "_count", "_created"],
            ("summary", false) => &["", "_sum", "_count"],
            _ => &[""],
        };
        suffixes.iter().map(|suffix| format!("{}{suffix}", self.name)).collect()
    }
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(comment) = line.strip_prefix("# ") {
            return self.metadata(comment);
        }
        let sample = sample(line, self.openmetrics)?;
        let family = self.family.as_mut().ok_or("a sample before any metadata")?;
        if !family.names(self.openmetrics).contains(&sample.name) {
            return Err(format!("not a sample of {} {}", family.kind(), family.name));
        }
        if !self.series.insert((sample.name.clone(), sample.labels.clone())) {
            return Err("the series stands twice".to_owned());
        }
        family.samples.push(sample);
        Ok(())
    }

    fn metadata(&mut self, comment: &str) -> Result<(), String> {
        let (keyword, rest) = comment.split_once(' ').ok_or("a comment without a keyword")?;
        let (name, rest) = if rest.starts_with('"') {
            let (name, rest) = quoted(rest)?;
            (name, rest.strip_prefix(' ').ok_or("nothing after the name")?.to_owned())
        } else {
            let (name, rest) = rest.split_once(' ').ok_or("nothing after the name")?;
            if !is_legacy_metric(name) {
                return Err("an odd name without quotes".to_owned());
            }
            (name.to_owned(), rest.to_owned())
        };
        let known: &[&str] = match (keyword, self.openmetrics) {
            ("TYPE", true) => &["counter", "gauge", "histogram", "summary", "info", "unknown"],
            ("TYPE", false) => &["counter", "gauge", "histogram", "summary"],
            ("HELP", _) | ("UNIT", true) => &[],
            _ => return Err("an unknown keyword".to_owned()),
        };
        if !known.is_empty() && !known.contains(&rest.as_str()) {
            return Err("an unknown type".to_owned());
        }
        if keyword == "UNIT" && !name.ends_with(&format!("_{rest}")) {
            return Err("the unit does not end the name".to_owned());
        }
        if self.family.as_ref().is_none_or(|family| family.name != name) {
            self.close_family()?;
            self.family = Some(Family { name, metadata: BTreeMap::new(), samples: Vec::new() });
        }
        let Some(family) = &mut self.family else { return Ok(()) };
        if !family.samples.is_empty() {
            return Err("metadata after samples".to_owned());
        }
        if family.metadata.insert(keyword.to_owned(), rest).is_some() {
            return Err("metadata stands twice".to_owned());
        }
        Ok(())
    }

    fn close_family(&mut self) -> Result<(), String> {
        let Some(family) = self.family.take() else { return Ok(()) };
        if family.kind().is_empty() || family.samples.is_empty() {
            return Err(format!("{} has no type or no samples", family.name));
        }
        let names: BTreeSet<String> = family.names(self.openmetrics).into_iter().chain([family.name.clone()]).collect();
        if let Some(clash) = names.iter().find(|name| self.closed.contains(*name)) {
            return Err(format!("two families have the name {clash}"));
        }
        self.closed.extend(names);
        match family.kind() {
            "histogram" => histograms(&family, self.openmetrics)?,
            "summary" => summaries(&family)?,
            "counter" if family.samples.iter().any(|sample| sample.value.is_nan() || sample.value < 0.0) => {
                return Err(format!("{}: a counter below zero", family.name));
            }
            "info" if family.samples.iter().any(|sample| sample.value != 1.0) => {
                return Err(format!("{}: an info that is not 1", family.name));
            }
            _ => {}
        }
        for sample in &family.samples {
            let may = family.kind() == "counter" && sample.name.ends_with("_total")
                || family.kind() == "histogram" && sample.name.ends_with("_bucket");
            if sample.exemplar && !may {
                return Err(format!("{}: an exemplar in the wrong place", sample.name));
            }
        }
        self.samples.extend(family.samples);
        Ok(())
    }
}

/// Buckets of one set of labels stand together, ascend, add up and end in `+Inf` and `_count`.
fn histograms(family: &Family, openmetrics: bool) -> Result<(), String> {
    let without_le = |sample: &Sample| {
        let mut labels = sample.labels.clone();
        let le = labels.remove("le");
        (labels, le)
    };
    let mut seen = BTreeSet::new();
    let mut samples = family.samples.iter().peekable();
    while let Some(first) = samples.peek() {
        let (labels, _) = without_le(first);
        if !seen.insert(labels.clone()) {
            return Err(format!("{}: buckets stand apart", family.name));
        }
        let (mut bound, mut inside, mut count, mut sum) = (f64::NEG_INFINITY, 0.0, None, None);
        while let Some(sample) = samples.next_if(|sample| without_le(sample).0 == labels) {
            match sample.name.strip_prefix(&family.name) {
                Some("_bucket") => {
                    let le = without_le(sample).1.ok_or("a bucket without le")?;
                    let value: f64 = le.replace("Inf", "inf").parse().map_err(|_| "le is not a number")?;
                    let ascends = value > bound && sample.value >= inside;
                    if !ascends || canonical(value) != le {
                        return Err(format!("{}: bucket {le} after {bound}", family.name));
                    }
                    (bound, inside) = (value, sample.value);
                }
                Some("_count") => count = Some(sample.value),
                Some("_sum") => sum = Some(sample.value),
                _ => {}
            }
        }
        if bound != f64::INFINITY || count.is_some_and(|count| count != inside) {
            return Err(format!("{}: +Inf is missing or not the count", family.name));
        }
        if openmetrics && count.is_some() != sum.is_some() || !openmetrics && count.is_none() {
            return Err(format!("{}: count and sum do not go together", family.name));
        }
    }
    Ok(())
}

/// Only quantiles carry `quantile`, canonical and within 0 … 1; sums are not negative.
fn summaries(family: &Family) -> Result<(), String> {
    for sample in &family.samples {
        let quantile = sample.labels.get("quantile");
        if sample.name == family.name {
            let quantile = quantile.ok_or("a quantile without its label")?;
            let value: f64 = quantile.parse().map_err(|_| "quantile is not a number")?;
            if !(0.0..=1.0).contains(&value) || canonical(value) != *quantile {
                return Err(format!("{}: quantile {quantile}", family.name));
            }
        } else if quantile.is_some() || sample.value.is_nan() || sample.value < 0.0 {
            return Err(format!("{}: {:?}", sample.name, sample.value));
        }
    }
    Ok(())
}

fn sample(line: &str, openmetrics: bool) -> Result<Sample, String> {
    let name_end = line.find(['{', ' ']).ok_or("a line of one word")?;
    let (bare, rest) = line.split_at(name_end);
    let (name, labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => {
            let (quoted_name, labels, rest) = label_set(inside)?;
            let bare = (!bare.is_empty()).then(|| bare.to_owned());
            (bare.xor(quoted_name).ok_or("no name or two")?, labels, rest)
        }
        None => (bare.to_owned(), BTreeMap::new(), rest.to_owned()),
    };
    if !bare.is_empty() && !is_legacy_metric(bare) {
        return Err("an odd name without quotes".to_owned());
    }
    let rest = rest.strip_prefix(' ').ok_or("no blank before the value")?;
    let (value, exemplar) = match rest.split_once(" # ") {
        Some((value, exemplar)) => (value, Some(exemplar)),
        None => (rest, None),
    };
    if let Some(exemplar) = exemplar {
        check_exemplar(exemplar)?;
        if !openmetrics {
            return Err("an exemplar in Prometheus text".to_owned());
        }
    }
    Ok(Sample { name, labels, value: number(value)?, exemplar: exemplar.is_some() })
}

fn check_exemplar(exemplar: &str) -> Result<(), String> {
    let inside = exemplar.strip_prefix('{').ok_or("an exemplar without labels")?;
    let (_, labels, rest) = label_set(inside)?;
    if labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum::<usize>() > 128 {
        return Err("an exemplar of more than 128 code points".to_owned());
    }
    let numbers: Vec<&str> = rest.trim_start().split(' ').collect();
    if numbers.len() > 2 {
        return Err("an exemplar with more than value and time".to_owned());
    }
    numbers.into_iter().try_for_each(|text| number(text).map(drop))
}

fn number(text: &str) -> Result<f64, String> {
    match text {
        "NaN" => return Ok(f64::NAN),
        "+Inf" => return Ok(f64::INFINITY),
        "-Inf" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    text.parse().ok().filter(|_| plain).ok_or_else(|| format!("{text} is not a number"))
}

/// Reads up to the closing brace: a quoted metric name, if one is there, the labels, and what follows.
type LabelSet = (Option<String>, BTreeMap<String, String>, String);

fn label_set(text: &str) -> Result<LabelSet, String> {
    let (mut name, mut labels, mut rest) = (None, BTreeMap::new(), text.to_owned());
    loop {
        if rest.starts_with('"') {
            let (word, after) = quoted(&rest)?;
            if let Some(after) = after.strip_prefix('=') {
                rest = label(&mut labels, word, after)?;
            } else if name.is_none() && labels.is_empty() {
                (name, rest) = (Some(word), after);
            } else {
                return Err("a name among the labels".to_owned());
            }
        } else {
            let (word, after) = rest.split_once('=').ok_or("a label without a value")?;
            if !is_legacy_label(word) {
                return Err(format!("label {word} without quotes"));
            }
            let (word, after) = (word.to_owned(), after.to_owned());
            rest = label(&mut labels, word, &after)?;
        }
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((name, labels, after.to_owned()));
        }
        rest = rest.strip_prefix(',').ok_or("labels without a comma")?.to_owned();
    }
}

fn label(labels: &mut BTreeMap<String, String>, name: String, rest: &str) -> Result<String, String> {
    let (value, rest) = quoted(rest)?;
    if name.is_empty() || name.starts_with("__") || value.is_empty() {
        return Err(format!("label {name:?} is reserved, or one of the two is empty"));
    }
    match labels.insert(name, value) {
        Some(_) => Err("a label stands twice".to_owned()),
        None => Ok(rest),
    }
}

/// A string in double quotes with `\\`, `\"` and `\n` only, and what follows it.
fn quoted(text: &str) -> Result<(String, String), String> {
    let mut characters = text.strip_prefix('"').ok_or("no double quote")?.chars();
    let mut value = String::new();
    loop {
        match characters.next().ok_or("an open double quote")? {
            '"' => return Ok((value, characters.as_str().to_owned())),
            '\\' => value.push(match characters.next() {
                Some('n') => '\n',
                Some(escaped @ ('"' | '\\')) => escaped,
                other => return Err(format!("\\ before {other:?}")),
            }),
            plain => value.push(plain),
        }
    }
}

#[test]
fn refuses_what_the_formats_forbid() {
    let both = [
        ("a 1\n", "before any metadata"),
        ("# TYPE a gauge\na 1", "does not end"),
        ("# TYPE a gauge\n", "no samples"),
        ("# TYPE a gauge\na 1\n# HELP a late\n", "after samples"),
        ("# TYPE a gauge\n# TYPE a gauge\na 1\n", "twice"),
        ("# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# TYPE a gauge\na{k=\"v\"} 1\n", "two families"),
        ("# TYPE a gauge\na 1\na 1\n", "twice"),
        ("# TYPE a gauge\na{k=\"v\",k=\"w\"} 1\n", "twice"),
        ("# TYPE a gauge\na{k=\"v\"}1\n", "no blank"),
        ("# TYPE a gauge\na{k.x=\"v\"} 1\n", "without quotes"),
        ("# TYPE a gauge\na{__name__=\"v\"} 1\n", "reserved"),
        ("# TYPE a gauge\na{k=\"\"} 1\n", "empty"),
        ("# TYPE a gauge\na{k=\"\\t\"} 1\n", "\\ before"),
        ("# TYPE a gauge\na{k=\"v\0\"} 1\n", "NUL"),
        ("# TYPE a gauge\na inf\n", "not a number"),
        ("# TYPE a gauge\nb 1\n", "not a sample"),
        ("# TYPE a.b gauge\na.b 1\n", "odd name"),
        ("# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 2\n", "not the count"),
        ("# TYPE a histogram\na_bucket{le=\"1.0\"} 1\na_sum 1\na_count 1\n", "+Inf is missing"),
        ("# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n", "bucket 1"),
        ("# TYPE a histogram\na_bucket{le=\"1.0\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n", "bucket +Inf"),
    ];
    for (text, expected) in both {
        for openmetrics in [false, true] {
            let text = if openmetrics { format!("{text}# EOF\n") } else { text.to_owned() };
            let error = read(&text, openmetrics).unwrap_err();
            assert!(error.contains(expected) || openmetrics && text.contains("1# EOF"), "{text}: {error}");
        }
    }
    for (text, expected) in [
        ("# TYPE a gauge\na 1\n", "# EOF"),
        ("# TYPE a counter\na_total -1\n# EOF\n", "below zero"),
        ("# TYPE a counter\na_total NaN\n# EOF\n", "below zero"),
        ("# TYPE a counter\na 1\n# EOF\n", "not a sample"),
        ("# TYPE a gauge\n# UNIT a seconds\na 1\n# EOF\n", "unit"),
        ("# TYPE a gauge\na 1 # {trace_id=\"x\"} 1\n# EOF\n", "wrong place"),
        ("# TYPE a counter\na_total 1\n# TYPE a_total gauge\na_total{k=\"v\"} 1\n# EOF\n", "two families"),
    ] {
        let error = read(text, true).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}
