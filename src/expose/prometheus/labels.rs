//! A series' labels as one block of bytes.
//!
//! - Two series of a family have equal blocks exactly when Prometheus would take them for one: labels are in the order
//!   of their names, and a label with an empty value, which Prometheus treats as absent, is left out.
//! - Label names of a block are unique: attributes whose names become one are joined with `;` in the order of their
//!   keys, and an attribute whose name is taken by a label of ours (`job`, `le` …) gets Prometheus's own prefix for such
//!   a clash, `exported_`.
//!
//! Consecutive points mostly have the same keys, so names are translated, sorted and escaped once for a *layout* of keys
//! and only values are written for each point.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::series::{Identity, Label, LabelValue};

use super::escaping;
use super::naming::Namer;
use super::number;
use super::wire;

/// How labels are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// `name="value",…`, with no braces.
    #[default]
    Text,
    /// `io.prometheus.client.Metric.label`, field after field.
    Protobuf,
}

/// Which labels of ours stand beside the attributes.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The instrumentation scope; empty: no label.
    pub scope: &'a str,
    pub scope_version: &'a str,
    /// `le` or `quantile` where the family's samples carry it; an attribute may not take it then.
    pub of_type: Option<&'static str>,
}

/// Writes the blocks of one family's points.
pub struct BlockWriter<'a> {
    namer: Namer,
    form: Form,
    context: Context<'a>,
    layout: Option<Layout>,
}

struct Layout {
    keys: Vec<Cow<'static, str>>,
    identified: bool,
    slots: Vec<Slot>,
}

/// One label: its name as written, `name="` in text, and where its value comes from.
struct Slot {
    head: Vec<u8>,
    source: Source,
}

enum Source {
    Job,
    Instance,
    Scope,
    ScopeVersion,
    /// Indices of the attributes whose names became this one, in the order of their keys.
    Attributes(Vec<usize>),
}

impl<'a> BlockWriter<'a> {
    pub fn new(namer: Namer, form: Form, context: Context<'a>) -> Self {
        Self { namer, form, context, layout: None }
    }

    /// Appends a series' labels to `out`.
    pub fn write(&mut self, out: &mut Vec<u8>, identity: Option<&Identity>, attributes: &[Label]) {
        let fits = |layout: &Layout| {
            layout.identified == identity.is_some()
                && layout.keys.iter().eq(attributes.iter().map(|attribute| &attribute.key))
        };
        if !self.layout.as_ref().is_some_and(fits) {
            self.layout = Some(self.lay_out(identity.is_some(), attributes));
        }
        let Some(layout) = &self.layout else { return };
        let start = out.len();
        for slot in &layout.slots {
            match self.form {
                Form::Text => self.write_text(out, start, slot, identity, attributes),
                Form::Protobuf => self.write_protobuf(out, slot, identity, attributes),
            }
        }
    }

    fn write_text(
        &self,
        out: &mut Vec<u8>,
        start: usize,
        slot: &Slot,
        identity: Option<&Identity>,
        attributes: &[Label],
    ) {
        let before = out.len();
        if before > start {
            out.push(b',');
        }
        out.extend_from_slice(&slot.head);
        let value_start = out.len();
        self.write_value(out, &slot.source, identity, attributes);
        if out.len() == value_start {
            out.truncate(before);
        } else {
            out.push(b'"');
        }
    }

    fn write_protobuf(&self, out: &mut Vec<u8>, slot: &Slot, identity: Option<&Identity>, attributes: &[Label]) {
        let before = out.len();
        let mut empty = false;
        wire::nested(out, METRIC_LABEL, |out| {
            out.extend_from_slice(&slot.head);
            wire::nested(out, LABEL_VALUE, |out| {
                let value_start = out.len();
                self.write_value(out, &slot.source, identity, attributes);
                empty = out.len() == value_start;
            });
        });
        if empty {
            out.truncate(before);
        }
    }

    fn write_value(&self, out: &mut Vec<u8>, source: &Source, identity: Option<&Identity>, attributes: &[Label]) {
        match source {
            Source::Job => {
                if let Some(identity) = identity {
                    write_job(out, self.form, identity);
                }
            }
            Source::Instance => self.form.push(out, identity.map_or("", |identity| &identity.instance)),
            Source::Scope => self.form.push(out, self.context.scope),
            Source::ScopeVersion => self.form.push(out, self.context.scope_version),
            Source::Attributes(indices) => {
                for (position, attribute) in indices.iter().filter_map(|index| attributes.get(*index)).enumerate() {
                    if position > 0 {
                        out.push(b';');
                    }
                    push_value(out, self.form, attribute);
                }
            }
        }
    }

