"""What browsers are told about the site's pages: whose scripts run, who may frame them, what they never need."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

SELF, NONE = "'self'", "'none'"

POLICY = {
    "default-src": [NONE],
    # No inline scripts, no eval: expressions.js carries out what the theme's pages would have evaluated.
    "script-src": [SELF],
    # No inline styles either. What scripts set property by property is not covered by the policy.
    "style-src": [SELF],
    # data: small pictures in the style sheets of the theme and of the API's page.
    "img-src": [SELF, "data:"],
    "font-src": [SELF],
    "connect-src": [SELF],
    "form-action": [SELF],
    "base-uri": [NONE],
    "frame-ancestors": [NONE],
}
"""The Content-Security-Policy of every page. A view that needs another one says so by `csp.decorators`."""

_NEVER_NEEDED = (
    "accelerometer",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "screen-wake-lock",
    "serial",
    "usb",
    "xr-spatial-tracking",
)


class Headers:
    """Middleware: the header fields that neither Django nor django-csp sets."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        response.headers.setdefault("Permissions-Policy", ", ".join(f"{name}=()" for name in _NEVER_NEEDED))
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response
