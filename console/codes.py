"""Error and close codes of the live board protocol, with their meaning. Pure."""

from typing import Final

INVALID_MESSAGE: Final = "invalid_message"
TOO_LARGE: Final = "too_large"
RATE_LIMITED: Final = "rate_limited"
FORBIDDEN: Final = "forbidden"
NOT_FOUND: Final = "not_found"
STALE_COMMAND: Final = "stale_command"
QUEUE_UNAVAILABLE: Final = "queue_unavailable"
NO_ANSWER: Final = "no_answer"
TRY_AGAIN: Final = "try_again"

ERROR_CODES: Final = {
    INVALID_MESSAGE: "Not a message of this protocol; `message` says which field.",
    TOO_LARGE: "Longer than 64 KiB.",
    RATE_LIMITED: "More than 100 messages in a minute on this socket; the message was not read.",
    FORBIDDEN: "Your rights, read again for each command, do not allow this.",
    NOT_FOUND: "No such agent, call, campaign or alert.",
    STALE_COMMAND: "`sent_at` is more than 5 s ago: the command waited somewhere and was not executed.",
    QUEUE_UNAVAILABLE: "The command could not be put on the queue; it has no effect.",
    NO_ANSWER: "The dialer worker has not answered yet; the command may still take effect.",
    TRY_AGAIN: "The server could not check your rights just now; nothing was done.",
}

# --- close codes (RFC 6455 gives 4000-4999 to applications) ---
# daphne's websocket library refuses to close with any other; 1012 goes past it (transport.py).
CLOSE_RESTART: Final = 1012
CLOSE_SLOW: Final = 4408
CLOSE_TOO_LARGE: Final = 4409
CLOSE_BROKEN: Final = 4500
CLOSE_SIGNED_OUT: Final = 4401
CLOSE_FORBIDDEN: Final = 4403
CLOSE_RATE: Final = 4429
CLOSE_TOO_MANY: Final = 4430

CLOSE_CODES: Final = {
    CLOSE_RESTART: "This process is being restarted. Connect again at once and resume.",
    CLOSE_SLOW: "This client reads too slowly, or the server is busy. Connect again and resume.",
    CLOSE_TOO_LARGE: "A message was longer than 64 KiB (far longer ones drop the connection without a word).",
    CLOSE_BROKEN: "A fault of the server. Connect again and resume.",
    CLOSE_SIGNED_OUT: "The session or token is no longer valid.",
    CLOSE_FORBIDDEN: "The right to this socket was taken away.",
    CLOSE_RATE: "Went on sending far beyond the limit.",
    CLOSE_TOO_MANY: "The user has too many sockets open.",
}