    fn lay_out(&self, identified: bool, attributes: &[Label]) -> Layout {
        let mut ours = Vec::new();
        if identified {
            ours.extend([("job", Source::Job), ("instance", Source::Instance)]);
        }
        if !self.context.scope.is_empty() {
            ours.push(("otel_scope_name", Source::Scope));
        }
        if !self.context.scope_version.is_empty() || !self.context.scope.is_empty() {
            ours.push(("otel_scope_version", Source::ScopeVersion));
        }
        let taken = |name: &str| self.context.of_type == Some(name) || ours.iter().any(|(own, _)| *own == name);
        let mut named: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, attribute) in attributes.iter().enumerate() {
            let name = self.namer.label(&attribute.key);
            let name = if taken(&name) { format!("exported_{name}") } else { name };
            named.entry(name).or_default().push(index);
        }
        let key = |index: &usize| attributes.get(*index).map(|attribute| &attribute.key);
        let mut sources: BTreeMap<String, Source> = BTreeMap::new();
        for (name, mut indices) in named {
            indices.sort_by_key(key);
            sources.insert(name, Source::Attributes(indices));
        }
        sources.extend(ours.into_iter().map(|(name, source)| (name.to_owned(), source)));
        let slots = sources.into_iter().map(|(name, source)| Slot { head: self.form.head(&name), source });
        Layout {
            keys: attributes.iter().map(|attribute| attribute.key.clone()).collect(),
            identified,
            slots: slots.collect(),
        }
    }
}

/// Of `io.prometheus.client.Metric` and `LabelPair`.
const METRIC_LABEL: u32 = 1;
const LABEL_NAME: u32 = 1;
const LABEL_VALUE: u32 = 2;

impl Form {
    /// What stands before a value: in text `name="`, the name itself in quotes where it is not a legacy one.
    fn head(self, name: &str) -> Vec<u8> {
        let mut head = Vec::with_capacity(name.len() + 4);
        match self {
            Self::Protobuf => wire::bytes(&mut head, LABEL_NAME, name.as_bytes()),
            Self::Text => {
                if escaping::is_legacy_label(name) {
                    head.extend_from_slice(name.as_bytes());
                } else {
                    head.push(b'"');
                    push_escaped(&mut head, name);
                    head.push(b'"');
                }
                head.extend_from_slice(b"=\"");
            }
        }
        head
    }

    /// A value's text; NUL becomes U+FFFD in both forms, so that a series is the same in both.
    fn push(self, out: &mut Vec<u8>, text: &str) {
        match self {
            Self::Text => push_escaped(out, text),
            Self::Protobuf if text.contains('\0') => {
                out.extend_from_slice(text.replace('\0', "\u{FFFD}").as_bytes());
            }
            Self::Protobuf => out.extend_from_slice(text.as_bytes()),
        }
    }
}

/// `service.namespace/service.name`.
pub fn write_job(out: &mut Vec<u8>, form: Form, identity: &Identity) {
    if !identity.namespace.is_empty() {
        form.push(out, &identity.namespace);
        out.push(b'/');
    }
    form.push(out, &identity.name);
}

fn push_value(out: &mut Vec<u8>, form: Form, attribute: &Label) {
    match &attribute.value {
        LabelValue::Text(text) => form.push(out, text),
        LabelValue::Int(value) => number::push_i64(out, *value),
        LabelValue::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        // Prometheus stores these two in canonical form only where a number is what they hold.
        LabelValue::Double(value) if matches!(attribute.key.as_ref(), "le" | "quantile") => {
            out.extend_from_slice(number::canonical(*value).as_bytes());
        }
        LabelValue::Double(value) => number::push_f64(out, *value),
    }
}

