//! The one table of attribute names: every spelling that real instrumentations send, and what it means.
//!
//! Of several spellings of one field on one span the first listed wins. The order is: today's semantic conventions,
//! their earlier names, then the dialects. The documentation page of dialects is generated from this table.

/// What an attribute means, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Field {
    Operation,
    /// A framework's own word for what the span is; it beats the operation.
    FrameworkKind,
    Provider,
    /// A framework's name stood where the provider belongs; this key names the provider then.
    ProviderBehindFramework,
    RequestModel,
    ResponseModel,
    ResponseId,
    InputTokens,
    OutputTokens,
    CacheReadTokens,
    CacheWriteTokens,
    ReasoningTokens,
    CostUsd,
    /// Seconds.
    FirstChunkSeconds,
    /// Milliseconds.
    FirstChunkMillis,
    /// Seconds for one output chunk.
    OutputChunkSeconds,
    Streaming,
    FinishReasons,
    Conversation,
    User,
    AgentName,
    ToolName,
    ErrorType,
    /// A JSON object with the request's parameters, `model` among them.
    InvocationParameters,
}

impl Field {
    pub const COUNT: usize = Field::InvocationParameters as usize + 1;

    /// Fields that make a span an AI call, carrier, tool or agent. The others may stand on any span.
    pub const MARKS: u32 = mask(&[
        Field::Operation,
        Field::FrameworkKind,
        Field::Provider,
        Field::RequestModel,
        Field::ResponseModel,
        Field::InputTokens,
        Field::OutputTokens,
    ]);
}

const fn mask(fields: &[Field]) -> u32 {
    let mut mask = 0;
    let mut rest = fields;
    while let [first, others @ ..] = rest {
        mask |= 1 << *first as u32;
        rest = others;
    }
    mask
}

use Field as F;

