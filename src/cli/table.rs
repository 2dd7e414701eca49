//! Answers as text tables, for people.

use crate::measure::ai::ModelAnswer;

/// A line a model. An unknown value is a dash.
pub(super) fn models(models: &[ModelAnswer]) -> String {
    let heads = ["model", "version", "calls", "errors", "p50 ms", "p95 ms", "input", "output", "cost USD", "unpriced"];
    let rows = models.iter().map(|model| {
        let number = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        [
            model.model_name.clone(),
            model.model_version.clone(),
            model.total_inferences.to_string(),
            model.errors.total.to_string(),
            number(model.latency.p50_ms, 1),
            number(model.latency.p95_ms, 1),
            model.tokens.input.to_string(),
            model.tokens.output.to_string(),
            number(model.cost.total_usd, 6),
            model.cost.unpriced_tokens.to_string(),
        ]
    });
    let rows: Vec<[String; 10]> = std::iter::once(heads.map(str::to_owned)).chain(rows).collect();
    let mut widths = [0; 10];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
            0 | 1 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}