/// Text between double quotes: `\`, `"` and line feed escaped, and NUL, which ends Prometheus's lexer, as U+FFFD.
pub fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let special = |byte: &u8| matches!(byte, b'\\' | b'"' | b'\n' | 0);
    let mut rest = text.as_bytes();
    while let Some(position) = rest.iter().position(special) {
        let (plain, tail) = rest.split_at(position);
        out.extend_from_slice(plain);
        let Some((byte, after)) = tail.split_first() else { break };
        out.extend_from_slice(match byte {
            b'\\' => b"\\\\",
            b'"' => b"\\\"",
            b'\n' => b"\\n",
            _ => "\u{FFFD}".as_bytes(),
        });
        rest = after;
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TranslationStrategy;
    use crate::expose::prometheus::escaping::Escaping;

    const PLAIN: Context<'_> = Context { scope: "", scope_version: "", of_type: None };

    fn block(namer: Namer, context: Context<'_>, identity: Option<&Identity>, attributes: &[Label]) -> String {
        let mut out = Vec::new();
        BlockWriter::new(namer, Form::Text, context).write(&mut out, identity, attributes);
        String::from_utf8(out).unwrap()
    }

    fn shop() -> Identity {
        Identity { namespace: "shop".into(), name: "cart".into(), instance: "pod-1".into(), attributes: Vec::new() }
    }

    #[test]
    fn identity_scope_and_attributes_by_name() {
        let context = Context { scope: "qiyas/spans", scope_version: "1.2.3", of_type: None };
        let attributes = [Label::text("span.name", "GET /"), Label::text("http.method", "GET")];
        assert_eq!(
            block(Namer::default(), context, Some(&shop()), &attributes),
            r#"http_method="GET",instance="pod-1",job="shop/cart",otel_scope_name="qiyas/spans",otel_scope_version="1.2.3",span_name="GET /""#
        );
    }

    #[test]
    fn our_own_series_have_neither_job_nor_instance() {
        assert_eq!(block(Namer::default(), PLAIN, None, &[Label::text("signal", "traces")]), r#"signal="traces""#);
        assert_eq!(block(Namer::default(), PLAIN, None, &[]), "");
    }

    #[test]
    fn no_instance_id_no_label() {
        let identity = Identity { name: "cart".into(), ..Identity::default() };
        assert_eq!(block(Namer::default(), PLAIN, Some(&identity), &[]), r#"job="cart""#);
    }

    #[test]
    fn empty_values_are_left_out() {
        let attributes = [Label::text("a", ""), Label::text("b", "x"), Label::text("c", "")];
        assert_eq!(block(Namer::default(), PLAIN, None, &attributes), r#"b="x""#);
    }

    #[test]
    fn colliding_names_are_joined_in_the_order_of_their_keys() {
        let attributes = [Label::text("a_b", "second"), Label::text("a.b", "first"), Label::text("z", "z")];
        assert_eq!(block(Namer::default(), PLAIN, None, &attributes), r#"a_b="first;second",z="z""#);
    }

    #[test]
    fn our_names_are_not_for_attributes() {
        let context = Context { scope: "s", scope_version: "", of_type: Some("le") };
        let attributes = [Label::text("job", "mine"), Label::text("le", "5"), Label::text("exported_le", "6")];
        assert_eq!(
            block(Namer::default(), context, Some(&shop()), &attributes),
            r#"exported_job="mine",exported_le="6;5",instance="pod-1",job="shop/cart",otel_scope_name="s""#
        );
    }

    #[test]
    fn values_of_every_type() {
        let label = |key: &'static str, value| Label { key: key.into(), value };
        let attributes = [
            label("a", LabelValue::Int(-3)),
            label("b", LabelValue::Bool(true)),
            label("c", LabelValue::Double(2.0)),
            label("quantile", LabelValue::Double(1.0)),
        ];
        assert_eq!(block(Namer::default(), PLAIN, None, &attributes), r#"a="-3",b="true",c="2",quantile="1.0""#);
    }

    #[test]
    fn escapes_values_and_quotes_names() {
        let attributes = [Label::text("k.\"x", "a\\b\"c\nd\0e")];
        assert_eq!(block(Namer::default(), PLAIN, None, &attributes), "k_x=\"a\\\\b\\\"c\\nd\u{FFFD}e\"");
        let utf8 = Namer { strategy: TranslationStrategy::NoTranslation, escaping: Escaping::AllowUtf8 };
        assert_eq!(block(utf8, PLAIN, None, &attributes), "\"k.\\\"x\"=\"a\\\\b\\\"c\\nd\u{FFFD}e\"");
    }

    #[test]
    fn the_layout_follows_the_points() {
        let mut writer = BlockWriter::new(Namer::default(), Form::Text, PLAIN);
        let mut blocks = Vec::new();
        for attributes in [
            vec![Label::text("a", "1"), Label::text("b", "2")],
            vec![Label::text("b", "2"), Label::text("a", "1")],
            vec![Label::text("a", "1")],
            vec![Label::text("a", "1"), Label::text("b", "2")],
        ] {
            let mut out = Vec::new();
            writer.write(&mut out, None, &attributes);
            blocks.push(String::from_utf8(out).unwrap());
        }
        assert_eq!(blocks, [r#"a="1",b="2""#, r#"a="1",b="2""#, r#"a="1""#, r#"a="1",b="2""#]);
    }
}
