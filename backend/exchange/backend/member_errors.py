"""What those are told who use the page, in words for people; the codes are below the API's own."""

from exchange.backend.errors import ApiError, Fault

OTHER, CODE_MISSING = -1, -2

WRONG_LOGIN = Fault(OTHER, "The name, the password or the code is wrong.", 401)
CODE_NEEDED = Fault(CODE_MISSING, "Enter the code of your authenticator.", 401)
NOT_SIGNED_IN = Fault(OTHER, "Sign in first.", 401)
WRONG_PASSWORD = Fault(OTHER, "The password is wrong.", 401)
WRONG_CODE = Fault(OTHER, "The code is wrong, or was used before.", 401)
FOREIGN_ORIGIN = Fault(OTHER, "This request does not come from a page of this exchange.", 403)
NOT_YOUR_ACCOUNT = Fault(OTHER, "This is no account of yours.", 403)
REGISTRATION_CLOSED = Fault(OTHER, "Registration is closed.", 403)
NO_TEST_FUNDS = Fault(OTHER, "There are no test funds here.", 403)
NOT_ADMIN = Fault(OTHER, "Only admins may do this.", 403)
NO_SUCH_SESSION = Fault(OTHER, "There is no such session.", 404)
NO_SUCH_KEY = Fault(OTHER, "There is no such API key.", 404)
NOTHING_HERE = Fault(OTHER, "There is nothing here by this name and method.", 404)
TOTP_THERE = Fault(OTHER, "There is an authenticator already.", 409)
BODY_TOO_LARGE = Fault(OTHER, "The body is too large.", 413)
NOT_JSON = Fault(OTHER, "The body must be JSON, and its Content-Type must say so.", 415)


def too_many_attempts(wait_s: int) -> ApiError:
    message = f"Too many attempts: try again in {wait_s} seconds."
    return ApiError(OTHER, message, status=429, retry_after_s=wait_s)


def bad_input(sentence: str) -> ApiError:
    return ApiError(OTHER, sentence, status=400)
