//! What a span is, from its operation or its framework's word for it.

use crate::observe::observations::Role;

/// (word, operation it means, role). Words of all dialects; compared in lower case.
const WORDS: &[(&str, &str, Role)] = &[
    ("chat", "chat", Role::Leaf),
    ("llm", "chat", Role::Leaf),
    ("generation", "chat", Role::Leaf),
    ("responses", "chat", Role::Leaf),
    ("completion", "chat", Role::Leaf),
    ("text_completion", "text_completion", Role::Leaf),
    ("generate_content", "generate_content", Role::Leaf),
    ("embeddings", "embeddings", Role::Leaf),
    ("embedding", "embeddings", Role::Leaf),
    ("execute_tool", "execute_tool", Role::Other),
    ("tool", "execute_tool", Role::Other),
    ("retrieval", "retrieval", Role::Other),
    ("retriever", "retrieval", Role::Other),
    ("rerank", "rerank", Role::Other),
    ("reranker", "rerank", Role::Other),
    ("create_agent", "create_agent", Role::Other),
    ("guardrail", "guardrail", Role::Other),
    ("evaluator", "evaluator", Role::Other),
    ("prompt", "prompt", Role::Other),
    ("parser", "parser", Role::Other),
    ("event", "event", Role::Other),
    ("invoke_agent", "invoke_agent", Role::Carrier),
    ("agent", "invoke_agent", Role::Carrier),
    ("invoke_workflow", "invoke_workflow", Role::Carrier),
    ("workflow", "invoke_workflow", Role::Carrier),
    ("chain", "chain", Role::Carrier),
    ("task", "task", Role::Carrier),
    ("span", "span", Role::Carrier),
];

/// The operation a word means, and the span's role. `None`: an unknown word.
pub(super) fn read(word: &[u8]) -> Option<(&'static str, Role)> {
    if let Some(suffix) = word.strip_prefix(b"ai.") {
        return Some(vercel(suffix));
    }
    let same = |known: &&(&str, &str, Role)| known.0.as_bytes().eq_ignore_ascii_case(word);
    WORDS.iter().find(same).map(|(_, operation, role)| (*operation, *role))
}

/// Vercel's `ai.streamText.doStream` is a call; `ai.streamText` is the carrier around it.
fn vercel(operation_id: &[u8]) -> (&'static str, Role) {
    match operation_id.rsplit(|byte| *byte == b'.').next().unwrap_or_default() {
        b"doGenerate" | b"doStream" => ("chat", Role::Leaf),
        b"doEmbed" => ("embeddings", Role::Leaf),
        b"toolCall" => ("execute_tool", Role::Other),
        _ => ("invoke_workflow", Role::Carrier),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_every_dialect() {
        assert_eq!(read(b"chat"), Some(("chat", Role::Leaf)));
        assert_eq!(read(b"LLM"), Some(("chat", Role::Leaf)));
        assert_eq!(read(b"EMBEDDING"), Some(("embeddings", Role::Leaf)));
        assert_eq!(read(b"invoke_agent"), Some(("invoke_agent", Role::Carrier)));
        assert_eq!(read(b"ai.streamText.doStream"), Some(("chat", Role::Leaf)));
        assert_eq!(read(b"ai.streamText"), Some(("invoke_workflow", Role::Carrier)));
        assert_eq!(read(b"summon"), None);
    }
}
