"""The site's colours; each pair of text and ground has a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3)."""

BLUE = {
    "50": "#eff6ff",
    "100": "#dbeafe",
    "200": "#bfdbfe",
    "300": "#93c5fd",
    "400": "#60a5fa",
    "500": "#1d4ed8",
    "600": "#1d4ed8",
    "700": "#1e40af",
    "800": "#1e3a8a",
    "900": "#1e3a8a",
    "950": "#172554",
}
SLATE = {
    "50": "#f8fafc",
    "100": "#f1f5f9",
    "200": "#e2e8f0",
    "300": "#cbd5e1",
    "400": "#64748b",
    "500": "#475569",
    "600": "#3f4b5c",
    "700": "#334155",
    "800": "#1e293b",
    "900": "#0f172a",
    "950": "#020617",
}
FONT = {
    "subtle-light": "#475569",
    "subtle-dark": "#a9b6c8",
    "default-light": "#334155",
    "default-dark": "#cbd5e1",
    "important-light": "#0f172a",
    "important-dark": "#f1f5f9",
}
