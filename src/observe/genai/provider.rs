//! Provider names: one for each, in lower case, as the semantic conventions spell them.

use std::borrow::Cow;

/// Spellings in use and the convention's name for the same provider.
const ALIASES: &[(&str, &str)] = &[
    ("vertex_ai", "gcp.vertex_ai"),
    ("vertexai", "gcp.vertex_ai"),
    ("google_vertexai", "gcp.vertex_ai"),
    ("gemini", "gcp.gemini"),
    ("google_genai", "gcp.gemini"),
    ("az.ai.inference", "azure.ai.inference"),
    ("az.ai.openai", "azure.ai.openai"),
    ("azure_openai", "azure.ai.openai"),
    ("bedrock", "aws.bedrock"),
    ("amazon_bedrock", "aws.bedrock"),
    ("aws", "aws.bedrock"),
    ("xai", "x_ai"),
    ("mistral", "mistral_ai"),
    ("mistralai", "mistral_ai"),
    ("moonshot", "moonshot_ai"),
    ("moonshotai", "moonshot_ai"),
    ("watsonx", "ibm.watsonx.ai"),
];

/// The convention's own names, and other providers whose names are used as they are.
const KNOWN: &[&str] = &[
    "openai",
    "anthropic",
    "azure.ai.inference",
    "azure.ai.openai",
    "aws.bedrock",
    "gcp.gen_ai",
    "gcp.gemini",
    "gcp.vertex_ai",
    "cohere",
    "deepseek",
    "groq",
    "ibm.watsonx.ai",
    "mistral_ai",
    "moonshot_ai",
    "perplexity",
    "x_ai",
    "google",
    "ollama",
    "openrouter",
    "together",
    "fireworks",
    "huggingface",
    "replicate",
    "voyage",
];

/// Frameworks that put their own name where the provider belongs.
const FRAMEWORKS: &[&str] = &["strands-agents", "langchain", "langgraph", "llama_index", "llamaindex", "haystack"];

/// How a model's name begins, and whose it then is.
const MODELS: &[(&str, &str)] = &[
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4-", "openai"),
    ("text-embedding-", "openai"),
    ("davinci", "openai"),
    ("claude-", "anthropic"),
    ("anthropic.claude", "aws.bedrock"),
    ("gemini-", "gcp.gemini"),
    ("mistral-", "mistral_ai"),
    ("codestral-", "mistral_ai"),
    ("ministral-", "mistral_ai"),
    ("pixtral-", "mistral_ai"),
    ("command-", "cohere"),
    ("embed-", "cohere"),
    ("deepseek-", "deepseek"),
    ("grok-", "x_ai"),
    ("kimi-", "moonshot_ai"),
    ("sonar", "perplexity"),
];

/// What an instrumentation's word for a provider means.
#[derive(Debug, PartialEq)]
pub(super) enum Named {
    /// As sent: known, or unknown and in lower case already.
    AsSent,
    Normalised(Cow<'static, str>),
    /// A framework's name; the provider must be found elsewhere.
    Framework,
}

pub(super) fn read(sent: &[u8]) -> Named {
    let Ok(sent) = std::str::from_utf8(sent) else { return Named::Framework };
    if KNOWN.contains(&sent) {
        return Named::AsSent;
    }
    let lower = sent.to_ascii_lowercase();
    if FRAMEWORKS.contains(&lower.as_str()) {
        return Named::Framework;
    }
    if let Some(name) = canonical(&lower) {
        return Named::Normalised(name.into());
    }
    // Vercel's `openai.responses`, `anthropic.messages`: the provider and its API.
    if let Some(name) = lower.split_once('.').and_then(|(prefix, _)| canonical(prefix)) {
        return Named::Normalised(name.into());
    }
    if lower == sent { Named::AsSent } else { Named::Normalised(lower.into()) }
}

fn canonical(lower: &str) -> Option<&'static str> {
    let known = KNOWN.iter().find(|known| **known == lower).copied();
    known.or_else(|| ALIASES.iter().find(|(alias, _)| *alias == lower).map(|(_, name)| *name))
}

/// The provider of a model known only by its name.
pub(super) fn of_model(model: &[u8]) -> Option<&'static str> {
    MODELS.iter().find(|(prefix, _)| model.starts_with(prefix.as_bytes())).map(|(_, provider)| *provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_for_each_provider() {
        assert_eq!(read(b"openai"), Named::AsSent);
        assert_eq!(read(b"OpenAI"), Named::Normalised("openai".into()));
        assert_eq!(read(b"openai.responses"), Named::Normalised("openai".into()));
        assert_eq!(read(b"anthropic.messages"), Named::Normalised("anthropic".into()));
        assert_eq!(read(b"azure.ai.openai"), Named::AsSent);
        assert_eq!(read(b"az.ai.openai"), Named::Normalised("azure.ai.openai".into()));
        assert_eq!(read(b"vertex_ai"), Named::Normalised("gcp.vertex_ai".into()));
        assert_eq!(read(b"my-own-gateway"), Named::AsSent);
        assert_eq!(read(b"langchain"), Named::Framework);
        assert_eq!(of_model(b"claude-sonnet-4-5"), Some("anthropic"));
        assert_eq!(of_model(b"llama3"), None);
    }
}
