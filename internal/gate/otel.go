package gate

// The names under which calls are exported, in this one file: no name of
// OpenTelemetry's conventions for generative AI is stable yet
// (open-telemetry/semantic-conventions-genai, attributes and metrics as of
// schema 1.42). What they have no word for is under proofhouse. Durations are
// seconds, as theirs are.
//
// Their names of the provider, the server's address and the model that
// answered (gen_ai.provider.name, server.address, gen_ai.response.model) are
// left out: they are what a codename stands for.
const (
	otelOperation   = "gen_ai.operation.name"
	otelModel       = "gen_ai.request.model" // the codename
	otelStream      = "gen_ai.request.stream"
	otelInput       = "gen_ai.usage.input_tokens" // of all classes, as theirs is
	otelCacheRead   = "gen_ai.usage.cache_read.input_tokens"
	otelCacheWrite  = "gen_ai.usage.cache_creation.input_tokens"
	otelOutput      = "gen_ai.usage.output_tokens" // reasoning included
	otelReasoning   = "gen_ai.usage.reasoning.output_tokens"
	otelDuration    = "gen_ai.server.request.duration"      // from admission to the end
	otelFirstToken  = "gen_ai.server.time_to_first_token"   // of streams: from admission to the first event
	otelPerToken    = "gen_ai.server.time_per_output_token" // of streams: of each token after the first
	otelStatus      = "http.response.status_code"           // that the caller saw
	otelError       = "error.type"
	otelChat        = "chat" // values of otelOperation
	otelCountTokens = "count_tokens"

	otelCacheWrite1h = "proofhouse.usage.cache_creation_1h.input_tokens" // a part of otelCacheWrite

	otelGrant       = "proofhouse.grant.id"
	otelSubject     = "proofhouse.grant.subject"
	otelCase        = "proofhouse.grant.case"
	otelVariant     = "proofhouse.grant.variant"
	otelProtocols   = "proofhouse.grant.protocols"
	otelFrom        = "proofhouse.grant.from"
	otelUntil       = "proofhouse.grant.until"
	otelRecording   = "proofhouse.grant.recording"
	otelByReference = "proofhouse.grant.by_reference"
	otelIssuer      = "proofhouse.grant.issuer"
	otelGuards      = "proofhouse.grant.safeguards"

	otelMaxRequests    = "proofhouse.limit.requests"
	otelMaxInput       = "proofhouse.limit.input_tokens"
	otelMaxOutput      = "proofhouse.limit.output_tokens"
	otelMaxNanoDollars = "proofhouse.limit.nano_dollars"
	otelMaxStreams     = "proofhouse.limit.streams"
	otelMaxPerMinute   = "proofhouse.limit.per_minute"
	otelOutputCap      = "proofhouse.limit.output_cap"

	otelCall           = "proofhouse.call.id"
	otelProtocol       = "proofhouse.call.protocol"
	otelOutcome        = "proofhouse.call.outcome"
	otelUpstreamStatus = "proofhouse.call.upstream_status" // that the upstream gave
	otelKept           = "proofhouse.call.kept"
	otelNamed          = "proofhouse.call.named_secrets" // secret names in generated text
	otelJudged         = "proofhouse.call.judged"        // safeguard, stage and action
	otelRequestBytes   = "proofhouse.call.request_bytes"
	otelRequestDigest  = "proofhouse.call.request_digest"
	otelAnswerBytes    = "proofhouse.call.answer_bytes"
	otelAnswerDigest   = "proofhouse.call.answer_digest"

	otelChargedRequests    = "proofhouse.charge.requests"
	otelChargedInput       = "proofhouse.charge.input_tokens"
	otelChargedOutput      = "proofhouse.charge.output_tokens"
	otelChargedNanoDollars = "proofhouse.charge.nano_dollars"
	otelPrices             = "proofhouse.price.version"

	otelPolicy     = "proofhouse.policy.id"
	otelSuspension = "proofhouse.suspension.id"
	otelTool       = "proofhouse.suspension.tool"
	otelClass      = "proofhouse.suspension.class"
	otelOfProtocol = "proofhouse.suspension.protocol"
	otelOfGrant    = "proofhouse.suspension.grant"
	otelOfCase     = "proofhouse.suspension.case"
	otelOfSubject  = "proofhouse.suspension.subject"
	otelReason     = "proofhouse.event.reason"
)

// exported names the kinds of record that are exported, and in syslog their severity.
var exported = map[Kind]struct {
	name     string
	severity int
}{
	Granted:        {"granted", syslogInfo},
	RevokedGrant:   {"revoked", syslogNotice},
	Ended:          {"call", syslogInfo},
	Denied:         {"denied", syslogNotice},
	SuspendedCalls: {"suspended", syslogNotice},
	ResumedCalls:   {"resumed", syslogNotice},
	Unaccounted:    {"unaccounted", syslogNotice},
}
