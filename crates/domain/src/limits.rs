//! The bounds of everything, each with its reason. Configured bounds live in the configuration.

/// Longest uid and `eventId`, in bytes: the contract's 256.
pub const UID_BYTES_MAX: usize = 256;
/// Longest event type name, in bytes: the contract's 256.
pub const EVENT_TYPE_BYTES_MAX: usize = 256;
/// Longest channel name, in bytes: the contract's 128.
pub const CHANNEL_BYTES_MAX: usize = 128;
/// Most channels of one endpoint: the contract's 10.
pub const CHANNELS_PER_ENDPOINT_MAX: usize = 10;
/// Most channels of one message: the contract's 10 (5 in its older form).
pub const CHANNELS_PER_MESSAGE_MAX: usize = 10;
/// Longest endpoint URL, in bytes: the contract's 65,536.
pub const URL_BYTES_MAX: usize = 65_536;
/// Most custom headers of one endpoint: more than any gateway asks for, little enough to send each
/// time.
pub const HEADERS_MAX: usize = 50;
/// Longest custom header name, in bytes.
pub const HEADER_NAME_BYTES_MAX: usize = 128;
/// Longest custom header value, in bytes: common servers refuse 8 KiB of headers in all.
pub const HEADER_VALUE_BYTES_MAX: usize = 4096;
/// Most metadata entries of one thing, so that lists stay small.
pub const METADATA_ENTRIES_MAX: usize = 50;
/// Longest metadata key or value, in bytes.
pub const METADATA_BYTES_MAX: usize = 4096;
/// Longest description or name, in bytes: it is shown in lists.
pub const DESCRIPTION_BYTES_MAX: usize = 4096;
/// Most event types that one endpoint may list; a longer list means "all".
pub const EVENT_TYPES_PER_ENDPOINT_MAX: usize = 1000;
/// Most schema bytes of one event type: it is stored with every version.
pub const SCHEMAS_BYTES_MAX: usize = 1 << 20;
/// Most event types of one organisation that say something of validation or retries: they are kept in
/// memory while it publishes.
pub const EVENT_TYPES_WITH_RULES_MAX: usize = 5000;
/// Most endpoints of one application: one message makes one row for each.
pub const ENDPOINTS_PER_APPLICATION_MAX: usize = 10_000;
/// Most endpoints of an organisation for operational events: each event makes one row for each, in the
/// transaction of what it tells.
pub const OPERATIONAL_ENDPOINTS_MAX: usize = 50;
/// Most signing keys of one endpoint that are valid at once: each adds a signature to each request.
pub const SIGNING_KEYS_MAX: usize = 5;
/// Longest overlap of an old signing key, in seconds: the contract's week.
pub const KEY_GRACE_SECS_MAX: u32 = 604_800;
/// Overlap of an old signing key where none is given, in seconds: a day.
pub const KEY_GRACE_SECS_DEFAULT: u32 = 86_400;
/// How long an idempotency key is remembered, in hours: the contract's 12.
pub const IDEMPOTENCY_HOURS: u64 = 12;
/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;
/// Most bytes of a response body that are read: enough to see why, small enough to keep for each.
pub const RESPONSE_BODY_BYTES_MAX: usize = 16 * 1024;
/// Most bytes of response headers that are read before the response is refused.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Rows of one page where no limit is given: the contract's 50.
pub const PAGE_ROWS_DEFAULT: usize = 50;
/// Most rows of one page: the contract's 250.
pub const PAGE_ROWS_MAX: usize = 250;
/// Most status codes in an endpoint's `parkOn`: there are only 100 codes in 4xx.
pub const PARK_ON_MAX: usize = 100;
/// Most steps of a retry schedule.
pub const RETRY_STEPS_MAX: usize = 50;
/// Most API tokens of one organisation, expired ones among them: one for each service and person of
/// a large company.
pub const API_TOKENS_MAX: usize = 1000;
/// Longest grace of a token that is to end, in seconds: the contract's three days.
pub const TOKEN_GRACE_SECS_MAX: u32 = 259_200;
/// Longest life of a token for an application's portal, in seconds: a week.
pub const PORTAL_SECS_MAX: u32 = 604_800;