/// (spelling, field), best first within a field.
pub const NAMES: &[(&str, Field)] = &[
    ("gen_ai.operation.name", F::Operation),
    ("openinference.span.kind", F::FrameworkKind),
    ("langfuse.observation.type", F::FrameworkKind),
    ("langsmith.span.kind", F::FrameworkKind),
    ("traceloop.span.kind", F::FrameworkKind),
    ("ai.operationId", F::FrameworkKind),
    ("llm.request.type", F::Operation),
    ("gen_ai.provider.name", F::Provider),
    ("gen_ai.system", F::Provider),
    ("llm.provider", F::Provider),
    ("llm.system", F::Provider),
    ("ai.model.provider", F::Provider),
    ("ls_provider", F::ProviderBehindFramework),
    ("langsmith.metadata.ls_provider", F::ProviderBehindFramework),
    ("gen_ai.request.model", F::RequestModel),
    ("llm.request.model_name", F::RequestModel),
    ("ai.model.id", F::RequestModel),
    ("embedding.model_name", F::RequestModel),
    ("langsmith.metadata.ls_model_name", F::RequestModel),
    ("llm.invocation_parameters", F::InvocationParameters),
    ("gen_ai.response.model", F::ResponseModel),
    ("llm.response.model_name", F::ResponseModel),
    ("ai.response.model", F::ResponseModel),
    ("llm.model_name", F::ResponseModel),
    ("langfuse.observation.model.name", F::ResponseModel),
    ("gen_ai.response.id", F::ResponseId),
    ("ai.response.id", F::ResponseId),
    ("llm.response.id", F::ResponseId),
    ("gen_ai.usage.input_tokens", F::InputTokens),
    ("gen_ai.usage.prompt_tokens", F::InputTokens),
    ("llm.usage.prompt_tokens", F::InputTokens),
    ("llm.token_count.prompt", F::InputTokens),
    ("ai.usage.inputTokens", F::InputTokens),
    ("ai.usage.promptTokens", F::InputTokens),
    ("ai.usage.tokens", F::InputTokens),
    ("gen_ai.usage.output_tokens", F::OutputTokens),
    ("gen_ai.usage.completion_tokens", F::OutputTokens),
    ("llm.usage.completion_tokens", F::OutputTokens),
    ("llm.token_count.completion", F::OutputTokens),
    ("ai.usage.outputTokens", F::OutputTokens),
    ("ai.usage.completionTokens", F::OutputTokens),
    ("gen_ai.usage.cache_read.input_tokens", F::CacheReadTokens),
    ("gen_ai.usage.cache_read_input_tokens", F::CacheReadTokens),
    ("gen_ai.usage.cache_read_tokens", F::CacheReadTokens),
    ("llm.usage.cache_read_input_tokens", F::CacheReadTokens),
    ("llm.token_count.prompt_details.cache_read", F::CacheReadTokens),
    ("gen_ai.usage.prompt_tokens_details.cached_tokens", F::CacheReadTokens),
    ("gen_ai.usage.cached_tokens", F::CacheReadTokens),
    ("ai.usage.cachedInputTokens", F::CacheReadTokens),
    ("ai.usage.inputTokenDetails.cacheReadTokens", F::CacheReadTokens),
    ("gen_ai.usage.cache_write.input_tokens", F::CacheWriteTokens),
    ("gen_ai.usage.cache_creation.input_tokens", F::CacheWriteTokens),
    ("gen_ai.usage.cache_creation_input_tokens", F::CacheWriteTokens),
    ("gen_ai.usage.cache_write_input_tokens", F::CacheWriteTokens),
    ("gen_ai.usage.cache_write_tokens", F::CacheWriteTokens),
    ("llm.usage.cache_creation_input_tokens", F::CacheWriteTokens),
    ("llm.token_count.prompt_details.cache_write", F::CacheWriteTokens),
    ("ai.usage.inputTokenDetails.cacheWriteTokens", F::CacheWriteTokens),
    ("gen_ai.usage.reasoning.output_tokens", F::ReasoningTokens),
    ("gen_ai.usage.reasoning_tokens", F::ReasoningTokens),
    ("llm.usage.reasoning_tokens", F::ReasoningTokens),
    ("llm.token_count.completion_details.reasoning", F::ReasoningTokens),
    ("gen_ai.usage.completion_tokens_details.reasoning_tokens", F::ReasoningTokens),
    ("ai.usage.reasoningTokens", F::ReasoningTokens),
    ("ai.usage.outputTokenDetails.reasoningTokens", F::ReasoningTokens),
    ("gen_ai.usage.details.reasoning_tokens", F::ReasoningTokens),
    ("gen_ai.usage.cost", F::CostUsd),
    ("llm.cost.total", F::CostUsd),
    ("gen_ai.cost.total_cost", F::CostUsd),
    ("litellm.cost.total", F::CostUsd),
    ("operation.cost", F::CostUsd),
    ("langfuse.observation.cost_details.total", F::CostUsd),
    ("gen_ai.response.time_to_first_chunk", F::FirstChunkSeconds),
    ("gen_ai.client.operation.time_to_first_chunk", F::FirstChunkSeconds),
    ("ai.response.msToFirstChunk", F::FirstChunkMillis),
    ("gen_ai.client.operation.time_per_output_chunk", F::OutputChunkSeconds),
    ("gen_ai.request.stream", F::Streaming),
    ("llm.is_streaming", F::Streaming),
    ("gen_ai.response.finish_reasons", F::FinishReasons),
    ("gen_ai.response.finish_reason", F::FinishReasons),
    ("llm.response.finish_reason", F::FinishReasons),
    ("llm.response.stop_reason", F::FinishReasons),
    ("llm.finish_reason", F::FinishReasons),
    ("ai.response.finishReason", F::FinishReasons),
    ("gen_ai.conversation.id", F::Conversation),
    ("session.id", F::Conversation),
    ("langfuse.session.id", F::Conversation),
    ("langsmith.metadata.session_id", F::Conversation),
    ("ai.telemetry.metadata.sessionId", F::Conversation),
    ("user.id", F::User),
    ("enduser.id", F::User),
    ("langfuse.user.id", F::User),
    ("langsmith.metadata.user_id", F::User),
    ("gen_ai.user", F::User),
    ("llm.user", F::User),
    ("gen_ai.request.user", F::User),
    ("litellm.end_user.id", F::User),
    ("ai.telemetry.metadata.userId", F::User),
    ("gen_ai.agent.name", F::AgentName),
    ("gen_ai.tool.name", F::ToolName),
    ("tool.name", F::ToolName),
    ("ai.toolCall.name", F::ToolName),
    ("error.type", F::ErrorType),
];
